"""Both backends at once, in a guest: two observers of the same calls, read while all is at rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .. import errors
from ..probes import backend as backends
from ..probes import catalogue
from ..probes.backend import Attached, Backend
from ..probes.sample import Sample
from ..probes.session import Request
from .comparison import Comparison, Window, cells, compare

_TRIES = 100
_PAUSE_S = 0.1


@dataclass(frozen=True)
class Pair:
    """Both backends, attached."""

    bcc: Attached
    ftrace: Attached

    def compare(self, work: Callable[[], object]) -> Comparison:
        """Return what both count while `work` is done."""
        before = self.barrier()
        work()
        after = self.barrier()
        return compare(*(Window(*samples) for samples in zip(before, after, strict=True)))

    def barrier(self) -> tuple[Sample, Sample]:
        """Return Samples of both between which nothing has happened; raise where there are none."""
        for _ in range(_TRIES):
            ours, theirs, again = quiet(self.bcc), quiet(self.ftrace), quiet(self.bcc)
            if cells(ours) == cells(again):
                return ours, theirs
        raise _RESTLESS


def quiet(attached: Attached) -> Sample:
    """Return a Sample that was taken while nothing moved; raise where something always does."""
    for _ in range(_TRIES):
        sample = attached.sample()
        if sample.quiet:
            return sample
        time.sleep(_PAUSE_S)
    raise _RESTLESS


_RESTLESS = errors.RmapwatchError(
    "the backends cannot be compared", "the guest does not come to rest", "rmapwatch lab run"
)


@contextmanager
def attached() -> Iterator[Pair]:
    """Attach every probe point by both, without events for recordings."""
    request = Request(probes=catalogue.names(steps=True), events=())
    bcc = backends.start(request, Backend.BCC, print)
    try:
        ftrace = backends.start(request, Backend.FTRACE, print)
        try:
            yield Pair(bcc, ftrace)
        finally:
            ftrace.close()
    finally:
        bcc.close()
