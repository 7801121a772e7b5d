"""The kernel's own counters against the probes: each row fails on the one thing made wrong."""

from dataclasses import replace

import pytest
from rmapwatch.kernels.facts import Function
from rmapwatch.lab.rules.counters import memory_stat, migrated, vmstat
from rmapwatch.probes.reclaim import CALLERS
from rmapwatch.probes.sample import IsolationCounts, Sample, ShrunkCounts
from samples import KERNEL, batch_counts, records, run, sample

RSTAT = replace(KERNEL, functions={"mem_cgroup_css_rstat_flush": Function(True)})
VMSTAT = {"pgscan_anon": 60, "pgscan_file": 40, "pgsteal_anon": 20, "pgsteal_file": 10}
LEDGER = {
    "cgroup_id": 7,
    "memory_stat_before": {"pgscan": 1, "pgsteal": 2},
    "memory_stat_after": {"pgscan": 101, "pgsteal": 32},
}


def seen(**changes: object) -> Sample:
    """100 pages scanned, 70 by the classic LRU and 30 by MGLRU; 30 pages reclaimed."""
    isolations = {
        ("classic", "inactive_anon"): IsolationCounts(2, 60, 50),
        ("classic", "inactive_file"): IsolationCounts(1, 10, 10),
        ("classic", "active_file"): IsolationCounts(9, 900, 900),
        ("mglru", "inactive_anon"): IsolationCounts(1, 500, 0),
        ("mglru", "inactive_file"): IsolationCounts(1, 500, 30),
    }
    shrunk = {"classic": ShrunkCounts(2, 60, 18), "mglru": ShrunkCounts(2, 60, 12)}
    batches = {
        ("inactive", "memcg"): replace(batch_counts(1), reclaimed=18),
        ("evict", "memcg"): replace(batch_counts(1), reclaimed=12),
        ("pages", "madvise"): replace(batch_counts(1), reclaimed=400),
    }
    usual = {"isolations": isolations, "shrunk": shrunk, "batches": batches}
    return replace(sample(1, 1), **{**usual, **changes})


def batches(*rows: tuple[int, str, int]) -> dict:
    """Events of batches: (cgroup, caller, reclaimed)."""
    told = [{"memcg": m, "caller": CALLERS.index(c), "reclaimed": r} for m, c, r in rows]
    return {"batch": records("batch", told)}


OWN = batches((7, "inactive", 18), (7, "evict", 12), (7, "pages", 400))


def test_the_kernels_counters_are_those_seen() -> None:
    rows = list(vmstat(run({}, sample=seen(), vmstat=VMSTAT)))
    assert [row.agrees for row in rows] == [True] * 3
    assert [row.observed for row in rows] == [100, 30, 30]


@pytest.mark.parametrize(
    ("counter", "wrong"), [("pgscan_anon", [0]), ("pgsteal_file", [1, 2]), ("pgscan_file", [0])]
)
def test_a_page_that_was_not_seen(counter: str, wrong: list[int]) -> None:
    told = VMSTAT | {counter: VMSTAT[counter] + 1}
    rows = list(vmstat(run({}, sample=seen(), vmstat=told)))
    assert [n for n, row in enumerate(rows) if row.agrees is False] == wrong


def test_a_kernel_whose_eviction_is_not_reported() -> None:
    untold = seen(
        isolations=seen().isolations
        | {
            ("mglru", name): IsolationCounts(0, 0, 0) for name in ("inactive_anon", "inactive_file")
        },
        shrunk=seen().shrunk | {"mglru": ShrunkCounts(0, 0, 0)},
    )
    scan, shrunk, stolen = vmstat(run({}, sample=untold, vmstat=VMSTAT))
    assert (scan.agrees, shrunk.agrees, stolen.agrees) == (None, None, True)
    assert "evict_folios" in scan.explained[0][0]


def of_cgroup(kernel=RSTAT, ledger=LEDGER, told=OWN, **changes: object) -> list:
    return list(memory_stat(run(ledger, sample=seen(**changes), kernel=kernel, **told)))


def test_memory_stat_is_what_was_seen() -> None:
    assert [row.agrees for row in of_cgroup()] == [True, True]


def test_a_ledger_without_memory_stat_says_nothing() -> None:
    assert of_cgroup(ledger={}) == []


def test_another_cgroups_pages_are_not_this_ones() -> None:
    told = batches((7, "inactive", 18), (7, "evict", 12), (8, "evict", 5))
    steal, scan = of_cgroup(told=told)
    assert steal.agrees is True
    assert scan.agrees is None
    assert scan.explained == (("others were reclaimed from too", 0),)


def test_a_difference_fails_where_nothing_is_held_back() -> None:
    told = batches((7, "inactive", 19), (7, "evict", 12))
    assert [row.agrees for row in of_cgroup(told=told)] == [False, True]


@pytest.mark.parametrize(("reclaimed", "agrees"), [(12 + 128, True), (12 + 129, False)])
def test_without_rstat_a_cpu_may_hold_some_back(reclaimed: int, agrees: bool) -> None:
    told = batches((7, "inactive", 18), (7, "evict", reclaimed))
    steal, _ = of_cgroup(kernel=KERNEL, told=told)
    assert steal.agrees is agrees
    if agrees:
        assert steal.explained[0][1] == reclaimed - 12


@pytest.mark.parametrize(("success", "fail"), [(211, 2), (210, 2), (211, 0)])
def test_pages_moved_are_those_of_vmstat(success: int, fail: int) -> None:
    told = {"pgmigrate_success": success, "pgmigrate_fail": fail}
    rows = list(migrated(run({}, vmstat=told)))
    assert [row.agrees for row in rows] == [success == 211, fail == 2]
    assert [row.observed for row in rows] == [211, 2]


def test_nothing_is_said_of_pages_that_are_not_reported() -> None:
    silent = replace(sample(1, 1).migrations["syscall"], succeeded=None, failed=None)
    for migrations in ({"syscall": silent}, {}):
        seen = replace(sample(1, 1), migrations=migrations)
        assert not list(migrated(run({}, sample=seen, vmstat={"pgmigrate_success": 211})))
