"""What rules know besides the events: the kernel's semantics, its numbers, the last Sample."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RmapwatchError, UsageError
from ..kernels.semantics import Semantics, semantics_of
from ..probes.reclaim import REFERENCES_ENUMS
from ..probes.sample import Sample
from ..recordings.reader import Recording

PAGE_FLAGS = ("referenced", "workingset", "swapbacked", "mlocked")
"""The page flags that decisions depend on."""


@dataclass(frozen=True)
class Context:
    """
    What is known of a recording as a whole.

    ``flags``: the bit of each of `PAGE_FLAGS`. ``attached``: the probe points. ``start_ns``:
    CLOCK_MONOTONIC when recording began. ``tells_clean``: the kernel names its decisions, so that
    the probes know whether RECLAIM_CLEAN is one. ``sample``: the last one, None without any or
    where the recording is cut off. ``lost`` and ``missed``: by type of event and by probe point.
    """

    semantics: Semantics
    flags: Mapping[str, int]
    attached: frozenset[str]
    start_ns: int
    tells_clean: bool
    sample: Sample | None
    lost: Mapping[str, int]
    missed: Mapping[str, int]
    ledger: Mapping[str, Any]

    def bit(self, name: str, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return in which flags words a page flag is set."""
        mask: npt.NDArray[np.bool_] = (words & np.uint64(1 << self.flags[name])) != 0
        return mask


def context_of(recording: Recording) -> Context:
    """Return the context of a recording; UsageError where its kernel is not known well enough."""
    meta, kernel = recording.meta, recording.meta.kernel
    sample = last_sample(recording)
    accounts = {} if sample is None else sample.accounts
    ledger = meta.end.ledger if meta.end else None
    try:
        semantics = semantics_of(kernel)
        flags = {name: kernel.enums["pageflags"][f"PG_{name}"] for name in PAGE_FLAGS}
    except (RmapwatchError, KeyError) as error:
        raise UsageError(
            f"{recording.folder} cannot be checked", str(error), "record it again"
        ) from None
    return Context(
        semantics=semantics,
        flags=flags,
        attached=frozenset(each.probe for each in meta.plan.attached),
        start_ns=meta.start.monotonic_ns,
        tells_clean=any(name in kernel.enums for name in REFERENCES_ENUMS),
        sample=sample if recording.complete else None,
        lost={} if sample is None else {n: each.lost for n, each in sample.events.items()},
        missed={n: (each.missed or 0) or (each.recursion or 0) for n, each in accounts.items()},
        ledger=ledger if isinstance(ledger, Mapping) else {},
    )


def last_sample(recording: Recording) -> Sample | None:
    """Return the last Sample of a recording, None without any."""
    latest = collections.deque(recording.samples(), maxlen=1)
    return latest.pop() if latest else None
