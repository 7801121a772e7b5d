"""The backend without BPF, held against the one with it."""

import subprocess
import time
from collections.abc import Iterator

import pytest
from rmapwatch.probes import catalogue
from rmapwatch.probes.backend import Attached
from rmapwatch.probes.ftrace import plan, session, tracefs
from rmapwatch.probes.ftrace.instance import Instance
from rmapwatch.probes.sample import Sample
from rmapwatch.probes.session import Request

STORM = ("--children", "7", "--pages", "101", "--rounds", "2")
EVERY_VMA = Request(probes=catalogue.names(steps=True))
Cells = dict[tuple[str, ...], int]


@pytest.fixture
def by_events() -> Iterator[session.Session]:
    live = session.start(EVERY_VMA)
    yield live
    live.close()


def quiet(live: Attached) -> Sample:
    for _ in range(100):
        sample = live.sample()
        if sample.quiet:
            return sample
        time.sleep(0.1)
    raise AssertionError("the guest does not come to rest")


def barrier(one: Attached, other: Attached) -> tuple[Sample, Sample]:
    """Snapshots of both, with nothing having happened between them."""
    for _ in range(30):
        mine, theirs, again = quiet(one), quiet(other), quiet(one)
        if cells(mine) == cells(again):
            return mine, theirs
    raise AssertionError("the guest does not come to rest")


def cells(sample: Sample) -> Cells:
    """What both backends count, by name."""
    found: Cells = {}
    for (op, kind), walk in sample.walks.items():
        found["walks", op, kind] = walk.walks
        found["bailouts", op, kind] = walk.bailouts
        if walk.vmas is not None:
            found["VMAs", op, kind] = walk.vmas
    for key, checks in sample.references.items():
        found["references", *key] = checks
    for key, batch in sample.batches.items():
        found["batches", *key] = batch.batches
        found["pages reclaimed", *key] = batch.reclaimed
    for table in ("stalls", "ages"):
        for name, calls in getattr(sample, table).items():
            found[table, name] = calls.calls
    for key, isolation in sample.isolations.items():
        found["pages scanned", *key] = isolation.scanned
        found["pages isolated", *key] = isolation.taken
    for name, shrunk in sample.shrunk.items():
        found["pages shrunk", name] = shrunk.reclaimed
    return found


def missed(before: Sample, after: Sample) -> int:
    """Calls that a backend says it could not follow, of any probe point."""
    counts = [sum(a.missed or 0 for a in s.accounts.values()) for s in (before, after)]
    return counts[1] - counts[0]


def wall_ms(before: Sample, after: Sample) -> float:
    spent = [sum(walk.ns for walk in sample.walks.values()) for sample in (before, after)]
    return (spent[1] - spent[0]) / 1e6


def test_both_backends_count_the_same(attached, by_events, storm_program) -> None:
    """
    Exactly, where neither missed a call; each difference is within what they say they missed.

    A kernel that preempts a BPF program skips it for everybody else on that CPU: then bcc misses
    calls, and knows how many; kprobes are never preempted.
    """
    before, theirs_before = barrier(attached, by_events)
    subprocess.run([storm_program, *STORM], stdout=subprocess.DEVNULL, check=True)
    after, theirs_after = barrier(attached, by_events)
    start, end = cells(before), cells(after)
    other_start, other_end = cells(theirs_before), cells(theirs_after)
    shared = [key for key in end if key in other_end]
    misses = missed(before, after), missed(theirs_before, theirs_after)
    print(f"\n{'':44}{'bcc':>9}{'ftrace':>9}")
    for key in shared:
        one, other = end[key] - start[key], other_end[key] - other_start[key]
        if one or other:
            print(f"{' '.join(key):44}{one:9}{other:9}")
    print(f"{'calls missed':44}{misses[0]:9}{misses[1]:9}")
    ms = wall_ms(before, after), wall_ms(theirs_before, theirs_after)
    print(f"{'ms in walks':44}{ms[0]:9.1f}{ms[1]:9.1f}")

    assert misses[1] == 0
    if not misses[0]:
        assert [k for k in shared if end[k] - start[k] != other_end[k] - other_start[k]] == []
    for probe in ("rmap_walk_anon", "rmap_walk_file", "reference_check", "reclaim_batch"):
        ours, theirs = (s.accounts[probe] for s in (after, theirs_after))
        then, theirs_then = (s.accounts[probe] for s in (before, theirs_before))
        calls = theirs.entries - theirs_then.entries
        if ours.entries is not None and ours.missed is not None:
            assert ours.entries - then.entries == calls, probe
        assert theirs.entries == theirs.exits + theirs.in_flight + theirs.missed, probe
    assert other_end["walks", "reference", "anon"] - other_start["walks", "reference", "anon"] > 700
    assert other_end["VMAs", "unmap", "anon"] - other_start["VMAs", "unmap", "anon"] > 100


def test_full_buffers_are_counted_losses(attached, storm_program) -> None:
    """Nobody reads while the storm goes on: the calls missed are counted, and none is invented."""
    facts = tracefs.facts()
    instance = Instance(facts, 16)
    instance.attach(*plan.resolve_all(("rmap_walk_anon", "reclaim_batch"), facts))
    before = quiet(attached)
    subprocess.run([storm_program, *STORM], stdout=subprocess.DEVNULL, check=True)
    live = session.Session(facts, instance, told=False)
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
