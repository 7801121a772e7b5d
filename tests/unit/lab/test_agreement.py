"""The rules of a run: each holds on what is right, and fails on the one thing made wrong."""

import dataclasses

import pytest
from rmapwatch.lab import agreement
from rmapwatch.probes import events
from rmapwatch.probes.sample import Account, EventCounts
from samples import batch_counts, records, sample, walk_counts


def verdicts(rules) -> dict[str, bool | None]:
    return {rule.rule: rule.agrees for rule in rules}


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
    walk = {"op": 0, "kind": 0, "vmas": 1}
    found = {"walk": records("walk", [walk] * told)}
    assert set(verdicts(agreement.counters(made, found)).values()) == {agrees}


@pytest.mark.parametrize(("calls", "waits"), [(7, 26), (6, 26), (7, 25)])
def test_moves_and_waits_against_events(calls: int, waits: int) -> None:
    none_lost = {name: EventCounts(0, 0, 0) for name in events.EVENTS}
    made = dataclasses.replace(sample(1, 1), events=none_lost)
    told = {"migration": [{}] * calls, "lock_wait": [{}] * waits}
    found = {name: records(name, rows) for name, rows in told.items()}
    moved, waited = agreement.moves_and_waits(made, found)
    assert (moved.agrees, waited.agrees) == (calls == 7, waits == 26)
    assert not list(agreement.moves_and_waits(sample(1, 1), found)), "events were lost"
    unwatched = dataclasses.replace(made, migrations={}, lock_waits={})
    assert not list(agreement.moves_and_waits(unwatched, found))


def test_counters_say_nothing_where_events_were_lost() -> None:
    assert not list(agreement.counters(sample(1, 1), {"walk": records("walk", [])}))


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


NONE_LOST = {name: EventCounts(0, 0, 0) for name in events.EVENTS}


def test_forks_against_events() -> None:
    made = dataclasses.replace(sample(1, 1), events=NONE_LOST)
    told = [
        {"vmas": 20, "pages": 500, "linked": 7},
        {"vmas": 9, "pages": 9, "linked": 6},
        {"vmas": -1, "pages": -1, "linked": 0, "returned": -12},
    ]
    right = verdicts(agreement.forks(made, {"fork": records("fork", told)}))
    assert list(right.values()) == [True] * 4
    wrong = verdicts(agreement.forks(made, {"fork": records("fork", told[1:])}))
    assert list(wrong.values()) == [False] * 4
    lost = dataclasses.replace(made, events=NONE_LOST | {"fork": EventCounts(4, 1, 3)})
    assert not list(agreement.forks(lost, {"fork": records("fork", told)}))


def test_pages_that_were_not_summed_are_not_held() -> None:
    forks = dataclasses.replace(sample(1, 1).forks, pages=None)
    made = dataclasses.replace(sample(1, 1), events=NONE_LOST, forks=forks)
    rules = verdicts(agreement.forks(made, {"fork": records("fork", [])}))
    assert len(rules) == 3


def test_writes_against_events() -> None:
    made = dataclasses.replace(sample(1, 1), events=NONE_LOST)
    copied = [{"page": 0, "outcome": 0}] * 101
    moved = [{"page": 0, "outcome": 2}] * 31
    right = verdicts(agreement.writes(made, {"cow": records("cow", copied + moved)}))
    assert list(right.values()) == [True, True]
    other = [{"page": 2, "outcome": 0}]
    wrong = verdicts(agreement.writes(made, {"cow": records("cow", copied[1:] + moved + other)}))
    assert list(wrong.values()) == [False, True, False]


def test_chains_of_a_fork_that_was_missed_are_not_told() -> None:
    whole = dataclasses.replace(sample(1, 1), events={"fork": EventCounts(3, 0, 3)})
    counted = whole.forks.clones["fork"].calls
    told = records("fork", [{"linked": counted - 6}])
    missed = dataclasses.replace(whole, accounts={"copy_process": Account(2, 1, 0, 1, 1)})

    def chains(seen, linked) -> agreement.Agreement:
        rules = agreement.forks(seen, {"fork": linked})
        return next(rule for rule in rules if rule.rule.startswith("chains"))

    assert chains(whole, told).agrees is False
    row = chains(missed, told)
    assert row.agrees
    assert row.explained == (("of forks that were not followed to their end", 6),)
    assert chains(missed, records("fork", [{"linked": 3}])).agrees is False
    assert chains(missed, records("fork", [{"linked": counted + 1}])).agrees is False
