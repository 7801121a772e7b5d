"""The rules of a storm: each holds on what is right, and fails on the one thing made wrong."""

from rmapwatch.lab.rules.fork_storm import fork_storm
from rmapwatch.lab.rules.row import Agreement
from rmapwatch.probes import events, rmap
from samples import records, run

LEDGER = {
    "first_child": 60,
    "last_child": 61,
    "first_index": 100,
    "last_index": 110,
    "children": 2,
    "copying_children": 2,
    "pages": 3,
    "kpage": {
        "parent": {"mapped_as_expected": 3, "anon": 3},
        "copies": {"mapped_as_expected": 6, "anon": 6},
    },
}
OP = {op.name: number for number, op in enumerate(rmap.OPS)}


def child_walk(child: int, page: int, **changes: int) -> dict:
    """A reference walk of a page that a child of the storm owns."""
    usual = {"op": OP["reference"], "kind": 0, "index": 100 + page, "map": 50 + child, "root": 7}
    return {**usual, "vmas": 1, "mapper": 60 + child, **changes}


def storm() -> list[dict]:
    return [child_walk(child, page) for child in range(2) for page in range(3)]


def rules_of(rows: list[dict]) -> list[Agreement]:
    return list(fork_storm(run(LEDGER, walk=records("walk", rows))))


def test_a_storm_as_it_should_be() -> None:
    rules = rules_of(storm())
    assert [rule.agrees for rule in rules] == [True] * 9
    assert [rule.observed for rule in rules] == [6, 2, 6, 2, 0, 3, 3, 6, 6]


def test_pages_found_in_the_wrong_address_space() -> None:
    rows = storm()
    rows[4]["mapper"] = 60
    owners = [rule.agrees for rule in rules_of(rows)[3:5]]
    assert owners == [False, True]
    rows[4]["mapper"] = 62
    owners = [rule.agrees for rule in rules_of(rows)[3:5]]
    assert owners == [False, False]


def test_address_spaces_that_nobody_tells_of() -> None:
    untold = rules_of([{**row, "mapper": 0} for row in storm()])[3]
    assert untold.agrees is None
    assert untold.explained


def test_a_copy_that_two_processes_map() -> None:
    copies = {"mapped_as_expected": 5, "anon": 6}
    ledger = {**LEDGER, "kpage": {**LEDGER["kpage"], "copies": copies}}
    *_, mapped, anon = fork_storm(run(ledger, walk=records("walk", storm())))
    assert (mapped.predicted, mapped.observed, mapped.agrees) == (6, 5, False)
    assert anon.agrees is True


def test_a_walk_of_a_childs_page_that_enters_two() -> None:
    rows = storm()
    rows[4]["vmas"] = 2
    first, *_ = rules_of(rows)
    assert first.agrees is False
    assert (first.predicted, first.observed) == (6, 5)


def test_a_walk_that_gave_up_or_is_another_processs_does_not_count() -> None:
    bailed = child_walk(0, 0, vmas=0, flags=events.WALK_BAILED)
    elsewhere = child_walk(0, 0, vmas=5, index=99)
    parents = child_walk(0, 0, vmas=3, map=7)
    unmap = child_walk(0, 0, vmas=2, op=OP["unmap"])
    rows = [*storm(), bailed, elsewhere, parents, unmap]
    first, *_ = rules_of(rows)
    assert (first.predicted, first.agrees) == (6, True)


def test_children_that_share_an_anon_vma() -> None:
    rows = [{**row, "map": 50} for row in storm()]
    _, second, *_ = rules_of(rows)
    assert (second.observed, second.agrees) == (1, False)


def test_more_pages_than_there_are() -> None:
    _, _, third, *_ = rules_of([*storm(), child_walk(1, 5)])
    assert (third.observed, third.agrees) == (7, False)


def test_no_walk_is_no_agreement() -> None:
    first, _, third, *_ = rules_of([])
    assert first.agrees is None
    assert third.agrees is None
