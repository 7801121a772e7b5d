"""The handlers over events made by hand: what belongs together, what is given up, who asked."""

from dataclasses import replace

import numpy as np
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import events, reclaim, rmap, state
from rmapwatch.probes.decode import Watched, counts
from rmapwatch.probes.ftrace.buffers import Kind, Merger
from rmapwatch.probes.ftrace.counting import count_slot, duration_slot
from rmapwatch.probes.ftrace.follow import Follower, kernel
from rmapwatch.probes.ftrace.pages import Layout
from rmapwatch.probes.ftrace.tape import Tape
from rmapwatch.probes.state import Block
from traced import taken

PROBES = ("walk", "check", "kswapd", "memcg", "pages", "evict", "batch", "isolate")
REFERENCE, UNMAP = 0xFF00, 0xFF08
FACTS = KernelFacts("6.1-test", "", "x86_64", enums={
    "lru_list": {f"LRU_{name.upper()}": number for number, name in enumerate(reclaim.LISTS)},
    "pageflags": {"PG_swapbacked": 3},
    "ttu_flags": {"TTU_MIGRATION": 1},
})  # fmt: skip


class World:
    """Events at will."""

    def __init__(self, facts: KernelFacts = FACTS, steps: int = 0) -> None:
        addresses = {"folio_referenced_one": REFERENCE, "try_to_unmap_one": UNMAP}
        self.layout = state.layout(PROBES)
        known = replace(kernel(facts, addresses, []), steps=steps)
        self.tape = Tape(1000, ["walk"])
        self.follower = Follower(self.layout, known, self.tape)

    def at(self, time: int, call: str, constant: str = "", tid: int = 7, **given: int) -> None:
        probes = {"walk": 0, "reference": 1, "shrink": 4, "batch": 6, "reported": 7, "step": 0}
        probe = probes.get(call.partition("_")[0], 0)
        if call.startswith("reclaim"):
            probe = 2 if constant == "RECLAIMER_KSWAPD" else 3
        if constant == "CALLER_EVICT":
            probe = 5
        self.follower.handler(call, constant, probe)(time, tid, given)

    def walk(self, begin: int, end: int, one: int = UNMAP, arg: int = 0, tid: int = 7) -> None:
        self.at(begin, "walk_enter", "KIND_ANON", tid, folio=0, one=one, arg=arg)
        self.at(end, "walk_exit", "KIND_ANON", tid)

    def walks(self) -> np.ndarray:
        """The walks that were told since this was asked the last time."""
        return taken(self.tape)["walk"]

    @property
    def told(self) -> dict:
        block = Block(self.layout, "cpu_state", tuple(self.follower.words))
        return counts(block, Watched(0, 0, {"reclaim_isolate"}, at_exit=False))

    def account(self, probe: int) -> dict[str, int]:
        block = Block(self.layout, "cpu_state", tuple(self.follower.words)).inner("accounts", probe)
        return {name: block[name] for name in ("entries", "exits", "stale", "unmatched")}


def test_a_walk_is_told_by_its_callback_and_argument() -> None:
    world = World()
    world.walk(100, 350)
    world.walk(400, 500, arg=1)
    world.walk(600, 601, one=0xBAD)
    told = world.told["walks"]
    assert told["unmap", "anon"].walks == told["migrate", "anon"].walks == 1
    assert told["unmap", "anon"].ns == 250
    assert told["unmap", "anon"].ns_slots[8] == 1
    assert told["other", "anon"].walks == 1
    assert told["unmap", "anon"].vmas is told["unmap", "anon"].ptes is None
    assert world.account(0) == {"entries": 3, "exits": 3, "stale": 0, "unmatched": 0}


def test_threads_are_told_apart() -> None:
    world = World()
    world.at(1, "walk_enter", "KIND_ANON", 7, folio=0, one=UNMAP, arg=0)
    world.at(2, "walk_enter", "KIND_ANON", 8, folio=0, one=UNMAP, arg=0)
    world.at(5, "walk_exit", "KIND_ANON", 7)
    world.at(12, "walk_exit", "KIND_ANON", 8)
    assert world.walks()[["tid", "ns"]].tolist() == [(7, 4), (8, 10)]


def test_steps_are_of_the_walk_that_is_open() -> None:
    world = World(steps=1 << 1)
    world.at(1, "step")
    world.at(2, "walk_enter", "KIND_ANON", folio=0, one=UNMAP, arg=0)
    for time in range(3, 20):
        world.at(time, "step")
    world.at(30, "walk_exit", "KIND_ANON")
    assert world.walks()["vmas"].tolist() == [17]
    assert world.told["stray_steps"] == 1


def test_a_check_that_gave_up_bails_its_walk_out() -> None:
    world = World()
    for result in (-1, 0, 1, 5):
        world.at(1, "reference_enter", flags=8, is_locked=1)
        world.walk(2, 3, one=REFERENCE)
        assert len(world.walks()) == 0
        world.at(4, "reference_exit", ret=result)
        assert world.walks()["flags"].tolist() == [events.WALK_BAILED if result < 0 else 0]
    assert world.told["walks"]["reference", "anon"].bailouts == 1
    told = {key: n for key, n in world.told["references"].items() if n}
    assert told == {("shrink_list", "anon", result): 1 for result in state.RESULTS}


def test_an_exit_that_is_missing_is_stale_and_one_without_entry_unmatched() -> None:
    world = World()
    world.at(1, "walk_exit", "KIND_ANON")
    world.at(2, "walk_enter", "KIND_ANON", folio=0, one=UNMAP, arg=0)
    world.walk(5, 6)
    assert world.account(0) == {"entries": 2, "exits": 1, "stale": 1, "unmatched": 1}
    assert world.told["walks"]["unmap", "anon"].ns == 1


def test_on_whose_behalf() -> None:
    world = World()
    for name, options in (("RECLAIMER_KSWAPD", 0), ("RECLAIMER_MEMCG", 0), ("RECLAIMER_MEMCG", 4)):
        world.at(1, "reclaim_enter", name, options=options)
        world.at(2, "batch_enter")
        world.at(3, "batch_exit", ret=29)
        world.at(9, "reclaim_exit", name)
    world.at(20, "shrink_enter", "CALLER_PAGES", 9, comm=int.from_bytes(b"kdamond.0", "little"))
    world.at(21, "batch_enter", tid=9)
    world.at(22, "batch_exit", tid=9, ret=1)
    batches = {key: n for key, n in world.told["batches"].items() if n.batches}
    assert set(batches) == {
        ("inactive", "kswapd"), ("inactive", "memcg"), ("inactive", "proactive"),
        ("pages", "damon"),
    }  # fmt: skip
    assert batches["inactive", "kswapd"].reclaimed == 29
    assert batches["inactive", "kswapd"].stats is batches["inactive", "kswapd"].decided is None
    assert world.told["stalls"]["proactive"].calls == 1


def test_a_batch_counts_only_where_it_is_known_who_asked() -> None:
    """A thread that was inside of reclaim already when the events began, or after a loss."""
    world = World()
    world.at(2, "batch_enter")
    world.at(3, "batch_exit", ret=29)
    assert world.account(6)["stale"] == 1
    world.at(4, "reclaim_exit", "RECLAIMER_KSWAPD")
    world.at(5, "batch_enter")
    world.at(6, "batch_exit", ret=3)
    told = {key: n.reclaimed for key, n in world.told["batches"].items() if n.batches}
    assert told == {("inactive", "other"): 3}
    world.follower.forget()
    world.at(7, "batch_enter")
    world.at(8, "batch_exit", ret=29)
    assert world.account(6) == {"entries": 3, "exits": 1, "stale": 2, "unmatched": 0}


def test_a_report_counts_only_where_its_lru_is_known() -> None:
    mglru = KernelFacts(**{**vars(FACTS), "functions": {"evict_folios": object()}})
    world = World(mglru)
    report = {"lru": 2, "scanned": 32, "taken": 31}
    world.at(1, "reported_isolate", **report)
    assert world.follower.doubtful[7] == 1
    world.at(2, "reclaim_enter", "RECLAIMER_KSWAPD")
    world.at(3, "reported_isolate", **report)
    world.at(4, "shrink_enter", "CALLER_EVICT")
    world.at(5, "reported_isolate", **report)
    told = {
        key: (n.isolations, n.taken) for key, n in world.told["isolations"].items() if n.scanned
    }
    assert told == {("classic", "inactive_file"): (1, 31), ("mglru", "inactive_file"): (1, 31)}


def test_events_in_a_gap_belong_to_no_call() -> None:
    """CPU 1 lost events from 10 to 20; a thread may have ended a walk and begun one there."""
    world = World()
    merger = Merger(Layout(8, 16, 4096), {}, world.follower)
    enter = Kind(1, lambda page, at: {}, world.follower.handler("walk_enter", "KIND_ANON", 0))
    leave = Kind(2, lambda page, at: {}, world.follower.handler("walk_exit", "KIND_ANON", 0))
    given = {"folio": 0, "one": UNMAP, "arg": 0}

    def happen(*moments: tuple[int, Kind, int]) -> None:
        from rmapwatch.probes.ftrace.buffers import Event, Gap

        merger._gaps.append(Gap(10, 20))
        merger._waiting += [Event(time, 0, tid, kind, given) for time, kind, tid in moments]
        merger.handle(100)

    happen((5, enter, 7), (12, enter, 8), (14, leave, 8), (15, enter, 9), (25, leave, 7),
           (26, leave, 9), (30, enter, 7), (32, leave, 7))  # fmt: skip
    assert world.walks()[["time", "ns"]].tolist() == [(32, 2)]
    assert world.account(0) == {"entries": 4, "exits": 1, "stale": 3, "unmatched": 3}


def test_slots_are_those_of_the_kernels_histograms() -> None:
    assert [duration_slot(ns) for ns in (0, 1, 2, 3, 4, 5, 1 << 40)] == [0, 0, 1, 2, 2, 3, 35]
    for value in (0, 1, 5, 16, 17, 32, 33, 1000, 1 << 22):
        slot = count_slot(value)
        bound = state.count_bound(slot)
        assert bound is None or value <= bound
        assert slot == 0 or value > (state.count_bound(slot - 1) or 0)
    assert rmap.OPS[1].name == "unmap"


def test_an_exit_of_another_point_ends_nothing() -> None:
    world = World()
    world.at(1, "shrink_enter", "CALLER_EVICT")
    world.at(2, "shrink_exit", "CALLER_PAGES")
    assert world.account(4)["unmatched"] == 1
    assert world.account(5)["exits"] == 0
    assert 7 in world.follower.open["shrink"]
