"""The rules of waits for locks: each holds on what is right, and fails on what is made wrong."""

import dataclasses

from rmapwatch.lab.rules.lock_waits import lock_waits
from rmapwatch.lab.rules.row import Agreement
from rmapwatch.probes import events, locks, rmap
from rmapwatch.probes.sample import CallCounts
from samples import one_slot, records, run, sample

ANON, FILE, KSM = range(len(rmap.KINDS))
WALK, OTHER = range(len(locks.DURING))
ROOT = 77


def walk(end: int, **changes: int) -> dict[str, int]:
    usual = {"tid": 5, "time": end, "ns": 100, "root": ROOT, "kind": ANON}
    return {**usual, "flags": events.WALK_WAITED, **changes}


def wait(end: int, **changes: int) -> dict[str, int]:
    return {"tid": 5, "time": end, "ns": 30, "root": ROOT, "during": WALK, **changes}


def waited(calls: int) -> dict[tuple[str, str, str], CallCounts]:
    counts = CallCounts(calls, calls * 30, one_slot(5, calls))
    keys = [(m, d) for m in locks.MODES for d in locks.DURING if (m, d) != ("write", "walk")]
    return {(lock, mode, during): counts for lock in locks.LOCKS for mode, during in keys}


def rules_of(
    walks: list, waits: list, calls: int = 3, changes: frozenset[str] = frozenset(["rmap_try_lock"])
) -> list[Agreement]:
    seen = dataclasses.replace(sample(1, 1), lock_waits=waited(calls))
    gave_up = [walk(10, flags=events.WALK_BAILED)] if calls else []
    told = {"walk": records("walk", [*gave_up, *walks]), "lock_wait": records("lock_wait", waits)}
    return list(lock_waits(run({}, sample=seen, changes=changes, **told)))


def test_waits_inside_of_their_walks() -> None:
    walks = [walk(1000), walk(1200), walk(1300, flags=0), walk(1000, tid=6, kind=KSM, root=1)]
    waits = [wait(950), wait(1190), wait(1150), wait(940, tid=6), wait(400, during=OTHER)]
    rules = rules_of(walks, waits)
    assert [rule.agrees for rule in rules] == [True] * 7
    assert [rule.observed for rule in rules] == [3, 3, 3, 3, 1, 4, 3]


def test_a_wait_outside_of_any_walk() -> None:
    *_, inside, says_so = rules_of([walk(1000)], [wait(950), wait(1050)])
    assert (inside.predicted, inside.observed, inside.agrees) == (2, 1, False)
    assert says_so.agrees is True


def test_a_wait_that_began_before_its_walk() -> None:
    *_, inside, _ = rules_of([walk(1000)], [wait(950, ns=60)])
    assert (inside.predicted, inside.observed, inside.agrees) == (1, 0, False)


def test_a_wait_for_the_lock_of_another_tree() -> None:
    *_, inside, _ = rules_of([walk(1000)], [wait(950, root=ROOT + 1)])
    assert inside.agrees is False


def test_a_wait_of_another_thread() -> None:
    *_, inside, _ = rules_of([walk(1000)], [wait(950, tid=6)])
    assert inside.agrees is False


def test_a_walk_that_does_not_say_that_it_waited() -> None:
    *_, inside, _ = rules_of([walk(1000, flags=0)], [wait(950)])
    assert inside.agrees is False


def test_a_walk_that_says_so_without_a_wait() -> None:
    *_, says_so = rules_of([walk(1000), walk(1200)], [wait(950)])
    assert (says_so.predicted, says_so.observed, says_so.agrees) == (2, 1, False)


def test_nobody_had_to_wait() -> None:
    rules = rules_of([], [], calls=0)
    assert [rule.agrees for rule in rules] == [False] * 5 + [None] * 2


def test_who_gives_up_on_a_kernel_that_waits() -> None:
    old = rules_of([walk(1000)], [wait(950)], changes=frozenset())[4]
    assert (old.predicted, old.observed, old.agrees) == (0, 1, False)
