"""Memory failures: what became of them, how long they took, who was told. Pure."""

from __future__ import annotations

from ..probes.sample import FailureCounts, Sample
from .calls import costs
from .readings import FailureReading, HandlerReading, SignalReading


def failures(sample: Sample, last: Sample | None = None) -> list[FailureReading]:
    """Return what came of memory failures between `last` (None: the start) and `sample`."""
    before = _of(last)
    return [
        FailureReading(*key, failures=count)
        for key, now in (sample.failures.actions if sample.failures else {}).items()
        if (count := now - (before.actions[key] if before else 0))
    ]


def handled(sample: Sample, last: Sample | None = None) -> list[HandlerReading]:
    """Return the calls of the handlers, and of the walk that finds who maps a page."""
    if sample.failures is None:
        return []
    now, before = sample.failures, _of(last)
    errors = {
        name: count - (before.errors[name] if before else 0) for name, count in now.errors.items()
    }
    return [
        HandlerReading(name, calls, errors.get(name), seconds, p99)
        for name, (calls, seconds, p99) in costs(now.handled, before.handled if before else {})
    ]


def signals(sample: Sample, last: Sample | None = None) -> list[SignalReading]:
    """Return the signals between `last` (None: the start) and `sample`."""
    before = _of(last)
    return [
        SignalReading(*key, signals=count)
        for key, now in (sample.failures.signals if sample.failures else {}).items()
        if (count := now - (before.signals[key] if before else 0))
    ]


def _of(sample: Sample | None) -> FailureCounts | None:
    return sample.failures if sample else None
