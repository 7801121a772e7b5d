"""
Make a long recording of a short one: `python tools/tile_recording.py RECORDING TIMES NEW`.

Its events are repeated, later each time, with new numbers; what is counted grows with them. It
serves to measure how fast recordings are read and checked, see docs/check.md.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

from rmapwatch.probes.events import EVENTS
from rmapwatch.probes.ring import Records
from rmapwatch.probes.sample import EventCounts
from rmapwatch.recordings.meta import Clocks, Ending
from rmapwatch.recordings.reader import Recording
from rmapwatch.recordings.writer import Writer

_TIMES = ("time", "walk")
"""Columns that are moments; 0 is none."""


def tile(source: Recording, times: int, folder: Path) -> None:
    """Write a recording with the events of `source` so many times, one after the other."""
    events = {name: source.records(name) for name in EVENTS}
    numbers = sum(map(len, events.values()))
    span = max(int(found["time"].max()) for found in events.values() if len(found))
    batches = max(int(found["batch"].max()) for found in events.values() if len(found))
    writer = Writer(folder, dataclasses.replace(source.meta, complete=False, end=None))
    for turn in range(times):
        for name, found in events.items():
            writer.append(name, _later(found, turn, numbers, span, batches))
    sample = list(source.samples())[-1]
    counts = {name: _counts(each, times) for name, each in sample.events.items()}
    writer.sample(dataclasses.replace(sample, quiet=False, events=counts))
    end = Clocks(span * times, span * times)
    writer.close(Ending(end, None, {}, counts, source.meta.end.ledger if source.meta.end else None))


def _later(found: Records, turn: int, numbers: int, span: int, batches: int) -> Records:
    found = found.copy()
    found["seq"] += turn * numbers
    found["batch"][found["batch"] != 0] += turn * batches
    for name in _TIMES:
        if name in (found.dtype.names or ()):
            found[name][found[name] != 0] += turn * span
    return found


def _counts(counts: EventCounts, times: int) -> EventCounts:
    fields: Mapping[str, int] = dataclasses.asdict(counts)
    return EventCounts(**{name: value * times for name, value in fields.items()})


if __name__ == "__main__":
    tile(Recording(Path(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3]))
