"""A real Prometheus scrapes a replay, and answers as `rmapwatch top` does of the same recording."""

import subprocess

import pytest
from rmapwatch.exporters.metrics import HISTOGRAM, METRICS
from servers import program

WINDOW_S = 60

# What this recording is too old to have.
# Histograms of what the recording did not exercise: nothing grew old or was merged or failed.
ABSENT = {
    "rmapwatch_reclaim_ageing_duration_seconds",
    "rmapwatch_ksm_scan_duration_seconds",
    "rmapwatch_memory_failure_duration_seconds",
    # The recording is older than these.
    "rmapwatch_fork_duration_seconds",
    "rmapwatch_anon_vma_clone_duration_seconds",
    "rmapwatch_anon_vma_chain_length",
    "rmapwatch_cow_fault_duration_seconds",
    "rmapwatch_migration_duration_seconds",
    "rmapwatch_rmap_lock_wait_seconds",
}


def labels(**names: str) -> frozenset:
    return frozenset({**names, "job": "rmapwatch"}.items())


def by(scraped, expression: str) -> dict[frozenset, float]:
    """The values that are not 0, by their labels without instance and name."""
    found = scraped.prometheus.values(expression)
    return {
        frozenset(pair for pair in key if pair[0] not in ("instance", "__name__")): value
        for key, value in found.items()
        if value
    }


def grown(name: str) -> str:
    """What a counter grew by, exactly: `increase` extrapolates."""
    return f"max_over_time({name}[{WINDOW_S}s]) - min_over_time({name}[{WINDOW_S}s])"


def test_the_walks_are_those_of_the_frame(scraped) -> None:
    told = {labels(op=row.op, kind=row.kind): row.walks for row in scraped.frame.walks}
    assert len(told) == 3
    assert by(scraped, grown("rmapwatch_walks_total")) == told
    assert by(scraped, grown("rmapwatch_walk_duration_seconds_count")) == told


def test_increase_and_rate_are_those_of_the_frame_but_for_extrapolation(scraped) -> None:
    """Of a counter that starts from 0, what is added is at most 1.1 of a mean scrape interval."""
    name = "rmapwatch_walks_total"
    scrapes = by(scraped, f"count_over_time({name}[{WINDOW_S}s])")
    increase = by(scraped, f"increase({name}[{WINDOW_S}s])")
    rate = by(scraped, f"rate({name}[{WINDOW_S}s]) * {WINDOW_S}")
    for row in scraped.frame.walks:
        key = labels(op=row.op, kind=row.kind)
        limit = row.walks * (1 + 1.1 / (scrapes[key] - 1))
        assert row.walks <= increase[key] <= limit
        assert row.walks <= rate[key] <= limit


def test_time_in_walks_is_that_of_the_frame(scraped) -> None:
    told = {labels(op=row.op, kind=row.kind): row.seconds for row in scraped.frame.walks}
    grew = by(scraped, grown("rmapwatch_walk_duration_seconds_sum"))
    assert grew == {key: pytest.approx(seconds, rel=1e-12) for key, seconds in told.items()}


def test_sizes_of_walks_are_those_of_the_frame(scraped) -> None:
    for name, member in (("rmapwatch_walk_vmas_sum", "vmas"), ("rmapwatch_walk_ptes_sum", "ptes")):
        told = {labels(op=r.op, kind=r.kind): getattr(r, member) for r in scraped.frame.walks}
        assert by(scraped, name) == told


def test_reclaim_is_that_of_the_frame(scraped) -> None:
    told = {
        labels(caller=row.caller, reclaimer=row.reclaimer, outcome=outcome): getattr(row, outcome)
        for row in scraped.frame.batches
        for outcome in ("reclaimed", "activated", "kept")
    }
    assert by(scraped, grown("rmapwatch_reclaim_pages_total")) == told
    decisions = {labels(lru=r.lru, decision=r.decision): r.checks for r in scraped.frame.decisions}
    assert by(scraped, grown("rmapwatch_reference_checks_total")) == decisions
    stalls = {labels(reclaimer=row.reclaimer): row.calls for row in scraped.frame.stalls}
    assert by(scraped, grown("rmapwatch_reclaim_stall_duration_seconds_count")) == stalls


def test_a_quantile_by_promql_is_in_the_bucket_of_the_frame(scraped) -> None:
    """The page has every second slot of the kernel: the two differ by less than a bucket."""
    expression = "histogram_quantile(0.99, rmapwatch_walk_duration_seconds_bucket)"
    found = {key: p99 for key, p99 in by(scraped, expression).items() if p99 == p99}
    assert len(found) == len(scraped.frame.walks)
    for row in scraped.frame.walks:
        assert row.p99 / 4 <= found[labels(op=row.op, kind=row.kind)] <= row.p99 * 4


@pytest.mark.parametrize(
    "metric", [m for m in METRICS if m.kind == HISTOGRAM], ids=lambda m: m.name
)
def test_a_histogram_is_one_to_prometheus(scraped, metric) -> None:
    count = by(scraped, f"{metric.name}_count")
    infinite = by(scraped, f'{metric.name}_bucket{{le="+Inf"}}')
    assert bool(count) == (metric.name not in ABSENT)
    assert {key - {("le", "+Inf")}: value for key, value in infinite.items()} == count


def test_promtool_has_no_complaint(scraped) -> None:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=scraped.page, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
