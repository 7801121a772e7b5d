"""Reclaim cost: batches by caller and reclaimer, decisions of the reference check, stalls. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..probes.sample import BatchCounts, IsolationCounts, Sample
from ..probes.state import duration_bound_ns
from .calls import costs
from .histograms import difference, quantile
from .readings import AgeReading, BatchReading, DecisionReading, IsolationReading, StallReading

_NS = 1e9


def batches(sample: Sample, last: Sample | None = None) -> list[BatchReading]:
    """Return the batches between `last` (None: the start) and `sample`, dearest first."""
    rows = [
        _batch(caller, reclaimer, now, last.batches[caller, reclaimer] if last else None)
        for (caller, reclaimer), now in sample.batches.items()
        if now.batches > (last.batches[caller, reclaimer].batches if last else 0)
    ]
    return sorted(rows, key=lambda row: -row.seconds)


def _batch(
    caller: str, reclaimer: str, now: BatchCounts, before: BatchCounts | None
) -> BatchReading:
    slots = difference(now.ns_slots, before.ns_slots if before else None)
    stats = _since(now.stats, before.stats if before else None)
    activated = _since(now.activated, before.activated if before else None)
    p99 = quantile(0.99, slots, duration_bound_ns)
    return BatchReading(
        caller=caller,
        reclaimer=reclaimer,
        batches=now.batches - (before.batches if before else 0),
        reclaimed=now.reclaimed - (before.reclaimed if before else 0),
        activated=sum(activated.values()) if activated else None,
        kept=stats.get("nr_ref_keep"),
        unmap_failed=stats.get("nr_unmap_fail"),
        dirty=stats.get("nr_dirty"),
        writeback=stats.get("nr_writeback"),
        seconds=(now.ns - (before.ns if before else 0)) / _NS,
        p99=p99 / _NS if p99 is not None else None,
    )


def _since(now: Mapping[str, int] | None, before: Mapping[str, int] | None) -> Mapping[str, int]:
    """Return what was added since `before`; empty where it is not told."""
    return {name: value - (before[name] if before else 0) for name, value in (now or {}).items()}


def decisions(sample: Sample, last: Sample | None = None) -> list[DecisionReading]:
    """Return the decisions of the reference check between `last` (None: the start) and `sample`."""
    return [
        DecisionReading(lru, decision, checks)
        for (lru, decision), now in sample.decisions.items()
        if (checks := now - (last.decisions[lru, decision] if last else 0))
    ]


def stalls(sample: Sample, last: Sample | None = None) -> list[StallReading]:
    """Return the calls for memory between `last` (None: the start) and `sample`."""
    before = last.stalls if last else {}
    return [StallReading(name, *cost) for name, cost in costs(sample.stalls, before)]


def ages(sample: Sample, last: Sample | None = None) -> list[AgeReading]:
    """Return the calls that make pages older between `last` (None: the start) and `sample`."""
    before = last.ages if last else {}
    return [AgeReading(name, *cost) for name, cost in costs(sample.ages, before)]


_NO_ISOLATION = IsolationCounts(0, 0, 0)


def isolations(sample: Sample, last: Sample | None = None) -> list[IsolationReading]:
    """Return what was taken off each list between `last` (None: the start) and `sample`."""
    rows = []
    for key, now in sample.isolations.items():
        before = last.isolations.get(key, _NO_ISOLATION) if last else _NO_ISOLATION
        if now.isolations > before.isolations:
            scanned, taken = now.scanned - before.scanned, now.taken - before.taken
            isolated = now.isolations - before.isolations
            rows.append(IsolationReading(*key, isolated, scanned, taken))
    return rows
