"""Reclaim cost: batches by caller and reclaimer, decisions of the reference check, stalls. Pure."""

from __future__ import annotations

from ..probes.sample import BatchCounts, Sample, StallCounts
from ..probes.state import duration_bound_ns
from .histograms import difference, quantile
from .readings import BatchReading, DecisionReading, StallReading

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
    stats = {
        name: value - (before.stats[name] if before else 0) for name, value in now.stats.items()
    }
    activated = sum(now.activated.values()) - (sum(before.activated.values()) if before else 0)
    p99 = quantile(0.99, slots, duration_bound_ns)
    return BatchReading(
        caller=caller,
        reclaimer=reclaimer,
        batches=now.batches - (before.batches if before else 0),
        reclaimed=now.reclaimed - (before.reclaimed if before else 0),
        activated=activated,
        kept=stats["nr_ref_keep"],
        unmap_failed=stats["nr_unmap_fail"],
        dirty=stats["nr_dirty"],
        writeback=stats["nr_writeback"],
        seconds=(now.ns - (before.ns if before else 0)) / _NS,
        p99=p99 / _NS if p99 is not None else None,
    )


def decisions(sample: Sample, last: Sample | None = None) -> list[DecisionReading]:
    """Return the decisions of the reference check between `last` (None: the start) and `sample`."""
    return [
        DecisionReading(lru, decision, checks)
        for (lru, decision), now in sample.decisions.items()
        if (checks := now - (last.decisions[lru, decision] if last else 0))
    ]


def stalls(sample: Sample, last: Sample | None = None) -> list[StallReading]:
    """Return the calls for memory between `last` (None: the start) and `sample`."""
    return [
        _stall(reclaimer, now, last.stalls[reclaimer] if last else None)
        for reclaimer, now in sample.stalls.items()
        if now.calls > (last.stalls[reclaimer].calls if last else 0)
    ]


def _stall(reclaimer: str, now: StallCounts, before: StallCounts | None) -> StallReading:
    slots = difference(now.ns_slots, before.ns_slots if before else None)
    p99 = quantile(0.99, slots, duration_bound_ns)
    return StallReading(
        reclaimer=reclaimer,
        calls=now.calls - (before.calls if before else 0),
        seconds=(now.ns - (before.ns if before else 0)) / _NS,
        p99=p99 / _NS if p99 is not None else None,
    )
