"""Samples to rows: exact buckets, sums over what is no label, and nothing for what is not known."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import samples
from rmapwatch.exporters.figures import COUNTS, DURATIONS, Each, Slots, Split
from rmapwatch.exporters.metrics import METRICS
from rmapwatch.probes import reclaim, state
from rmapwatch.probes.sample import DeactivationCounts, RunCounts
from rmapwatch.recordings.reader import Recording

FIXTURES = Path(__file__).parents[2] / "fixtures"
SAMPLE = samples.sample(0, 1)
NAMED = {metric.name: metric for metric in METRICS}


def rows(name: str, sample=SAMPLE) -> dict:
    metric = NAMED[name]
    return dict(metric.figures.rows(sample, metric.labels))


def test_durations_go_by_four_from_256_ns_to_17_s() -> None:
    limits = DURATIONS.limits()
    assert limits[0] == 256e-9
    assert limits[-1] == 2**34 / 1e9
    assert all(b == pytest.approx(4 * a) for a, b in itertools.pairwise(limits))


def test_counts_are_exact_up_to_16() -> None:
    assert COUNTS.limits()[:19] == (*range(17), 32, 64)


@pytest.mark.parametrize("buckets", [DURATIONS, COUNTS], ids=["durations", "counts"])
@pytest.mark.parametrize("slot", range(state.SLOTS))
def test_a_value_is_in_the_buckets_whose_limit_it_does_not_exceed(buckets, slot: int) -> None:
    """A slot's values are above the bound of the slot before, and do not exceed its own."""
    counts = buckets.cumulative(samples.one_slot(slot, 3))
    bound = buckets.bound(slot)
    for limit, count in zip(buckets.limits(), counts, strict=False):
        assert count == (3 if bound is not None and bound / buckets.unit <= limit else 0)
    assert counts[-1] == 3


@pytest.mark.parametrize(
    ("series", "longer_than", "looked_at"),
    [("6.12", 2**28 / 1e9, 310_186), ("7.3", 2**16 / 1e9, 62)],
)
def test_the_stall_of_a_recording_and_its_cure(
    series: str, longer_than: float, looked_at: int
) -> None:
    """A walk for 31 VMAs of use, by all of a process's VMAs, or by those of the page's index."""
    recorded = Recording(FIXTURES / f"ksm-stall-{series}").last_sample()
    key = ("restore", "ksm")
    found = rows("rmapwatch_walk_duration_seconds", recorded)[key]
    short = DURATIONS.limits().index(longer_than)
    assert (found.counts[short], found.counts[short + 1], found.counts[-1]) == (0, 1, 1)
    assert rows("rmapwatch_walk_vmas", recorded)[key].total == 31
    assert rows("rmapwatch_walk_vmas_looked_at_total", recorded)[key] == looked_at


def test_what_is_no_label_is_summed() -> None:
    found = dict(Slots("batches", "ns_slots", "ns", DURATIONS).rows(SAMPLE, ("caller",)))
    assert {key: histogram.counts[-1] for key, histogram in found.items()} == {
        ("inactive",): 0, ("evict",): 17, ("pages",): 0, ("clean",): 0,
    }  # fmt: skip
    assert found["evict",].total == 17 * 0.002


def test_a_sum_of_histograms_is_one_place_by_place() -> None:
    batches = dict(SAMPLE.batches)
    other = samples.one_slot(11, 5)
    batches["inactive", "kswapd"] = dataclasses.replace(
        batches["inactive", "kswapd"], ns=1_000_000, ns_slots=other
    )
    counted = dataclasses.replace(SAMPLE, batches=batches)
    found = dict(Slots("batches", "ns_slots", "ns", DURATIONS).rows(counted, ("reclaimer",)))
    both = tuple(a + b for a, b in zip(other, samples.one_slot(20, 17), strict=True))
    assert found["kswapd",].counts == DURATIONS.cumulative(both)
    assert found["kswapd",].total == 17 * 0.002 + 0.001


def test_labels_come_in_the_order_that_is_asked_for() -> None:
    by_key = Each("references").rows(SAMPLE, ("asked_by", "lru", "result"))
    found = dict(Each("references").rows(SAMPLE, ("result", "asked_by")))
    assert set(found) == {(result, asked_by) for (asked_by, _, result), _ in by_key}
    assert found["one", "shrink_list"] == 1009


def test_a_histogram_without_slots_has_no_row() -> None:
    walks = dict(SAMPLE.walks)
    key = ("unmap", "anon")
    walks[key] = dataclasses.replace(walks[key], vmas_slots=None)
    assert walks[key].vmas is not None
    found = rows("rmapwatch_walk_vmas", dataclasses.replace(SAMPLE, walks=walks))
    assert key not in found
    assert ("reference", "anon") in found


def test_what_is_not_known_has_no_row() -> None:
    assert ("damon", "file") not in rows("rmapwatch_walk_vmas")
    assert rows("rmapwatch_walks_total")["damon", "file"] == 7
    missed = rows("rmapwatch_probe_missed_total")
    assert missed == {("rmap_walk_anon", "collided"): 1, ("rmap_walk_anon", "stale"): 0}
    assert ("step_unmap",) not in rows("rmapwatch_probe_entries_total")
    assert rows("rmapwatch_probe_runs_total") == {}


def test_a_sum_with_an_unknown_part_is_not_known() -> None:
    assert dict(Each("walks", "vmas").rows(SAMPLE, ("op",)))[("reference",)] == 2003
    assert ("damon",) not in dict(Each("walks", "vmas").rows(SAMPLE, ("op",)))


@pytest.mark.parametrize("name", ["walk_duration_seconds", "walk_vmas", "walk_ptes"])
def test_a_histogram_is_there_before_the_first_walk(name: str) -> None:
    """Or `rate` would miss the first walk, which may be the one that stalls."""
    assert rows(f"rmapwatch_{name}")["unmap", "ksm"].counts[-1] == 0


def test_only_reference_walks_bail_out() -> None:
    assert {op for op, _ in rows("rmapwatch_walk_lock_bailouts_total")} == {"reference"}


def test_members_of_members_and_sums_of_mappings() -> None:
    found = rows("rmapwatch_reclaim_pages_total")
    assert found["evict", "kswapd", "kept"] == 17 * 3
    assert found["evict", "kswapd", "activated"] == 17
    assert found["evict", "kswapd", "reclaimed"] == 17 * 29
    assert len(found) == len(reclaim.CALLERS) * len(reclaim.RECLAIMERS) * 3


def test_a_mapping_is_summed_over_all_of_its_items() -> None:
    batches = dict(SAMPLE.batches)
    key = ("evict", "kswapd")
    batches[key] = dataclasses.replace(batches[key], activated={"anon": 2, "file": 3})
    found = rows("rmapwatch_reclaim_pages_total", dataclasses.replace(SAMPLE, batches=batches))
    assert found[(*key, "activated")] == 5


def test_every_member_of_the_kernels_account_is_shown() -> None:
    shown = {
        path.removeprefix("stats.")
        for name in ("rmapwatch_reclaim_pages_total", "rmapwatch_reclaim_obstacles_total")
        for path in NAMED[name].figures.values.values()
    }
    assert set(reclaim.STATS) <= shown


def test_split_keeps_the_order_of_labels() -> None:
    split = Split("batches", {"calls": "batches"})
    assert dict(split.rows(SAMPLE, ("caller", "reclaimer", "what")))["evict", "kswapd", "calls"]


def test_attachments() -> None:
    found = rows("rmapwatch_probe_attached")
    assert found["step_unmap", "try_to_unmap_one", "fentry", "it is traceable"] == 1
    assert found["step_migrate", "", "", SAMPLE.unavailable["step_migrate"]] == 0


def test_a_field_that_is_no_table() -> None:
    assert rows("rmapwatch_sample_quiet") == {(): 1}
    name = "rmapwatch_reclaim_deactivated_pages_total"
    counted = dataclasses.replace(SAMPLE, deactivation=DeactivationCounts(1, 7, 2, 5))
    assert rows(name, counted) == {("taken",): 7, ("activated",): 2, ("deactivated",): 5}
    assert rows(name, dataclasses.replace(SAMPLE, deactivation=None)) == {}


def test_runs_in_seconds() -> None:
    counted = dataclasses.replace(SAMPLE, runs={"step_unmap": RunCounts(3, 1_500_000_000)})
    assert rows("rmapwatch_probe_runs_total", counted) == {("step_unmap",): 3}
    assert rows("rmapwatch_probe_run_seconds_total", counted) == {("step_unmap",): 1.5}


def test_what_the_governor_does() -> None:
    names = (
        "step_sampling_ratio",
        "overhead_ratio",
        "overhead_limit_ratio",
        "governor_state",
        "program_cost_seconds",
    )
    assert [rows(f"rmapwatch_{name}") for name in names] == [
        {(): 0.0625},
        {(): 0.002},
        {(): 0.01},
        {("full",): 0, ("sampled",): 1},
        {("call",): 500e-9, ("step",): 100e-9},
    ]
    first = dataclasses.replace(SAMPLE.overhead, share=None, costs={})
    ungoverned = dataclasses.replace(SAMPLE, sampling=0.0, overhead=first)
    assert rows("rmapwatch_step_sampling_ratio", ungoverned) == {(): 0.0}
    assert rows("rmapwatch_overhead_ratio", ungoverned) == {}
    assert rows("rmapwatch_program_cost_seconds", ungoverned) == {}
    without = dataclasses.replace(SAMPLE, sampling=None, overhead=None)
    assert [rows(f"rmapwatch_{name}", without) for name in names] == [{}] * len(names)
