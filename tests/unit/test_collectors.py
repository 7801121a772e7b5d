"""Readings of a window: what was added between two samples, and None where nobody can tell."""

import pytest
from rmapwatch.collectors import reclaim, walks
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
