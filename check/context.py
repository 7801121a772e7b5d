"""What rules know besides the events: the kernel's semantics, its numbers, the last Sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RmapwatchError, UsageError
from ..kernels.semantics import Semantics, semantics_of
from ..model.rmap import Op
from ..probes.readout import page_types
from ..probes.reclaim import REFERENCES_ENUMS
from ..probes.sample import Sample
from ..recordings.reader import Recording
from .ledgers import Moves, moves

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
    ``ledger``: the workload's own account, empty without one; ``moves``: what it says of moved
    pages, by op. ``page_types``: of memory failures, by number; ``action_required``: its bit in
    their flags.
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
    moves: Mapping[Op, Moves]
    page_types: Mapping[int, str]
    action_required: int

    def bit(self, name: str, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return in which flags words a page flag is set."""
        mask: npt.NDArray[np.bool_] = (words & np.uint64(1 << self.flags[name])) != 0
        return mask


def context_of(recording: Recording) -> Context:
    """Return the context of a recording; UsageError where its kernel is not known well enough."""
    meta, kernel = recording.meta, recording.meta.kernel
    sample = recording.last_sample()
    accounts, ledger = {} if sample is None else sample.accounts, ledger_of(recording)
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
        ledger=ledger,
        moves={op: moves(semantics, ledger, op) for op in (Op.MIGRATE, Op.RESTORE)},
        page_types=page_types(kernel),
        action_required=kernel.enums.get("mf_flags", {}).get("MF_ACTION_REQUIRED", 0),
    )


def ledger_of(recording: Recording) -> Mapping[str, Any]:
    """Return the account that the workload left of itself; empty without one."""
    ledger = recording.meta.end.ledger if recording.meta.end else None
    return ledger if isinstance(ledger, Mapping) else {}
