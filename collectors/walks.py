"""Walk cost: what reverse-map walks cost, by op and kind. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

from ..probes.sample import Account, Sample, WalkCounts
from ..probes.state import count_bound, duration_bound_ns
from .histograms import difference, quantile
from .readings import EventReading, ProbeReading, ReferenceReading, WalkReading

_NS = 1e9


def walks(sample: Sample, last: Sample | None = None) -> list[WalkReading]:
    """Return the walks between `last` (None: the start) and `sample`, dearest first."""
    rows = []
    for (op, kind), now in sample.walks.items():
        before = last.walks.get((op, kind)) if last else None
        if now.walks > (before.walks if before else 0):
            rows.append(_row(op, kind, now, before))
    return sorted(rows, key=lambda row: -row.seconds)


def _row(op: str, kind: str, now: WalkCounts, before: WalkCounts | None) -> WalkReading:
    slots = difference(now.ns_slots, before.ns_slots if before else None)
    p50, p99 = (quantile(q, slots, duration_bound_ns) for q in (0.5, 0.99))
    known = now.ptes_slots and sum(
        difference(now.ptes_slots, before.ptes_slots if before else None)
    )
    return WalkReading(
        op=op,
        kind=kind,
        walks=now.walks - (before.walks if before else 0),
        vmas=_since(now.vmas, before.vmas if before else None),
        ptes=_since(now.ptes, before.ptes if before else None) if known else None,
        seconds=(now.ns - (before.ns if before else 0)) / _NS,
        p50=p50 / _NS if p50 is not None else None,
        p99=p99 / _NS if p99 is not None else None,
        vmas_p99=_vmas_p99(now.vmas_slots, before.vmas_slots if before else None),
        bailouts=now.bailouts - (before.bailouts if before else 0) if op == "reference" else None,
        looked_at=_since(now.looked_at, before.looked_at if before else None),
    )


def _since(now: int | None, before: int | None) -> int | None:
    return None if now is None else now - (before or 0)


def _vmas_p99(now: Sequence[int] | None, before: Sequence[int] | None) -> float | None:
    return None if now is None else quantile(0.99, difference(now, before), count_bound)


def references(sample: Sample, last: Sample | None = None) -> list[ReferenceReading]:
    """Return the reference checks between `last` (None: the start) and `sample`."""
    return [
        ReferenceReading(*key, checks=checks)
        for key, now in sample.references.items()
        if (checks := now - (last.references[key] if last else 0))
    ]


def probes(sample: Sample) -> list[ProbeReading]:
    """Return every probe point asked for: attached or why not, and its account."""
    attached = [
        ProbeReading(
            row.probe, row.symbol, row.mechanism, row.reason, **asdict(sample.accounts[row.probe])
        )
        for row in sample.attached
    ]
    nothing = dict.fromkeys(field.name for field in fields(Account))
    missing = [
        ProbeReading(probe, None, None, reason, **nothing)
        for probe, reason in sample.unavailable.items()
    ]
    return attached + missing


def events(sample: Sample) -> list[EventReading]:
    """Return what became of the events of each type."""
    return [
        EventReading(name, counts.produced, counts.received, counts.lost)
        for name, counts in sample.events.items()
    ]
