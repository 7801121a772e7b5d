"""KSM: pages merged and let go, passes of ksmd, copies on swap-in. Pure."""

from __future__ import annotations

from ..probes.sample import KsmCounts, Sample
from .calls import costs
from .readings import KsmReading, ScanReading, SwapinReading


def pages(sample: Sample, last: Sample | None = None) -> list[KsmReading]:
    """Return what happened to mergeable pages between `last` (None: the start) and `sample`."""
    before = _of(last)
    return [
        KsmReading(event, count)
        for event, now in (sample.ksm.pages if sample.ksm else {}).items()
        if (count := now - (before.pages[event] if before else 0))
    ]


def swapins(sample: Sample, last: Sample | None = None) -> list[SwapinReading]:
    """Return the pages swapped in between `last` (None: the start) and `sample`."""
    before = _of(last)
    return [
        SwapinReading(outcome, count)
        for outcome, now in (sample.ksm.swapins if sample.ksm else {}).items()
        if (count := now - (before.swapins[outcome] if before else 0))
    ]


def scans(sample: Sample, last: Sample | None = None) -> list[ScanReading]:
    """Return ksmd's passes that are over: one row, or none where it has made none."""
    if sample.ksm is None or sample.ksm.scans is None:
        return []
    before = _of(last)
    then = {"": before.scans} if before and before.scans else {}
    return [ScanReading(*cost) for _, cost in costs({"": sample.ksm.scans}, then)]


def _of(sample: Sample | None) -> KsmCounts | None:
    return sample.ksm if sample else None
