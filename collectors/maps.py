"""The hottest maps and who pays for walking them, of a window. Pure."""

from __future__ import annotations

from ..probes.sample import MapCounts, PayerCounts, Sample
from .readings import MapReading, PayerReading

_NS = 1e9


def maps(sample: Sample, last: Sample | None = None) -> list[MapReading]:
    """Return what walks of each map cost between `last` (None: the start) and `sample`."""
    rows = []
    for (kind, name), now in sample.maps.items():
        before = last.maps.get((kind, name)) if last else None
        if before is not None and before.born != now.born:
            before = None  # it was among the others in between
        row = _row(kind, name, now, before)
        if row.walks > 0:
            rows.append(row)
    return sorted(rows, key=lambda row: -row.seconds)


def _row(kind: str, name: str, now: MapCounts, before: MapCounts | None) -> MapReading:
    vmas = now.vmas
    if vmas is not None and before is not None:
        vmas = None if before.vmas is None else vmas - before.vmas
    return MapReading(
        kind=kind,
        map=name,
        owner=now.owner,
        command=now.command,
        processes=now.processes,
        walks=now.walks - (before.walks if before else 0),
        vmas=vmas,
        seconds=(now.ns - (before.ns if before else 0)) / _NS,
        longest=now.longest_ns / _NS,
    )


def payers(sample: Sample, last: Sample | None = None) -> list[PayerReading]:
    """Return who paid for walks between `last` (None: the start) and `sample`, most first."""
    rows = []
    for key, now in sample.payers.items():
        before = (last.payers.get(key) if last else None) or PayerCounts(0, 0)
        if now.walks > before.walks:
            spent = (now.ns - before.ns) / _NS
            rows.append(PayerReading(*key, walks=now.walks - before.walks, seconds=spent))
    return sorted(rows, key=lambda row: -row.seconds)
