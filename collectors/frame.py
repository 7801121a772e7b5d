"""A Frame: everything that one screen, one JSON answer or one line of a log shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..probes.sample import Sample
from . import reclaim, walks
from .readings import (
    AgeReading,
    BatchReading,
    DecisionReading,
    EventReading,
    IsolationReading,
    ProbeReading,
    ReferenceReading,
    StallReading,
    WalkReading,
)


@dataclass(frozen=True)
class Frame:
    """
    The readings of a window of ``seconds``; ``probes`` and ``events`` count from the start.

    ``quiet``: nothing moved while the figures were read, so that accounts balance exactly.
    """

    kernel: str
    backend: str
    seconds: float | None
    quiet: bool
    walks: list[WalkReading]
    references: list[ReferenceReading]
    batches: list[BatchReading]
    decisions: list[DecisionReading]
    stalls: list[StallReading]
    ages: list[AgeReading]
    isolations: list[IsolationReading]
    probes: list[ProbeReading]
    events: list[EventReading]


def frames(samples: Iterable[Sample]) -> Iterator[Frame]:
    """Yield the Frame of each Sample since the one before, of the first since the start."""
    last = None
    for sample in samples:
        yield frame(sample, last)
        last = sample


def frame(sample: Sample, last: Sample | None = None) -> Frame:
    """Return the Frame between `last` (None: since the probes were attached) and `sample`."""
    return Frame(
        kernel=sample.release,
        backend=sample.backend,
        seconds=(sample.time_ns - last.time_ns) / 1e9 if last else None,
        quiet=sample.quiet,
        walks=walks.walks(sample, last),
        references=walks.references(sample, last),
        batches=reclaim.batches(sample, last),
        decisions=reclaim.decisions(sample, last),
        stalls=reclaim.stalls(sample, last),
        ages=reclaim.ages(sample, last),
        isolations=reclaim.isolations(sample, last),
        probes=walks.probes(sample),
        events=walks.events(sample),
    )
