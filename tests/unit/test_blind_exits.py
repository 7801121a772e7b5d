"""A Sample of probes that read no memory as calls end: what is absent stays so to the end."""

import dataclasses
import io
import json

from rich.console import Console
from rmapwatch.collectors.frame import Frame, frame
from rmapwatch.exporters.metrics import METRICS
from rmapwatch.probes.sample import BatchCounts, Sample
from rmapwatch.recordings import codec
from rmapwatch.views.plain import screen
from samples import sample


def blind(scale: int) -> Sample:
    seen = sample(scale * 1_000_000_000, scale)
    walks = {
        key: dataclasses.replace(walk, ptes=None, ptes_slots=None)
        for key, walk in seen.walks.items()
    }
    batches = {
        key: BatchCounts(batch.batches, batch.ns, batch.ns_slots, batch.reclaimed)
        for key, batch in seen.batches.items()
    }
    absent = {"decisions": {}, "ksm": None, "failures": None}
    return dataclasses.replace(seen, backend="ftrace", walks=walks, batches=batches, **absent)


def shown() -> Frame:
    return frame(blind(3), blind(1))


def test_a_frame_has_none() -> None:
    (batch,) = shown().batches
    assert batch.reclaimed == 34 * 29
    assert batch.kept is batch.activated is batch.dirty is batch.writeback is None
    assert batch.unmap_failed is None
    assert {walk.ptes for walk in shown().walks} == {None}
    assert shown().decisions == []
    assert json.loads(json.dumps(dataclasses.asdict(shown())))["batches"][0]["kept"] is None


def test_a_screen_has_dashes() -> None:
    out = io.StringIO()
    Console(width=80, no_color=True, file=out).print(screen(shown()))
    (row,) = (line.split() for line in out.getvalue().splitlines() if line.startswith("evict"))
    assert row[:6] == ["evict", "kswapd", "34", "986", "-", "-"]


def test_prometheus_has_no_sample() -> None:
    rows = {m.name: list(m.figures.rows(blind(1), m.labels)) for m in METRICS}
    for name in (
        "rmapwatch_walk_ptes",
        "rmapwatch_reference_checks_total",
        "rmapwatch_reclaim_obstacles_total",
        "rmapwatch_reclaim_contradictions_total",
        "rmapwatch_ksm_pages_total",
    ):
        assert rows[name] == [], name
    pages = dict(rows["rmapwatch_reclaim_pages_total"])
    assert {outcome for *_, outcome in pages} == {"reclaimed"}
    assert rows["rmapwatch_walk_duration_seconds"]


def test_a_recording_keeps_it_absent() -> None:
    taken = blind(1)
    assert codec.load(Sample, json.loads(json.dumps(codec.dump(taken)))) == taken
