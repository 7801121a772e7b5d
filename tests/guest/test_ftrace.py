"""The backend without BPF, held against the one with it."""

import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest
from rmapwatch.lab.both import Pair, quiet
from rmapwatch.lab.comparison import Window, compare
from rmapwatch.probes import catalogue
from rmapwatch.probes.consumer import Consumer
from rmapwatch.probes.ftrace import plan, session, tracefs
from rmapwatch.probes.ftrace.instance import Instance
from rmapwatch.probes.sample import Sample
from rmapwatch.probes.session import Request
from rmapwatch.recordings.recorder import Memory

STORM = ("--children", "7", "--pages", "101", "--rounds", "2")
EVERY_VMA = Request(probes=catalogue.names(steps=True))


@pytest.fixture
def by_events() -> Iterator[session.Session]:
    live = session.start(EVERY_VMA)
    yield live
    live.close()


def wall_ms(before: Sample, after: Sample) -> float:
    spent = [sum(walk.ns for walk in sample.walks.values()) for sample in (before, after)]
    return (spent[1] - spent[0]) / 1e6


def test_both_backends_count_the_same(attached, by_events, storm_program) -> None:
    """
    Exactly, where neither missed a call; each difference is within what they say they missed.

    A kernel that preempts a BPF program skips it for everybody else on that CPU: then bcc misses
    calls, and knows how many; kprobes are never preempted.
    """
    pair = Pair(attached, by_events)
    before, theirs_before = pair.barrier()
    subprocess.run([storm_program, *STORM], stdout=subprocess.DEVNULL, check=True)
    after, theirs_after = pair.barrier()
    found = compare(Window(before, after), Window(theirs_before, theirs_after))
    print(f"\n{'':44}{'bcc':>9}{'ftrace':>9}")
    for row in found.figures:
        print(f"{row.figure:44}{row.bcc:9}{row.ftrace:9}")
    print(f"calls missed: {found.missed}")
    ms = wall_ms(before, after), wall_ms(theirs_before, theirs_after)
    print(f"{'ms in walks':44}{ms[0]:9.1f}{ms[1]:9.1f}")

    assert found.missed["ftrace"] == {}
    assert [row for row in found.figures if row.agrees is False] == []
    assert {"calls of copy_process", "writes to protected pages"} <= {
        r.figure for r in found.figures
    }
    for probe in ("rmap_walk_anon", "rmap_walk_file", "reference_check", "reclaim_batch"):
        ours, theirs = (s.accounts[probe] for s in (after, theirs_after))
        then, theirs_then = (s.accounts[probe] for s in (before, theirs_before))
        calls = theirs.entries - theirs_then.entries
        if ours.entries is not None and ours.missed is not None:
            assert ours.entries - then.entries == calls, probe
        assert theirs.entries == theirs.exits + theirs.in_flight + theirs.missed, probe
    counted = Window(theirs_before, theirs_after).cells()
    assert counted["walks", "reference", "anon"] > 700
    assert counted["VMAs entered,", "unmap", "anon"] > 100


ALIKE = {
    "walk": ("tid", "op", "kind", "pfn", "index", "vmas", "nr_pages", "flags", "comm"),
    "reference": ("tid", "pfn", "index", "result", "nr_pages", "is_locked"),
    "fork": ("tid", "child", "vmas", "linked", "returned"),
    "lock_wait": ("tid", "lock", "mode", "during", "comm"),
}
"""Fields of which both backends must tell the same, by type of event."""


def told_of(memory: Memory, event: str) -> Counter[tuple]:
    """How often each of the values of these fields was told."""
    return Counter(map(tuple, memory.records()[event][list(ALIKE[event])].tolist()))


def test_both_backends_tell_the_same_events(attached, by_events, storm_program) -> None:
    """One by one, where neither missed a call; no backend tells what the other does not see."""
    pair, memories = Pair(attached, by_events), (Memory(), Memory())
    consumers = [Consumer(*each) for each in zip((attached, by_events), memories, strict=True)]
    by_events.want_events(plan.TOLD)
    before, theirs_before = pair.barrier()
    for consumer, memory in zip(consumers, memories, strict=True):
        consumer.drain()
        memory.take()
    subprocess.run([storm_program, *STORM], stdout=subprocess.DEVNULL, check=True)
    after, theirs_after = pair.barrier()
    for consumer in consumers:
        consumer.drain()
    missed = compare(Window(before, after), Window(theirs_before, theirs_after)).missed
    lost = {name: each.lost - before.events[name].lost for name, each in after.events.items()}
    assert missed["ftrace"] == {}
    assert {counts.lost for counts in theirs_after.events.values()} == {0}
    for event in ALIKE:
        ours, theirs = (told_of(memory, event) for memory in memories)
        print(f"{event}: {ours.total()} by bcc, {theirs.total()} by ftrace")
        if not (missed["bcc"] or lost[event]):
            assert theirs == ours, event
        assert len(theirs - ours) <= sum(filter(None, missed["bcc"].values())) + lost[event], event
    assert told_of(memories[1], "reference").total() > 700
    assert told_of(memories[1], "fork").total() >= 7


def test_full_buffers_are_counted_losses(attached, storm_program) -> None:
    """Nobody reads while the storm goes on: the calls missed are counted, and none is invented."""
    facts = tracefs.facts()
    instance = Instance(facts, 16)
    instance.attach(*plan.resolve_all(("rmap_walk_anon", "reclaim_batch"), facts))
    before = quiet(attached)
    subprocess.run([storm_program, *STORM], stdout=subprocess.DEVNULL, check=True)
    live = session.Session(facts, instance, told=())
    theirs, ours = quiet(live), quiet(attached)
    live.close()
    account = theirs.accounts["rmap_walk_anon"]
    calls = ours.accounts["rmap_walk_anon"].entries - before.accounts["rmap_walk_anon"].entries
    print(f"{account.exits} of {account.entries} walks followed")
    assert account.entries == account.exits + account.in_flight + account.missed
    assert account.entries >= calls > account.exits > 0
    assert account.missed > 500
    longest = max(
        (n for walk in theirs.walks.values() for n, c in enumerate(walk.ns_slots) if c), default=0
    )
    assert 1 << longest < 1 << 31, "two walks were taken for one"
