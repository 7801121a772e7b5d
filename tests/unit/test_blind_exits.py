"""A Sample of probes that read no memory as calls end: what is absent stays so to the end."""

import dataclasses
import io
import json

import numpy as np
from rich.console import Console
from rmapwatch.check import totals
from rmapwatch.collectors.frame import Frame, frame
from rmapwatch.exporters.metrics import METRICS
from rmapwatch.lab.agreement import forks, moves_and_waits, pages_of_ksm, writes
from rmapwatch.probes import events
from rmapwatch.probes.cow import UNSEEN
from rmapwatch.probes.sample import BatchCounts, CowCounts, ForkCounts, KsmCounts, Sample
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
    events = {"walk": seen.events["walk"]}
    return dataclasses.replace(
        seen,
        backend="ftrace",
        walks=walks,
        batches=batches,
        decisions={},
        events=events,
        **less(seen, scale),
    )


def less(seen: Sample, scale: int) -> dict[str, KsmCounts | ForkCounts | CowCounts]:
    """KSM, forks and writes, without what lies in memory as a call ends."""
    assert seen.ksm is not None
    assert seen.forks is not None
    assert seen.cow is not None
    pages = {event: count for event, count in seen.ksm.pages.items() if event != "cow"}
    clones = {
        cloner: dataclasses.replace(clone, links=None, links_slots=None)
        for cloner, clone in seen.forks.clones.items()
    }
    calls = next(iter(seen.cow.calls.values()))
    return {
        "ksm": dataclasses.replace(seen.ksm, pages=pages, begun=None),
        "forks": dataclasses.replace(seen.forks, clones=clones, pages=None),
        "cow": CowCounts({(UNSEEN, UNSEEN): scale}, {UNSEEN: calls}),
    }


def shown() -> Frame:
    return frame(blind(3), blind(1))


def test_a_frame_has_none() -> None:
    (batch,) = shown().batches
    assert batch.reclaimed == 34 * 29
    assert batch.kept is batch.activated is batch.dirty is batch.writeback is None
    assert batch.unmap_failed is None
    assert {walk.ptes for walk in shown().walks} == {None}
    assert shown().decisions == []
    assert {clone.links for clone in shown().clones} == {None}
    assert {clone.links_p99 for clone in shown().clones} == {None}
    assert all(clone.calls for clone in shown().clones)
    assert "cow" not in {row.event for row in shown().ksm_pages}
    assert [(row.page, row.outcome, row.faults) for row in shown().cow_faults] == [
        ("unseen", "unseen", 2)
    ]
    assert {birth.pages for birth in shown().births} == {None}
    assert json.loads(json.dumps(dataclasses.asdict(shown())))["batches"][0]["kept"] is None


def test_a_screen_has_dashes() -> None:
    out = io.StringIO()
    Console(width=80, no_color=True, file=out).print(screen(shown()))
    (row,) = (line.split() for line in out.getvalue().splitlines() if line.startswith("evict"))
    assert row[:6] == ["evict", "kswapd", "34", "986", "-", "-"]
    at = out.getvalue().index("chains of anon_vmas copied")
    chains = out.getvalue()[at:].splitlines()[2].split()
    assert (chains[0], chains[2]) == ("fork", "-")


def test_prometheus_has_no_sample() -> None:
    rows = {m.name: list(m.figures.rows(blind(1), m.labels)) for m in METRICS}
    for name in (
        "rmapwatch_walk_ptes",
        "rmapwatch_reference_checks_total",
        "rmapwatch_reclaim_obstacles_total",
        "rmapwatch_reclaim_contradictions_total",
        "rmapwatch_anon_vma_chain_length",
        "rmapwatch_fork_pages_total",
    ):
        assert rows[name] == [], name
    assert rows["rmapwatch_anon_vma_clone_duration_seconds"]
    assert ("cow",) not in dict(rows["rmapwatch_ksm_pages_total"])
    assert dict(rows["rmapwatch_cow_faults_total"]) == {("unseen", "unseen"): 1}
    pages = dict(rows["rmapwatch_reclaim_pages_total"])
    assert {outcome for *_, outcome in pages} == {"reclaimed"}
    assert rows["rmapwatch_walk_duration_seconds"]


def test_a_recording_keeps_it_absent() -> None:
    taken = blind(1)
    assert codec.load(Sample, json.loads(json.dumps(codec.dump(taken)))) == taken


def test_rules_of_events_that_nobody_tells_are_not_held() -> None:
    """Events tell of walks alone: what is counted beside them has nothing to be held against."""
    taken = blind(1)
    nothing = {name: np.zeros(0, np.dtype(events.numpy_fields(name))) for name in events.EVENTS}
    for rule in (pages_of_ksm, moves_and_waits, forks, writes):
        assert list(rule(taken, nothing)) == [], rule
    found = {row.rule: row for row in totals.counted(taken, totals.Told())}
    for rule in (totals.KSM, totals.COPIES):
        assert not found[rule].held
        assert found[rule].explained
