"""The rules of what goes and what stays: each fails on the one thing made wrong."""

from dataclasses import replace

import pytest
from rmapwatch.lab.rules.reclaim import file_stream, pageout, working_set
from rmapwatch.lab.rules.row import op
from rmapwatch.probes.events import UNSEEN
from rmapwatch.probes.reclaim import CALLERS, DECISIONS
from samples import KERNEL, records, run, run_by_events

KEEP, ACTIVATE, MLOCKED, RECLAIM, CLEAN = map(
    DECISIONS.index, ("keep", "activate", "activate_mlocked", "reclaim", "reclaim_clean")
)

STREAM = {"first_index": 500, "last_index": 509, "pages": 10, "first_faults": 10, "resident": 7}
SET = {"first_index": 300, "last_index": 301, "pages": 2, "refaults": 1, "uses": 200}
SHARED = {"first_index": 400, "last_index": 401}
READ = {"first_index": 600, "last_index": 604, "pages": 5, "resident": 3}
OLD, NEW = frozenset[str](), frozenset(["pageout_ignores_references", "locked_large_folios"])
NEWEST = NEW | {"reclaim_clean_gone"}

LEDGER = {"shared": SHARED, "stream": STREAM, "working_set": SET, "read": READ}


def look(index: int, result: int, decision: int) -> dict:
    return {"index": index, "result": result, "decision": decision, "is_locked": 1}


def stream() -> list[dict]:
    """Three pages pass; a fourth is looked at once; the working set is activated."""
    passed = [look(500 + n, 1, KEEP) for n in range(4)]
    passed += [look(500 + n, 0, CLEAN) for n in range(3)]
    return [
        *passed,
        look(300, 1, KEEP),
        look(300, 1, ACTIVATE),
        look(301, 2, ACTIVATE),
        look(400, 2, ACTIVATE),
        look(600, 0, CLEAN),
        look(601, 0, CLEAN),
    ]


def verdicts(rules, rows: list[dict], ledger: dict) -> list[bool | None]:
    return [row.agrees for row in rules(run(ledger, reference=records("reference", rows)))]


def test_a_stream_as_it_should_be() -> None:
    assert verdicts(file_stream, stream(), LEDGER) == [True] * 9


@pytest.mark.parametrize(
    ("rows", "ledger", "wrong"),
    [
        ([], {"stream": {**STREAM, "first_faults": 11}}, 0),
        ([look(503, 1, KEEP)], {}, 1),
        ([look(504, 0, ACTIVATE)], {}, 2),
        ([look(504, 0, RECLAIM)], {}, 3),
        ([], {"stream": {**STREAM, "resident": 6}}, 3),
        ([], {"working_set": {**SET, "refaults": 3}}, 4),
        ([], {"working_set": {**SET, "pages": 1}}, 5),
        ([look(401, 2, KEEP)], {}, 6),
        ([look(602, 0, KEEP)], {}, 7),
        ([look(600, 0, RECLAIM)], {}, 7),
        ([], {"read": {**READ, "resident": 2}}, 8),
    ],
)
def test_a_stream_with_one_thing_wrong(rows: list[dict], ledger: dict, wrong: int) -> None:
    found = verdicts(file_stream, [*stream(), *rows], LEDGER | ledger)
    assert found[wrong] is False
    assert found.count(False) == 1


@pytest.mark.parametrize(
    ("rules", "ledger", "held"),
    [(file_stream, LEDGER, 2), (working_set, "both", 1), (pageout, "paged out", 3)],
)
def test_where_no_decisions_are_told(rules, ledger: dict | str, held: int) -> None:
    """What the workload counted itself is held all the same."""
    ledgers = {"both": BOTH, "paged out": {"advised": ADVISED, "locked": LOCKED}}
    whole = ledgers[ledger] if isinstance(ledger, str) else ledger
    told = run_by_events(run(whole, changes=NEW, reference=records("reference", stream())))
    rows = list(rules(told))
    assert [row.agrees for row in rows if row.agrees is not None] == [True] * held
    untold = {row.explained for row in rows if row.agrees is None}
    assert untold == {(("decisions and batches are not seen", 0),)}


def test_checks_that_decide_nothing_do_not_count() -> None:
    undecided = [look(500, 1, UNSEEN), look(99, 1, ACTIVATE), look(510, 1, ACTIVATE)]
    assert verdicts(file_stream, [*stream(), *undecided], LEDGER) == [True] * 9


@pytest.mark.parametrize(
    ("lru", "changes", "decision", "rule"),
    [
        ("classic", OLD, CLEAN, "read: an unmapped page marked as used is let go if it is clean"),
        ("classic", NEWEST, RECLAIM, "read: an unmapped page marked as used is let go"),
        ("mglru", OLD, RECLAIM, "read: an unmapped page marked as used is let go"),
    ],
)
def test_where_a_page_must_be_clean(
    lru: str, changes: frozenset[str], decision: int, rule: str
) -> None:
    for decided in (CLEAN, RECLAIM):
        looks = records("reference", [look(600, 0, decided), look(601, 0, decided)])
        found = run(LEDGER, reference=looks, lru=lru, changes=changes)
        [row] = [row for row in file_stream(found) if row.rule == rule]
        assert (row.predicted, row.agrees) == (2, decided == decision)


def test_no_look_is_no_agreement() -> None:
    assert verdicts(file_stream, [], LEDGER)[1:3] == [None, None]


@pytest.mark.parametrize(
    ("lru", "flags", "agrees"), [("mglru", 4, True), ("mglru", 2, False), ("classic", 4, False)]
)
def test_a_page_that_mglru_marked_itself(lru: str, flags: int, agrees: bool) -> None:
    rows = [*stream(), {**look(504, 1, ACTIVATE), "page_flags": flags}]
    kernel = replace(KERNEL, enums={"pageflags": {"PG_referenced": 2}})
    found = run(LEDGER, reference=records("reference", rows), lru=lru, kernel=kernel)
    [row] = [row for row in file_stream(found) if row.rule == "stream: no look activates it"]
    assert (row.predicted, row.observed, row.agrees) == (8, 7, agrees)
    assert [count for _, count in row.explained] == ([] if lru == "classic" else [int(agrees)])


def test_mglru_makes_no_promise_of_refaults() -> None:
    found = [
        row for row in file_stream(run(LEDGER, lru="mglru")) if "finds its page gone" in row.rule
    ]
    assert [(row.agrees, row.explained[0][1]) for row in found] == [(None, 1)]


def region(first: int) -> dict:
    return {
        "first_index": first,
        "first_cold_index": first + 2,
        "last_index": first + 5,
        "cold_resident": 3,
    }


BOTH = {
    "anon": region(100),
    "file": region(200),
    "hot": 2,
    "cold": 4,
    "rounds": 25,
    "hot_refaults": 2,
}


def hot_and_cold() -> list[dict]:
    rows = []
    for first in (100, 200):
        rows += [look(first, 2, ACTIVATE), look(first + 1, 2, ACTIVATE), look(first + 1, 1, KEEP)]
        rows += [look(first + 2, 1, KEEP), look(first + 2, 0, RECLAIM)]
    return rows


def test_a_working_set_as_it_should_be() -> None:
    assert verdicts(working_set, hot_and_cold(), BOTH) == [True] * 9


@pytest.mark.parametrize(
    ("rows", "ledger", "wrong"),
    [
        ([look(101, 2, KEEP)], {}, 0),
        ([look(102, 1, KEEP)], {}, 1),
        ([look(103, 0, ACTIVATE)], {}, 2),
        ([], {"anon": {**region(100), "cold_resident": 4}}, 3),
        ([look(201, 3, RECLAIM)], {}, 4),
        ([look(203, 0, RECLAIM)], {}, 7),
        ([], {"hot_refaults": 3}, 8),
    ],
)
def test_a_working_set_with_one_thing_wrong(rows: list[dict], ledger: dict, wrong: int) -> None:
    found = verdicts(working_set, [*hot_and_cold(), *rows], BOTH | ledger)
    assert found[wrong] is False
    assert found.count(False) == 1


ADVISED = {"pages": 3, "first_index": 600, "last_index": 602, "in_swap": 3}
LOCKED = {
    "pages": 8,
    "first_index": 800,
    "last_index": 807,
    "missed": 8,
    "found": 8,
    "in_swap": 0,
}


def paged_out(
    looks: list[dict],
    changes: frozenset[str] = NEW,
    caller: str = "pages",
    again: int = 0,
    **ledger: dict,
) -> list[bool | None]:
    batches = [
        {"caller": CALLERS.index(caller), "reclaimed": 3},
        {"caller": CALLERS.index("evict"), "reclaimed": 50},
    ]
    walks = [{"op": op("restore"), "index": 807, "ptes": 1}] * again
    told = {"reference": records("reference", looks), "batch": records("batch", batches)}
    told |= {"walk": records("walk", [{"op": op("unmap"), "index": 807, "ptes": 1}, *walks])}
    whole = {"advised": ADVISED, "locked": LOCKED, **ledger}
    return [row.agrees for row in pageout(run(whole, changes=changes, **told))]


def locked(pages: int) -> dict:
    return {**look(800, 0, MLOCKED), "nr_pages": pages}


ONCE_EACH = [look(600 + n, 0, RECLAIM) for n in range(3)]


def test_pages_that_are_taken_and_pages_that_are_locked() -> None:
    assert paged_out([locked(8)]) == [True] * 7
    assert paged_out(ONCE_EACH, OLD, again=8) == [True] * 7


@pytest.mark.parametrize(
    ("looks", "changes", "wrong"),
    [
        ([locked(8)], {"advised": {**ADVISED, "pages": 4}}, [0]),
        ([locked(8)], {"caller": "evict"}, [1]),
        ([locked(8), look(601, 0, RECLAIM)], {}, [2]),
        ([locked(8), *ONCE_EACH[1:]], {"changes": OLD | {"locked_large_folios"}}, [2]),
        ([locked(8)], {"locked": {**LOCKED, "missed": 7}}, [3]),
        ([locked(8)], {"locked": {**LOCKED, "found": 7}}, [4]),
        ([locked(8)], {"again": 1}, [4]),
        ([locked(7)], {"locked": {**LOCKED, "found": 7}}, [5]),
        ([locked(8), *ONCE_EACH], {"changes": OLD}, [5]),
        ([locked(8)], {"locked": {**LOCKED, "in_swap": 1}}, [6]),
    ],
)
def test_one_thing_wrong(looks: list[dict], changes: dict, wrong: list[int]) -> None:
    found = paged_out(looks, **changes)
    assert [number for number, agrees in enumerate(found) if agrees is False] == wrong
