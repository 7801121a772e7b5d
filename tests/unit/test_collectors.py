"""Readings of a window: what was added between two samples, and None where nobody can tell."""

import dataclasses

import pytest
from rmapwatch.collectors import cow, failures, forks, ksm, moves, reclaim, walks
from samples import sample

THEN, NOW = sample(1_000_000_000, 1), sample(3_000_000_000, 3)


def test_walks_of_a_window() -> None:
    rows = {(row.op, row.kind): row for row in walks.walks(NOW, THEN)}
    assert rows["reference", "anon"].walks == 2 * 1009
    assert rows["reference", "anon"].vmas == 2 * 2003
    assert rows["reference", "anon"].seconds == pytest.approx(0.010)
    assert rows["reference", "anon"].vmas_p99 == 1
    assert ("restore", "anon") not in rows


def test_dearest_first() -> None:
    assert [row.op for row in walks.walks(NOW, THEN)] == ["unmap", "reference", "damon"]


def test_what_no_probe_counts_is_none() -> None:
    damon = next(row for row in walks.walks(NOW, THEN) if row.op == "damon")
    assert damon.vmas is None
    assert damon.vmas_p99 is None
    assert damon.bailouts is None
    missing = next(row for row in walks.probes(NOW) if row.probe == "step_migrate")
    assert missing.attached is None
    assert missing.missed is None


def test_a_window_in_which_nothing_happened() -> None:
    assert walks.walks(NOW, NOW) == []
    assert walks.references(NOW, NOW) == []
    assert reclaim.batches(NOW, NOW) == []
    assert reclaim.decisions(NOW, NOW) == []
    assert reclaim.stalls(NOW, NOW) == []


def test_reclaim_of_a_window() -> None:
    (batch,) = reclaim.batches(NOW, THEN)
    assert (batch.caller, batch.reclaimer) == ("evict", "kswapd")
    assert (batch.batches, batch.reclaimed, batch.kept) == (34, 34 * 29, 34 * 3)
    assert (batch.activated, batch.dirty) == (34, 0)
    assert batch.seconds == pytest.approx(0.068)
    (decision,) = reclaim.decisions(NOW, THEN)
    assert (decision.lru, decision.decision, decision.checks) == ("anon", "keep", 62)
    (stall,) = reclaim.stalls(NOW, THEN)
    assert (stall.reclaimer, stall.calls) == ("direct", 6)
    assert stall.seconds == pytest.approx(0.018)


def test_without_a_last_sample_it_is_since_the_start() -> None:
    (batch,) = reclaim.batches(NOW)
    assert batch.batches == 51


def test_ksm_of_a_window() -> None:
    rows = {row.event: row.pages for row in ksm.pages(NOW, THEN)}
    assert rows == {"shared": 2 * 101, "sharing": 2 * 606}
    assert [(row.outcome, row.pages) for row in ksm.swapins(NOW, THEN)] == [("copied", 10)]
    (scan,) = ksm.scans(NOW, THEN)
    assert (scan.passes, scan.seconds) == (2, pytest.approx(0.006))
    assert ksm.pages(NOW, NOW) == ksm.swapins(NOW, NOW) == ksm.scans(NOW, NOW) == []


def test_failures_of_a_window() -> None:
    (failure,) = failures.failures(NOW, THEN)
    assert (failure.page_type, failure.result, failure.failures) == ("dirty_lru", "recovered", 2)
    rows = {row.handler: row for row in failures.handled(NOW, THEN)}
    assert (rows["memory_failure"].calls, rows["memory_failure"].errors) == (4, 2)
    assert rows["collect_procs"].calls == 4
    assert rows["collect_procs"].errors is None
    assert {(row.code, row.signals) for row in failures.signals(NOW, THEN)} == {
        ("BUS_MCEERR_AR", 2),
        ("BUS_MCEERR_AO", 2),
    }
    assert failures.failures(NOW, NOW) == failures.handled(NOW, NOW) == []
    assert failures.signals(NOW, NOW) == []


def test_migration_of_a_window() -> None:
    (row,) = moves.migrations(NOW, THEN)
    assert (row.reason, row.calls, row.succeeded, row.failed, row.split) == (
        "syscall",
        14,
        422,
        4,
        0,
    )
    assert row.seconds == pytest.approx(0.070)
    unreported = dataclasses.replace(NOW.migrations["syscall"], succeeded=None)
    (row,) = moves.migrations(dataclasses.replace(NOW, migrations={"syscall": unreported}), THEN)
    assert (row.calls, row.succeeded, row.failed) == (14, None, 4)
    assert moves.migrations(NOW, NOW) == []


def test_waits_of_a_window() -> None:
    rows = {(row.lock, row.mode, row.during): row for row in moves.lock_waits(NOW, THEN)}
    assert set(rows) == {("anon_vma", "read", "walk"), ("i_mmap", "read", "walk")}
    assert rows["anon_vma", "read", "walk"].waits == 26
    assert rows["anon_vma", "read", "walk"].seconds == pytest.approx(0.078)
    assert moves.lock_waits(NOW, NOW) == []


def test_a_recording_of_before_migration_was_watched() -> None:
    old = dataclasses.replace(NOW, migrations={}, lock_waits={})
    assert moves.migrations(old, old) == moves.lock_waits(old) == []


def test_a_recording_of_before_ksm_was_watched() -> None:
    old = dataclasses.replace(NOW, ksm=None, failures=None)
    assert ksm.pages(old) == ksm.swapins(old) == ksm.scans(old) == []
    assert failures.failures(old) == failures.handled(old) == failures.signals(old) == []


def test_what_walks_look_at() -> None:
    assert {row.looked_at for row in walks.walks(NOW, THEN)} == {None}

    def looked(base, at: int):
        counts = dataclasses.replace(base.walks["unmap", "anon"], looked_at=at)
        return dataclasses.replace(base, walks={("unmap", "anon"): counts})

    (row,) = walks.walks(looked(NOW, 70), looked(THEN, 20))
    assert row.looked_at == 50


def test_forks_of_a_window() -> None:
    rows = {row.step: row for row in forks.steps(NOW, THEN)}
    assert set(rows) == {"copy_process", "anon_vma_fork", "copy_page_range"}
    assert (rows["copy_process"].calls, rows["copy_process"].errors) == (6, 2)
    assert rows["copy_process"].seconds == pytest.approx(0.018)
    assert rows["copy_page_range"].errors == 0
    (birth,) = forks.births(NOW, THEN)
    assert (birth.vmas, birth.pages) == (58, 1018)
    (clone,) = forks.clones(NOW, THEN)
    assert (clone.cloner, clone.calls, clone.links, clone.links_p99) == ("fork", 26, 52, 2)
    assert clone.seconds == pytest.approx(26e-6)


def test_pages_that_could_not_be_summed_are_none() -> None:
    for then, now in ((True, False), (False, True), (True, True)):
        unsummed = [
            dataclasses.replace(s, forks=dataclasses.replace(s.forks, pages=None)) if cut else s
            for s, cut in ((THEN, then), (NOW, now))
        ]
        (birth,) = forks.births(unsummed[1], unsummed[0])
        assert (birth.vmas, birth.pages) == (58, None)


def test_copy_on_write_of_a_window() -> None:
    assert [(row.page, row.outcome, row.faults) for row in cow.faults(NOW, THEN)] == [
        ("anon", "copied", 202),
        ("anon", "moved", 62),
    ]
    assert [(row.outcome, row.faults) for row in cow.times(NOW, THEN)] == [
        ("copied", 202),
        ("moved", 62),
    ]


def test_forks_that_nobody_watches() -> None:
    unwatched = dataclasses.replace(NOW, forks=None, cow=None)
    for read in (forks.steps, forks.births, forks.clones, cow.faults, cow.times):
        assert read(unwatched, THEN) == []
        assert read(NOW, unwatched) == read(NOW)
        assert read(NOW, NOW) == []
