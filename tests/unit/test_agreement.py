"""The rules of a run: each holds on what is right, and fails on the one thing made wrong."""

import dataclasses

import numpy as np
import pytest
from rmapwatch.lab import agreement
from rmapwatch.probes import events, ring, rmap
from rmapwatch.probes.sample import Account, EventCounts
from samples import batch_counts, sample, walk_counts

LEDGER = {"first_index": 100, "last_index": 110, "children": 2, "pages": 3}
OP = {op.name: number for number, op in enumerate(rmap.OPS)}


def walks(*rows: dict) -> np.ndarray:
    records = np.zeros(len(rows), ring.dtype("walk"))
    for record, row in zip(records, rows, strict=True):
        for name, value in row.items():
            record[name] = value
    return records


def child_walk(child: int, page: int, **changes: int) -> dict:
    """A reference walk of a page that a child of the storm owns."""
    usual = {"op": OP["reference"], "kind": 0, "index": 100 + page, "map": 50 + child, "root": 7}
    return {**usual, "vmas": 1, **changes}


def storm() -> list[dict]:
    return [child_walk(child, page) for child in range(2) for page in range(3)]


def verdicts(rules) -> dict[str, bool | None]:
    return {rule.rule: rule.agrees for rule in rules}


def test_a_storm_as_it_should_be() -> None:
    rules = list(agreement.fork_storm({"walk": walks(*storm())}, LEDGER))
    assert [rule.agrees for rule in rules] == [True, True, True]
    assert [rule.observed for rule in rules] == [6, 2, 6]


def test_a_walk_of_a_childs_page_that_enters_two() -> None:
    rows = storm()
    rows[4]["vmas"] = 2
    first, *_ = agreement.fork_storm({"walk": walks(*rows)}, LEDGER)
    assert first.agrees is False
    assert (first.predicted, first.observed) == (6, 5)


def test_a_walk_that_gave_up_or_is_another_processs_does_not_count() -> None:
    bailed = child_walk(0, 0, vmas=0, flags=events.WALK_BAILED)
    elsewhere = child_walk(0, 0, vmas=5, index=99)
    parents = child_walk(0, 0, vmas=3, map=7)
    unmap = child_walk(0, 0, vmas=2, op=OP["unmap"])
    rows = [*storm(), bailed, elsewhere, parents, unmap]
    first, *_ = agreement.fork_storm({"walk": walks(*rows)}, LEDGER)
    assert (first.predicted, first.agrees) == (6, True)


def test_children_that_share_an_anon_vma() -> None:
    rows = [{**row, "map": 50} for row in storm()]
    _, second, _ = agreement.fork_storm({"walk": walks(*rows)}, LEDGER)
    assert (second.observed, second.agrees) == (1, False)


def test_more_pages_than_there_are() -> None:
    *_, third = agreement.fork_storm({"walk": walks(*storm(), child_walk(1, 5))}, LEDGER)
    assert (third.observed, third.agrees) == (7, False)


def test_no_walk_is_no_agreement() -> None:
    first, _, third = agreement.fork_storm({"walk": walks()}, LEDGER)
    assert first.agrees is None
    assert third.agrees is None


def test_an_account_that_does_not_balance() -> None:
    right = sample(1, 1)
    assert set(verdicts(agreement.accounts(right)).values()) == {True}
    account = dataclasses.replace(right.accounts["rmap_walk_anon"], exits=0)
    wrong = dataclasses.replace(right, accounts={"rmap_walk_anon": account})
    assert set(verdicts(agreement.accounts(wrong)).values()) == {False}
    idle = dataclasses.replace(right, accounts={"rmap_walk_anon": Account(0, 0, 0, 0, 0)})
    assert set(verdicts(agreement.accounts(idle)).values()) == {None}


def test_an_event_that_nobody_received() -> None:
    right = sample(1, 1)
    assert set(verdicts(agreement.losses(right)).values()) == {True}
    wrong = dataclasses.replace(right, events={"walk": EventCounts(11, 1, 9)})
    assert set(verdicts(agreement.losses(wrong)).values()) == {False}


@pytest.mark.parametrize(("told", "agrees"), [(6, True), (5, False)])
def test_counters_against_events(told: int, agrees: bool) -> None:
    counted = {key: walk_counts(0, 0, 0) for key in sample(1, 1).walks}
    counted["reference", "anon"] = walk_counts(6, 6, 600)
    none_lost = {name: EventCounts(0, 0, 0) for name in events.EVENTS}
    made = dataclasses.replace(sample(1, 1), walks=counted, events=none_lost)
    records = {"walk": walks(*storm()[:told])}
    assert set(verdicts(agreement.counters(made, records)).values()) == {agrees}


def test_counters_say_nothing_where_events_were_lost() -> None:
    assert not list(agreement.counters(sample(1, 1), {"walk": walks()}))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"decided": {"keep": 50, "activate": 1, "reclaim": 493, "reclaim_clean": 0}}, 0),
        ({"decided": {"keep": 51, "activate": 18, "reclaim": 493, "reclaim_clean": 0}}, 1),
        ({"reclaimed": 494}, 2),
        ({"keep_differs": 1}, 3),
        ({"activate_exceeds": 1}, 3),
        ({"reclaimed_exceeds": 1}, 3),
    ],
)
def test_a_batch_that_contradicts_its_own_account(change: dict, rule: int) -> None:
    decided = {"keep": 51, "activate": 17, "reclaim": 493, "reclaim_clean": 0}
    right = dataclasses.replace(batch_counts(17), decided=decided)

    def rules(counts) -> list[bool | None]:
        made = dataclasses.replace(sample(1, 1), batches={("evict", "kswapd"): counts})
        return [row.agrees for row in agreement.batches(made)]

    assert rules(right) == [True] * 4
    wrong = rules(dataclasses.replace(right, **change))
    assert wrong[rule] is False
    assert wrong.count(False) == 1
