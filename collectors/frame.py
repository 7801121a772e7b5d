"""A Frame: everything that one screen, one JSON answer or one line of a log shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..probes.sample import Sample
from . import cow, failures, forks, ksm, maps, moves, reclaim, walks
from .readings import (
    AgeReading,
    BatchReading,
    BirthReading,
    CloneReading,
    CowReading,
    CowTimeReading,
    DecisionReading,
    EventReading,
    FailureReading,
    ForkReading,
    HandlerReading,
    IsolationReading,
    KsmReading,
    LockReading,
    MapReading,
    MigrationReading,
    PayerReading,
    ProbeReading,
    ReferenceReading,
    ScanReading,
    SignalReading,
    StallReading,
    SwapinReading,
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
    maps: list[MapReading]
    payers: list[PayerReading]
    batches: list[BatchReading]
    decisions: list[DecisionReading]
    stalls: list[StallReading]
    ages: list[AgeReading]
    isolations: list[IsolationReading]
    ksm_pages: list[KsmReading]
    ksm_scans: list[ScanReading]
    ksm_swapins: list[SwapinReading]
    failures: list[FailureReading]
    handled: list[HandlerReading]
    signals: list[SignalReading]
    migrations: list[MigrationReading]
    lock_waits: list[LockReading]
    forks: list[ForkReading]
    births: list[BirthReading]
    clones: list[CloneReading]
    cow_faults: list[CowReading]
    cow_times: list[CowTimeReading]
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
        maps=maps.maps(sample, last),
        payers=maps.payers(sample, last),
        batches=reclaim.batches(sample, last),
        decisions=reclaim.decisions(sample, last),
        stalls=reclaim.stalls(sample, last),
        ages=reclaim.ages(sample, last),
        isolations=reclaim.isolations(sample, last),
        ksm_pages=ksm.pages(sample, last),
        ksm_scans=ksm.scans(sample, last),
        ksm_swapins=ksm.swapins(sample, last),
        failures=failures.failures(sample, last),
        handled=failures.handled(sample, last),
        signals=failures.signals(sample, last),
        migrations=moves.migrations(sample, last),
        lock_waits=moves.lock_waits(sample, last),
        forks=forks.steps(sample, last),
        births=forks.births(sample, last),
        clones=forks.clones(sample, last),
        cow_faults=cow.faults(sample, last),
        cow_times=cow.times(sample, last),
        probes=walks.probes(sample),
        events=walks.events(sample),
    )
