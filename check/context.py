"""What rules know besides the events: the kernel's semantics, its numbers, the last Sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RmapwatchError, UsageError
from ..kernels.facts import KernelFacts
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


@dataclass(frozen=True)
class Known:
    """What is known of a kernel and of the probes on it before there are any events."""

    kernel: KernelFacts
    semantics: Semantics
    flags: Mapping[str, int]
    attached: frozenset[str]

    def context(
        self,
        start_ns: int,
        lost: Mapping[str, int],
        missed: Mapping[str, int],
        sample: Sample | None = None,
        ledger: Mapping[str, Any] = MappingProxyType({}),
    ) -> Context:
        """Return the context of events that were told from `start_ns` on."""
        return Context(
            semantics=self.semantics,
            flags=self.flags,
            attached=self.attached,
            start_ns=start_ns,
            tells_clean=any(name in self.kernel.enums for name in REFERENCES_ENUMS),
            sample=sample,
            lost=lost,
            missed=missed,
            ledger=ledger,
            moves={op: moves(self.semantics, ledger, op) for op in (Op.MIGRATE, Op.RESTORE)},
            page_types=page_types(self.kernel),
            action_required=self.kernel.enums.get("mf_flags", {}).get("MF_ACTION_REQUIRED", 0),
        )


def known(kernel: KernelFacts, attached: Iterable[str]) -> Known:
    """Return what the rules need to know; UsageError where the kernel is not known well enough."""
    try:
        flags = {name: kernel.enums["pageflags"][f"PG_{name}"] for name in PAGE_FLAGS}
        return Known(kernel, semantics_of(kernel), flags, frozenset(attached))
    except (RmapwatchError, KeyError) as error:
        raise UsageError(
            f"kernel {kernel.release} cannot be checked", str(error), "rmapwatch doctor"
        ) from None


def context_of(recording: Recording) -> Context:
    """Return the context of a recording."""
    meta, sample = recording.meta, recording.last_sample()
    lost, missed = losses(sample) if sample else ({}, {})
    of_kernel = known(meta.kernel, (each.probe for each in meta.plan.attached))
    whole = sample if recording.complete else None
    return of_kernel.context(meta.start.monotonic_ns, lost, missed, whole, ledger_of(recording))


def losses(sample: Sample) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many events were lost, by type, and how many calls missed, by probe point."""
    missed = {n: each.missed or each.recursion or 0 for n, each in sample.accounts.items()}
    return {n: each.lost for n, each in sample.events.items()}, missed


def ledger_of(recording: Recording) -> Mapping[str, Any]:
    """Return the account that the workload left of itself; empty without one."""
    ledger = recording.meta.end.ledger if recording.meta.end else None
    return ledger if isinstance(ledger, Mapping) else {}
