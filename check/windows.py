"""A recording as windows: the events of all types between two places in the ring's order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..probes import events, ring
from ..recordings import schema
from ..recordings.reader import Recording
from .context import ledger_of
from .ledgers import FORK_STORM
from .verdict import Columns, Mask

ROWS = 1 << 16
"""About so many events of the most frequent type are in a window: what is in memory at once."""

HELD_BYTES = 32 << 20
"""So much memory is held from one window to the next: about what one takes."""

Places = npt.NDArray[np.intp]

Window = Mapping[str, Columns]
"""By type of event: its events of the window, every type being there."""

_OBJECTS = ("map", "root")
"""Columns of walks that tell apart who owns a page: for the ledger of a fork storm alone."""

_UNUSED = {
    event: names.split()
    for event, names in {
        "walk": "tgid cpu ns comm old_pfn mapper",
        "reference": "tgid cpu time index",
        "batch": "tgid cpu memcg isolated nr_dirty nr_unqueued_dirty nr_writeback nr_immediate"
        " nr_unmap_fail nr_lazyfree_fail",
        "ksm": "tgid cpu batch",
        "memory_failure": "tgid cpu batch collect_ns",
        "signal": "cpu batch",
        "cow": "time tid tgid cpu batch comm pfn pfn_after address ns",
    }.items()
}

NEEDED = {
    event: tuple(f.name for f in schema.columns(event) if f.name not in _UNUSED[event])
    if event in _UNUSED
    else ("seq",)
    for event in events.EVENTS
}
"""The columns that rules look at; of types of event that no rule is about, that they are there."""


def needed(recording: Recording) -> Mapping[str, tuple[str, ...]]:
    """Return the columns to be read of a recording."""
    if ledger_of(recording).get("workload") == FORK_STORM:
        return NEEDED
    return {**NEEDED, "walk": tuple(n for n in NEEDED["walk"] if n not in _OBJECTS)}


def empty(event: str) -> Columns:
    """Return no events of that type."""
    kinds = ring.dtype(event)
    return {name: np.empty(0, kinds[name]) for name in NEEDED[event]}


class _Lazy(Mapping[str, npt.NDArray[Any]]):
    """Events whose columns are copied when they are first asked for; most never are."""

    def __init__(self, names: Iterable[str], size: int) -> None:
        self._names, self.size = names, size
        self._copied: dict[str, npt.NDArray[Any]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self._copied:
            self._copied[name] = self._copy(name)
        return self._copied[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(list(self._names))

    def _copy(self, name: str) -> npt.NDArray[Any]:
        raise NotImplementedError


class _Chosen(_Lazy):
    """Some of the events."""

    def __init__(self, columns: Columns, which: npt.NDArray[Any] | slice) -> None:
        every = range(count(columns))
        size = len(every[which]) if isinstance(which, slice) else len(which)
        super().__init__(columns, size)
        self._columns, self._which = columns, which

    def _copy(self, name: str) -> npt.NDArray[Any]:
        return self._columns[name][self._which]


class _Joined(_Lazy):
    """The events of several parts."""

    def __init__(self, parts: Sequence[Columns], names: Iterable[str]) -> None:
        super().__init__(names, sum(map(count, parts)))
        self._parts = parts

    def _copy(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate([part[name] for part in self._parts])


def taken(columns: Columns, which: Mask | Places | slice) -> Columns:
    """Return some of the events."""
    if not isinstance(which, slice) and which.dtype == np.bool_:
        return _Chosen(columns, places_of(which))  # once for all columns
    return _Chosen(columns, which)


def places_of(which: npt.NDArray[Any]) -> Places | slice:
    """Return where a mask is set; as a slice, which copies nothing, where that is one piece."""
    places = np.flatnonzero(which)
    first, last = (int(places[0]), int(places[-1])) if len(places) else (0, -1)
    return slice(first, last + 1) if last - first + 1 == len(places) else places


def runs(*values: npt.NDArray[Any]) -> Places:
    """Return where an event has not the values of the one before it."""
    differs = np.ones(len(values[0]), np.bool_)
    differs[1:] = np.logical_or.reduce([each[1:] != each[:-1] for each in values])
    return np.flatnonzero(differs)


def joined(parts: Sequence[Columns], names: Iterable[str]) -> Columns:
    """Return these columns of the events of all parts, one after the other."""
    filled = [part for part in parts if count(part)]
    return filled[0] if len(filled) == 1 else _Joined(filled or parts, names)


def kept(columns: Columns, names: Iterable[str], most: int) -> Columns:
    """Return these columns of the last so many events, and let go of all others."""
    return {name: np.require(columns[name][-most:], requirements="O") for name in names}


def count(columns: Columns) -> int:
    """Return how many events these are."""
    return columns.size if isinstance(columns, _Lazy) else len(columns["seq"])


def windows(recording: Recording, rows: int = ROWS) -> Iterator[Window]:
    """
    Yield the windows of a recording in order; each event is in one.

    What lies beyond the end of a stream that is cut off is left out: its counterparts are missing.
    """
    _hold_memory()
    names = needed(recording)
    streams = [_Stream(recording, event, names[event], rows) for event in events.EVENTS]
    for stream in streams:
        stream.fill()
    while any(count(stream.waiting) for stream in streams):
        last = min((s.last for s in streams if s.bounds), default=None)
        yield {stream.event: stream.take(last) for stream in streams}
        for stream in streams:
            stream.fill()
        if any(stream.is_over for stream in streams):
            return


def _hold_memory() -> None:
    """
    Have the C library hold what a window frees for the next one.

    It gives back to the kernel what is more than twice the largest block that was ever freed, and
    the kernel clears it page by page when it is asked for again: a tenth of the time of a check.
    """
    np.empty(HELD_BYTES // 2, np.uint8)


class _Stream:
    """One stream of a recording: what was read of it and is not yet in a window."""

    def __init__(self, recording: Recording, event: str, names: tuple[str, ...], rows: int) -> None:
        self.event, self._names, self._rows = event, names, rows
        self._batches = recording.batches(event, names)
        self.ended = self.taken_from = False
        self.cut = recording.is_cut(event)
        self.waiting = empty(event)

    @property
    def bounds(self) -> bool:
        """Whether a window ends at the latest where what was read of the stream ends."""
        return count(self.waiting) > 0 and not (self.ended and not self.cut)

    @property
    def is_over(self) -> bool:
        """Whether the events of this type go on where nobody can read them."""
        return self.cut and self.ended and self.taken_from and not count(self.waiting)

    @property
    def last(self) -> int:
        return int(self.waiting["seq"][-1])

    def fill(self) -> None:
        """Read on, where nothing waits."""
        if count(self.waiting):
            return
        parts: list[Columns] = []
        while sum(map(count, parts)) < self._rows and not self.ended:
            batch = next(self._batches, None)
            self.ended = batch is None
            if batch is not None:
                parts.append(schema.columns_of(self.event, batch, self._names))
        if parts:
            self.waiting = joined(parts, self._names)

    def take(self, last: int | None) -> Columns:
        """Take out what lies up to `last`, all where that is None."""
        if last is None or (count(self.waiting) and self.last <= last):
            end = count(self.waiting)
        else:
            end = int(np.searchsorted(self.waiting["seq"], last, side="right"))
        self.taken_from |= end > 0
        before, self.waiting = (
            taken(self.waiting, slice(None, end)),
            taken(self.waiting, slice(end, None)),
        )
        return before
