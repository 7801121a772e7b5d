"""Forks: their steps, what children are born with, and the chains of anon_vmas copied. Pure."""

from __future__ import annotations

from ..probes.sample import CloneCounts, ForkCounts, Sample
from ..probes.state import count_bound, duration_bound_ns
from .calls import costs
from .histograms import difference, quantile
from .readings import BirthReading, CloneReading, ForkReading

_NS = 1e9


def steps(sample: Sample, last: Sample | None = None) -> list[ForkReading]:
    """Return the calls of each step of a fork between `last` (None: the start) and `sample`."""
    if sample.forks is None:
        return []
    before = _of(last)
    return [
        ForkReading(step, calls, _errors(sample.forks, step) - _errors(before, step), seconds, p99)
        for step, (calls, seconds, p99) in costs(sample.forks.steps, before.steps if before else {})
    ]


def _errors(counts: ForkCounts | None, step: str) -> int:
    told = counts.errors.items() if counts else ()
    return sum(count for (failed, _), count in told if failed == step)


def births(sample: Sample, last: Sample | None = None) -> list[BirthReading]:
    """Return what children were born with: one row, or none where nothing was."""
    now, before = sample.forks, _of(last)
    if now is None or now.vmas == (before.vmas if before else 0):
        return []
    known = now.pages is not None and (before is None or before.pages is not None)
    pages = (now.pages or 0) - ((before.pages or 0) if before else 0)
    return [BirthReading(now.vmas - (before.vmas if before else 0), pages if known else None)]


def clones(sample: Sample, last: Sample | None = None) -> list[CloneReading]:
    """Return the chains copied between `last` (None: the start) and `sample`."""
    before = _of(last)
    return [
        _clone(cloner, now, before.clones.get(cloner) if before else None)
        for cloner, now in (sample.forks.clones if sample.forks else {}).items()
        if now.calls > (before.clones[cloner].calls if before and before.clones else 0)
    ]


def _clone(cloner: str, now: CloneCounts, before: CloneCounts | None) -> CloneReading:
    slots = difference(now.ns_slots, before.ns_slots if before else None)
    links, lengths = _links(now, before)
    p99 = quantile(0.99, slots, duration_bound_ns)
    return CloneReading(
        cloner=cloner,
        calls=now.calls - (before.calls if before else 0),
        links=links,
        links_p99=quantile(0.99, lengths, count_bound),
        seconds=(now.ns - (before.ns if before else 0)) / _NS,
        p99=p99 / _NS if p99 is not None else None,
    )


def _links(now: CloneCounts, before: CloneCounts | None) -> tuple[int | None, tuple[int, ...]]:
    """Return the sum of the lengths and their slots; None and no slots where nobody sees them."""
    if now.links is None or now.links_slots is None:
        return None, ()
    then = (before.links or 0) if before else 0
    return now.links - then, difference(now.links_slots, before.links_slots if before else None)


def _of(sample: Sample | None) -> ForkCounts | None:
    return sample.forks if sample else None
