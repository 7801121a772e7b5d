"""Pages that are moved, and waits for the locks of the reverse map. Pure."""

from __future__ import annotations

from ..probes.sample import CallCounts, Sample
from .calls import costs
from .readings import LockReading, MigrationReading


def migrations(sample: Sample, last: Sample | None = None) -> list[MigrationReading]:
    """Return the calls to move pages between `last` (None: the start) and `sample`."""
    return [
        MigrationReading(
            reason,
            calls,
            _added(sample, last, reason, "succeeded"),
            _added(sample, last, reason, "failed"),
            _added(sample, last, reason, "split"),
            seconds,
            p99,
        )
        for reason, (calls, seconds, p99) in costs(_calls(sample), _calls(last))
    ]


def _calls(sample: Sample | None) -> dict[str, CallCounts]:
    counted = sample.migrations if sample else {}
    return {
        reason: CallCounts(each.calls, each.ns, each.ns_slots) for reason, each in counted.items()
    }


def _added(sample: Sample, last: Sample | None, reason: str, name: str) -> int | None:
    now: int | None = getattr(sample.migrations[reason], name)
    before = last.migrations.get(reason) if last else None
    return None if now is None else now - (getattr(before, name) if before else 0)


def lock_waits(sample: Sample, last: Sample | None = None) -> list[LockReading]:
    """Return the waits between `last` (None: the start) and `sample`."""
    before = last.lock_waits if last else {}
    return [LockReading(*key, *cost) for key, cost in costs(sample.lock_waits, before)]
