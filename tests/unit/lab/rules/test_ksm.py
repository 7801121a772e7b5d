"""The rules of KSM: they hold on what is right, and fail on the one thing made wrong."""

import copy
import dataclasses
from collections.abc import Iterable

import numpy as np
import pytest
import samples
from rmapwatch.kernels.changes import CHANGES
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.lab.rules import ksm as rules
from rmapwatch.lab.rules.row import Agreement, Run, op
from rmapwatch.probes import rmap
from rmapwatch.probes.sample import KsmCounts
from samples import calls, records, sample

VMSTAT = {"cow_ksm": 2}
FILES = {"pages_shared": 0, "pages_sharing": 0, "full_scans": 0}
LEDGER = {
    "processes": 3,
    "pages": 5,
    "cow": 2,
    "before": FILES,
    "merged": {"pages_shared": 5, "pages_sharing": 10, "full_scans": 4},
    "after": {"pages_shared": 5, "pages_sharing": 8, "full_scans": 8},
}
PAGES = {"shared": 5, "sharing": 10, "failed": 0, "removed": 15, "cow": 2}


ENDED = "pages that joined are all let go in the end"


def run(ledger: dict, begun: int = 8, vmstat: dict = VMSTAT, **pages: int) -> Run:
    counts = KsmCounts(PAGES | pages, {}, begun, calls(7))
    made = dataclasses.replace(sample(1, 1), ksm=counts)
    return samples.run(ledger, sample=made, vmstat=vmstat)


def wrong(made: Run) -> list[str]:
    return [row.rule for row in rules.ksm_merge(made) if row.agrees is False]


def test_a_merge_as_it_should_be() -> None:
    assert {row.agrees for row in rules.ksm_merge(run(LEDGER))} == {True}


@pytest.mark.parametrize(
    ("pages", "broken"),
    [
        ({"shared": 6}, {"pages that became KSM pages", ENDED}),
        ({"sharing": 9}, {"pages that joined a KSM page", ENDED}),
        ({"cow": 1}, {"writes to KSM pages", "writes to KSM pages = cow_ksm of /proc/vmstat"}),
        ({"removed": 3}, {ENDED}),
    ],
)
def test_a_count_that_is_off(pages: dict, broken: set) -> None:
    assert set(wrong(run(LEDGER, **pages))) == broken


@pytest.mark.parametrize("name", ["pages_shared", "pages_sharing"])
def test_a_kernel_that_merged_less(name: str) -> None:
    ledger = copy.deepcopy(LEDGER)
    ledger["merged"][name] -= 1
    assert f"/sys/kernel/mm/ksm/{name}" in wrong(run(ledger))


def test_a_kernel_that_does_not_count_copies() -> None:
    (row,) = (row for row in rules.ksm_merge(run(LEDGER, vmstat={})) if "vmstat" in row.rule)
    assert (row.agrees, row.observed) == (None, None)
    assert row.explained == (("this kernel's /proc/vmstat has no cow_ksm", 0),)


@pytest.mark.parametrize(("begun", "agrees"), [(7, False), (8, True), (9, True), (10, False)])
def test_one_pass_may_be_under_way(begun: int, agrees: bool) -> None:
    *_, row = rules.ksm_merge(run(LEDGER, begun=begun))
    assert row.agrees is agrees
    assert bool(row.explained) is (begun == 9)


def ksm_walks(*rows: tuple[str, int, int, int, int]) -> np.ndarray:
    """Walks of KSM pages: (op, pfn, VMAs entered, looked at, mappings found)."""
    names = ("pfn", "vmas", "looked_at", "ptes")
    usual = {"kind": rmap.KINDS.index("ksm")}
    made = [usual | {"op": op(name)} | dict(zip(names, row, strict=True)) for name, *row in rows]
    return records("walk", made)


def walked(ledger: dict, facts: KernelFacts, *rows: tuple[str, int, int, int, int]) -> Run:
    made = dataclasses.replace(sample(1, 1), ksm=None)
    vmstat = {"ksm_swpin_copy": 8}
    return samples.run(ledger, sample=made, walk=ksm_walks(*rows), kernel=facts, vmstat=vmstat)


def broken(rows: Iterable[Agreement]) -> list[str]:
    return [row.rule for row in rows if row.agrees is False]


STALL = {"vmas": 101, "pages": 7, "before": 3, "after": 5}


def test_what_a_stall_looks_at_on_each_kernel(kernel_facts: KernelFacts) -> None:
    by_index = CHANGES["ksm_walk_by_index"].seen_by(kernel_facts)
    migrate, restore = (7, 14) if by_index else (607, 1414)
    right = ("migrate", 3, 7, migrate, 7), ("restore", 5, 7, restore, 7)
    rows = list(rules.ksm_stall(walked(STALL, kernel_facts, *right)))
    assert {row.agrees for row in rows} == {True}
    one_more = right[0], ("restore", 5, 7, restore + 1, 7)
    assert broken(rules.ksm_stall(walked(STALL, kernel_facts, *one_more))) == [
        "VMAs that the walk to restore looks at"
    ]
    assert broken(rules.ksm_stall(walked(STALL, kernel_facts, right[0])))[0] == (
        "one walk to restore the KSM page"
    )


def untold(rows: Iterable[Agreement]) -> dict[str, str]:
    """By rule that cannot be held, why."""
    rows = list(rows)
    assert broken(rows) == []
    return {row.rule: row.explained[0][0] for row in rows if row.agrees is None}


def test_a_stall_of_which_nothing_is_seen_but_what_walks_enter(kernel_facts: KernelFacts) -> None:
    made = walked(STALL, kernel_facts, ("migrate", 3, 7, 0, 7), ("restore", 5, 7, 0, 7))
    assert untold(rules.ksm_stall(samples.run_by_events(made))) == {
        "VMAs that the walk to migrate looks at": "what walks look at is not seen",
        "mappings that the walk to migrate finds": "page-table entries are not seen",
        "VMAs that the walk to restore looks at": "what walks look at is not seen",
        "mappings that the walk to restore finds": "page-table entries are not seen",
    }


FORK = {
    "pages": 1,
    "copies": 2,
    "children": 3,
    "unseen": [{"errno": 0, "before": 1, "after": 2}],
    "seen": [{"errno": 0, "before": 2, "after": 3}],
}
FORKED = [
    ("migrate", 1, 8, -1, 8),
    ("restore", 2, 8, -1, 8),
    ("migrate", 2, 8, -1, 8),
    ("restore", 3, 14, -1, 8),
]


def test_walks_after_a_fork() -> None:
    facts = KernelFacts("", "", "")
    assert {row.agrees for row in rules.ksm_fork(walked(FORK, facts, *FORKED))} == {True}
    wrong = [*FORKED[:3], ("restore", 3, 8, -1, 8)]
    assert broken(rules.ksm_fork(walked(FORK, facts, *wrong))) == [
        "seen children: walks to restore that enter 14 VMAs, find 8"
    ]


def test_walks_after_a_fork_whose_entries_are_not_seen() -> None:
    facts = KernelFacts("", "", "")
    seen = samples.run_by_events(walked(FORK, facts, *FORKED))
    assert set(untold(rules.ksm_fork(seen)).values()) == {"page-table entries are not seen"}
    less = samples.run_by_events(walked(FORK, facts, *FORKED[:3], ("restore", 3, 8, -1, 8)))
    assert len(broken(rules.ksm_fork(less))) == 1


SWAP = {"pages": 4, "processes": 3, "swapped": 12}


@pytest.mark.parametrize(
    ("swapins", "walks", "wrong"),
    [
        ({}, 4, []),
        ({}, 3, ["walks that unmap a KSM page from all its processes"]),
        ({"same": 3}, 4, ["pages mapped as they came"]),
        ({"same": 6}, 4, []),
        ({}, 5, []),
        (
            {"copied": 7},
            4,
            ["pages copied on swap-in", "pages copied on swap-in = ksm_swpin_copy of /proc/vmstat"],
        ),
    ],
)
def test_who_takes_a_copy(swapins: dict, walks: int, wrong: list) -> None:
    counts = KsmCounts(PAGES, {"same": 4, "copied": 8} | swapins, 0, calls(0))
    # The fifth leaves a mapping: it does not count.
    rows = [("unmap", pfn, 3, -1, 3 if pfn < 4 else 2) for pfn in range(walks)]
    made = walked(SWAP, KernelFacts("", "", ""), *rows)
    made = dataclasses.replace(made, sample=dataclasses.replace(made.sample, ksm=counts))
    assert broken(rules.ksm_swap(made)) == wrong
    unmapped = "walks that unmap a KSM page from all its processes"
    unseen = {row.rule: row for row in rules.ksm_swap(samples.run_by_events(made))}
    assert unseen[unmapped].explained == (("page-table entries are not seen", walks),)
