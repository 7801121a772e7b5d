"""A Sample: what the probes had counted at one moment, raw and cumulative, all CPUs summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Attachment:
    """A probe that is attached: where, how, and why so."""

    probe: str
    symbol: str
    mechanism: str
    reason: str


@dataclass(frozen=True)
class Account:
    """
    What became of the calls of one probe point; None for what it does not watch.

    ``entries``: calls that began. ``exits``: calls followed to their end. ``in_flight``: calls
    begun and not over. ``missed``: calls that began and could not be followed: ``collided`` found
    their slot taken by another thread, ``stale`` had an exit that the kernel did not report, and
    ``recursion`` is what the kernel says it ran no program for (None where it does not say).
    entries = exits + in_flight + missed, exactly, once the probes are quiet.
    ``unmatched``: exits without a known entry, such as of calls begun before the probes were there.
    """

    entries: int | None
    exits: int | None
    in_flight: int | None
    missed: int | None
    recursion: int | None
    collided: int | None = None
    stale: int | None = None
    unmatched: int | None = None


@dataclass(frozen=True)
class WalkCounts:
    """
    Walks of one op and kind. Slots are those of `probes.state`.

    ``vmas`` and ``vmas_slots`` are None where the op's callbacks are not all watched. ``ptes`` sums
    the walks whose number is known: as many as ``ptes_slots`` counts.
    """

    walks: int
    bailouts: int
    ns: int
    vmas: int | None
    ptes: int
    ns_slots: tuple[int, ...]
    vmas_slots: tuple[int, ...] | None
    ptes_slots: tuple[int, ...]


@dataclass(frozen=True)
class EventCounts:
    """Events of one type: produced by the probes, lost for want of room, received by the reader."""

    produced: int
    lost: int
    received: int


@dataclass(frozen=True)
class Sample:
    """
    One reading of the kernel's cumulative state.

    ``time_ns``: CLOCK_MONOTONIC. ``quiet``: two readings in a row agreed, so that nothing moved
    while this one was taken. ``walks`` by (op, kind); ``references`` by (caller, lru, result).
    """

    time_ns: int
    quiet: bool
    backend: str
    release: str
    attached: tuple[Attachment, ...]
    unavailable: Mapping[str, str]
    accounts: Mapping[str, Account]
    walks: Mapping[tuple[str, str], WalkCounts]
    references: Mapping[tuple[str, str, str], int]
    events: Mapping[str, EventCounts]
    stray_steps: int
