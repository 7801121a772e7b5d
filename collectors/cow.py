"""Copy on write: what became of writes to write-protected pages, and how long it took. Pure."""

from __future__ import annotations

from ..probes.sample import CowCounts, Sample
from .calls import costs
from .readings import CowReading, CowTimeReading


def faults(sample: Sample, last: Sample | None = None) -> list[CowReading]:
    """Return the writes between `last` (None: the start) and `sample`, by page and outcome."""
    before = _of(last)
    return [
        CowReading(*key, faults=count)
        for key, now in (sample.cow.faults if sample.cow else {}).items()
        if (count := now - (before.faults[key] if before else 0))
    ]


def times(sample: Sample, last: Sample | None = None) -> list[CowTimeReading]:
    """Return the time of the writes between `last` (None: the start) and `sample`, by outcome."""
    before = _of(last)
    told = costs(sample.cow.calls if sample.cow else {}, before.calls if before else {})
    return [CowTimeReading(name, *cost) for name, cost in told]


def _of(sample: Sample | None) -> CowCounts | None:
    return sample.cow if sample else None
