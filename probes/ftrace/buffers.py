"""
The trace buffers of an instance: read without waiting, put in the order of time, handed on.

A thread's events may lie in the buffers of several CPUs. What happened before the reading began is
whole: an event is there before its thread can go on to the next. What is younger waits.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import formats, pages
from .counting import Given, Handler
from .follow import Follower

Reader = Callable[[bytes, int], Given]

_MARGIN_NS = 1_000_000
"""By how much the trace clock may be ahead of CLOCK_MONOTONIC, and more."""

_PAGES_AT_ONCE = 4096
"""Of one CPU, which may fill its buffer as fast as it is read."""

_NOTHING_THERE = (errno.EAGAIN, errno.ENODEV)
"""Of a buffer that is empty, and of a CPU that has none since it never came up."""

_NOTHING: Given = {}


@dataclass
class Kind:
    """What is done with events of one number, and how many there were."""

    number: int
    read: Reader
    handle: Handler
    seen: int = 0


@dataclass(frozen=True, order=True)
class Event:
    """One event; in order of time."""

    time: int
    cpu: int
    tid: int = field(compare=False)
    kind: Kind = field(compare=False)
    given: Given = field(compare=False)


@dataclass(frozen=True)
class Gap:
    """Between these two events of a CPU others were overwritten."""

    begin: int
    end: int


def reader(form: formats.Format, names: Mapping[str, str]) -> Reader:
    """Return what reads the values called `names` (ours to the event's) off an event."""
    if not names:
        return lambda page, at: _NOTHING
    ordered = sorted(names.items(), key=lambda pair: form.places[pair[1]].at)
    ours, texts = [name for name, _ in ordered], [n for n, e in ordered if form.places[e].text]
    read = form.reader([theirs for _, theirs in ordered])

    def values(page: bytes, at: int) -> Given:
        return dict(zip(ours, read(page, at), strict=True))

    def with_texts(page: bytes, at: int) -> Given:
        given = dict(values(page, at))
        for name in texts:
            given[name] = int.from_bytes(formats.text_at(page, at, given[name])[:15], "little")
        return given

    return with_texts if texts else values


class Merger:
    """
    Puts the pages of all CPUs into one order, and has events handled as far as it is known.

    ``last``: by CPU, the time of the last event read. ``gaps``: how often events were overwritten.
    """

    def __init__(self, shape: pages.Layout, kinds: Mapping[int, Kind], follower: Follower) -> None:
        """Take what there is to do by the numbers of events; others are passed over."""
        self._shape, self._kinds, self._follower = shape, kinds, follower
        self._waiting: list[Event] = []
        self._gaps: list[Gap] = []
        self.last: dict[int, int] = {}
        self.gaps = 0

    @property
    def waiting(self) -> int:
        """Return how many events are read and not handled."""
        return len(self._waiting)

    def add(self, cpu: int, page: bytes) -> None:
        """Take one page, the next of its CPU."""
        cut = pages.cut(page, self._shape)
        if not cut.records:
            return
        if cut.missed:
            self._gaps.append(Gap(self.last.get(cpu, 0), cut.records[0][0]))
            self.gaps += 1
        self.last[cpu] = cut.records[-1][0]
        for moment, at in cut.records:
            kind = self._kinds.get(formats.NUMBER.unpack_from(page, at)[0])
            if kind is not None:
                (tid,) = formats.THREAD.unpack_from(page, at + formats.THREAD_AT)
                self._waiting.append(Event(moment, cpu, tid, kind, kind.read(page, at)))

    def handle(self, until: int) -> None:
        """Have the events up to the time `until` handled; those of a gap can be of no call."""
        self._waiting.sort(key=_moment)
        self._gaps.sort(key=lambda gap: gap.end)
        taken = 0
        for event in self._waiting:
            if event.time > until:
                break
            self._close_gaps(event.time)
            taken += 1
            event.kind.seen += 1
            self._follower.cpu = event.cpu
            if any(gap.begin < event.time for gap in self._gaps):
                self._follower.forget()
                event.kind.handle(event.time, event.tid, event.given)
                self._follower.forget()
            else:
                event.kind.handle(event.time, event.tid, event.given)
        del self._waiting[:taken]
        self._close_gaps(until)

    def _close_gaps(self, now: int) -> None:
        while self._gaps and self._gaps[0].end <= now:
            self._follower.forget()
            del self._gaps[0]


def _moment(event: Event) -> int:
    return event.time


class Buffers:
    """The files of an instance's buffers, open for as long as this process holds them."""

    def __init__(self, instance: Path, page_size: int) -> None:
        """Open the buffer of each CPU."""
        self._page_size = page_size
        self._fds = {
            int(folder.name.removeprefix("cpu")): os.open(
                folder / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK
            )
            for folder in sorted((instance / "per_cpu").iterdir())
        }

    def drain(self, merger: Merger) -> None:
        """Read what is there, and have what is whole handled."""
        until = time.monotonic_ns() - _MARGIN_NS
        for cpu, fd in self._fds.items():
            for number, page in enumerate(self._pages(fd), 1):
                merger.add(cpu, page)
                if number == _PAGES_AT_ONCE:
                    until = min(until, merger.last[cpu])
                    break
        merger.handle(until)

    def _pages(self, fd: int) -> Iterator[bytes]:
        try:
            while page := os.read(fd, self._page_size):
                yield page
        except OSError as nothing:
            if nothing.errno not in _NOTHING_THERE:
                raise

    def close(self) -> None:
        """Let go of them, which lets the instance be removed."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
