"""The Samples of a recording as if they came now: at their own pace, or at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from ..errors import RmapwatchError
from ..probes.sample import Sample
from .reader import Recording


def samples(recording: Recording) -> Iterator[Sample]:
    """Return the Samples; raise RmapwatchError where there is not one."""
    found = recording.samples()
    first = next(found, None)
    if first is None:
        raise RmapwatchError(
            f"{recording.folder} cannot be replayed",
            "it ended before its first sample",
            f"rmapwatch record -o {recording.folder}-2",
        )
    return _chained(first, found)


def _chained(first: Sample, rest: Iterator[Sample]) -> Iterator[Sample]:
    yield first
    yield from rest


def whole(recorded: Iterable[Sample]) -> Iterator[Sample]:
    """Yield the first and the last Sample: the window from start to end."""
    first = last = None
    for sample in recorded:
        first, last = first or sample, sample
    if first is not None and last is not None:
        yield first
        if last is not first:
            yield last


def paced(
    recorded: Iterable[Sample],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Sample]:
    """Yield each Sample as long after the first as it was taken."""
    start_s, start_ns = clock(), None
    for sample in recorded:
        start_ns = sample.time_ns if start_ns is None else start_ns
        wait_s = start_s + (sample.time_ns - start_ns) / 1e9 - clock()
        if wait_s > 0:
            sleep(wait_s)
        yield sample
