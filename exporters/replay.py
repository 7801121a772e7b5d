"""A recording as if it were live: the clock starts with the first scrape, the last Sample stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ..probes.sample import Sample


class Replayed:
    """Returns, when it is called, the Sample that was the latest at that age of the recording."""

    def __init__(
        self, samples: Iterator[Sample], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._samples, self._clock = samples, clock
        self._now = self._first = next(samples)
        self._next = next(samples, None)
        self._start: float | None = None

    def __call__(self) -> Sample:
        """Return the Sample of now."""
        now = self._clock()
        self._start = now if self._start is None else self._start
        age_ns = (now - self._start) * 1e9
        while self._next and self._next.time_ns - self._first.time_ns <= age_ns:
            self._now, self._next = self._next, next(self._samples, None)
        return self._now
