"""The rules of copy on write: they hold on what is right, and fail on the one thing made wrong."""

import copy
import itertools
from dataclasses import replace

import pytest
import samples
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.kernels.semantics import Cow, semantics_of
from rmapwatch.lab.rules import cow as rules
from rmapwatch.lab.rules.row import Run, op
from rmapwatch.probes import cow
from rmapwatch.probes.sample import Account
from samples import records

PAGE = 4096
SHARED, LAST, ORPHAN, ZERO, MAPPED = (0x600000000000 + n * 64 * PAGE for n in range(5))
# name, process, address, frames before and after, kind of page
GROUPS = [
    ("shared", 11, SHARED, [1, 2], [91, 92], "anon"),
    ("last", 12, LAST, [3], [3], "anon"),
    ("orphan", 10, ORPHAN, [5], [5], "anon"),
    ("again", 10, ORPHAN, [5], [5], "anon"),
    ("zero", 10, ZERO, [0], [93], "special"),
    ("mapped", 10, MAPPED, [7], [7], "file"),
]
LEDGER = {
    "children": 2,
    "last": 1,
    "kept": 1,
    "base": SHARED,
    "end": ZERO,
    "vmstat_before": {"begin_ns": 100, "end_ns": 110, "pgreuse": 50},
    "vmstat_after": {"begin_ns": 900, "end_ns": 910, "pgreuse": 54},
    "groups": [
        {
            "name": name,
            "pid": pid,
            "address": address,
            "pages": len(before),
            "faults": len(before),
            "kind": kind,
            "before": before,
            "after": after,
            "mappings_before": [3] * len(before),
            "mappings_after": [1] * len(before),
        }
        for name, pid, address, before, after, kind in GROUPS
    ],
    "moved_last": [{"errno": 0, "before": 3, "after": 21}],
    "moved_kept": [{"errno": 0, "before": 4, "after": 22}],
}


def faults(facts: KernelFacts) -> list[dict]:
    """The events of the groups, in order, and what the others copied."""
    moves = semantics_of(facts).cow is Cow.EXCLUSIVE
    became = {"shared": "copied", "zero": "copied", "again": "reused", "mapped": "shared"}
    found = []
    for name, pid, address, before, after, kind in GROUPS:
        outcome = became.get(name, "moved" if moves else "reused")
        for n, (old, new) in enumerate(zip(before, after, strict=True)):
            place = {"tgid": pid, "address": address + n * PAGE, "pfn": old, "pfn_after": new}
            kinds = {"page": cow.PAGES.index(kind), "outcome": cow.OUTCOMES.index(outcome)}
            found.append(place | kinds)
    for n in range(4):
        found.append({"tgid": 10, "address": LAST + n % 2 * PAGE, "pfn": 3, "pfn_after": 94 + n})
    return [row | {"time": 200 + n} for n, row in enumerate(found)]


def walks(facts: KernelFacts) -> list[dict]:
    after = 1 if semantics_of(facts).cow is Cow.EXCLUSIVE else 3
    rows = [(21, after), (22, 3)]
    return [{"op": op("restore"), "pfn": pfn, "vmas": vmas} for pfn, vmas in rows]


def run(facts: KernelFacts, ledger: dict = LEDGER, **changes: list) -> Run:
    made = {"cow": faults(facts), "walk": walks(facts)} | changes
    events = {name: records(name, rows) for name, rows in made.items()}
    return samples.run(ledger, kernel=facts, **events)


def wrong(made: Run) -> set[str]:
    return {row.rule for row in rules.cow_reuse(made) if row.agrees is False}


def test_writes_as_they_should_be(kernel_facts: KernelFacts) -> None:
    assert {row.agrees for row in rules.cow_reuse(run(kernel_facts))} == {True}


def test_where_no_writes_are_told(kernel_facts: KernelFacts) -> None:
    """The kernel's own files, and the walks, are held all the same."""
    rows = list(rules.cow_reuse(samples.run_by_events(run(kernel_facts))))
    assert {row.agrees for row in rows} == {True, None}
    untold = [row for row in rows if row.agrees is None]
    assert {row.explained for row in untold} == {(("what becomes of a write is not seen", 0),)}
    assert len(untold) == 5 * len(GROUPS) + 2
    held = [row.rule for row in rows if row.agrees]
    assert all("/proc/kpagecount" in rule or "walks to restore" in rule for rule in held)


def test_the_predictions_are_those_of_the_kernel(kernel_facts: KernelFacts) -> None:
    moved = semantics_of(kernel_facts).cow is Cow.EXCLUSIVE
    told = {row.rule for row in rules.cow_reuse(run(kernel_facts))}
    assert f"last: writes to pages that are {'moved' if moved else 'reused'}" in told
    assert "again: writes to pages that are reused" in told
    entered = 1 if moved else 3
    rule = f"walks to restore a page that its last owner has written enter {entered} VMAs"
    assert rule in told


@pytest.mark.parametrize("group", [name for name, *_ in GROUPS])
def test_an_outcome_that_is_another(kernel_facts: KernelFacts, group: str) -> None:
    at = list(itertools.accumulate((len(g[3]) for g in GROUPS), initial=0))
    place = at[[name for name, *_ in GROUPS].index(group)]
    rows = faults(kernel_facts)
    rows[place]["outcome"] = cow.OUTCOMES.index("other")
    broken = wrong(run(kernel_facts, cow=rows))
    assert any(rule.startswith(f"{group}: writes to pages that are") for rule in broken)
    assert all(rule.startswith((f"{group}:", "pages copied", "writes in place")) for rule in broken)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"faults": 3}, "shared: faults that the writer counts"),
        ({"before": [1, 9]}, "shared: frames before are those of /proc/self/pagemap"),
        ({"after": [91, 9]}, "shared: frames after are those of /proc/self/pagemap"),
        ({"kind": "file"}, "shared: pages are file by /proc/kpageflags"),
        (
            {"mappings_after": [1, 2]},
            "shared: pages mapped once after the write, by /proc/kpagecount",
        ),
    ],
)
def test_a_group_that_the_kernel_tells_otherwise(
    kernel_facts: KernelFacts, change: dict, broken: str
) -> None:
    ledger = copy.deepcopy(LEDGER)
    ledger["groups"][0] |= change
    assert wrong(run(kernel_facts, ledger)) == {broken}


def test_a_copy_that_nobody_told_of(kernel_facts: KernelFacts) -> None:
    assert wrong(run(kernel_facts, cow=faults(kernel_facts)[:-1])) == {
        "pages copied while others shared them, of all processes"
    }


@pytest.mark.parametrize("which", [0, 1])
def test_a_walk_that_enters_too_many(kernel_facts: KernelFacts, which: int) -> None:
    rows = walks(kernel_facts)
    rows[which]["vmas"] += 1
    (broken,) = wrong(run(kernel_facts, walk=rows))
    assert broken.startswith("walks to restore a page that its last owner has")


def test_pgreuse(kernel_facts: KernelFacts) -> None:
    ledger = copy.deepcopy(LEDGER)
    ledger["vmstat_after"]["pgreuse"] += 1
    assert wrong(run(kernel_facts, ledger)) == {"writes in place = pgreuse of /proc/vmstat"}
    late = {"time": 905, "outcome": cow.OUTCOMES.index("shared")}
    made = run(kernel_facts, ledger, cow=[*faults(kernel_facts), late])
    (row,) = [row for row in rules.cow_reuse(made) if "pgreuse" in row.rule]
    assert (row.agrees, row.explained) == (True, (("writes while /proc/vmstat was read", 1),))
    for missed, agrees in ((3, True), (2, False)):
        ledger["vmstat_after"]["pgreuse"] = 50 + 4 + 1 + 3
        account = {"cow": Account(9, 9 - missed, 0, missed, missed)}
        made = run(kernel_facts, ledger, cow=[*faults(kernel_facts), late])
        made = replace(made, sample=replace(made.sample, accounts=account))
        (row,) = [row for row in rules.cow_reuse(made) if "pgreuse" in row.rule]
        assert row.agrees is agrees
    ledger["vmstat_before"]["pgreuse"] = -1
    (row,) = [row for row in rules.cow_reuse(run(kernel_facts, ledger)) if "pgreuse" in row.rule]
    assert (row.agrees, row.observed) == (None, None)
