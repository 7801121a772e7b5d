"""What a rule of a run is: its row, and what the rules of a scenario are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.facts import KernelFacts
from ...kernels.semantics import Semantics, fold
from ...probes import rmap
from ...probes.events import NOT_KNOWN
from ...probes.sample import Sample

Records = Mapping[str, npt.NDArray[np.void]]


@dataclass(frozen=True)
class Agreement:
    """One rule held against one run; ``explained`` lists (reason, count)."""

    rule: str
    unit: str
    predicted: int | None
    observed: int | None
    agrees: bool | None
    explained: tuple[tuple[str, int], ...] = field(default=())


@dataclass(frozen=True)
class Run:
    """
    One run of a scenario: the last Sample, all events by type, the workload's own account, the
    kernel, its CPUs, by which LRU it reclaims, how far the counters of /proc/vmstat went on while
    the probes were there, and which rows of `kernels.changes` the kernel is held to have.
    """

    sample: Sample
    records: Records
    ledger: Mapping[str, Any]
    kernel: KernelFacts
    cpus: int
    lru: str
    vmstat: Mapping[str, int]
    changes: frozenset[str]

    @property
    def semantics(self) -> Semantics:
        """The rules of a kernel with these changes."""
        return fold(self.changes)


def equal(rule: str, unit: str, predicted: int, observed: int) -> Agreement:
    """Return the row of a rule that both sides are the same; None where both are nothing."""
    exercised = bool(predicted or observed)
    return Agreement(rule, unit, predicted, observed, predicted == observed if exercised else None)


def at_most(rule: str, unit: str, limit: int, observed: int) -> Agreement:
    """Return the row of a rule that no more than `limit` was observed."""
    return Agreement(rule, unit, limit, observed, observed <= limit if observed else None)


def at_least(rule: str, unit: str, limit: int, observed: int) -> Agreement:
    """Return the row of a rule that no less than `limit` was observed."""
    return Agreement(rule, unit, limit, observed, observed >= limit)


def none_of(rule: str, unit: str, observed: int, exercised: bool) -> Agreement:
    """Return the row of a rule that nothing of a kind was observed."""
    return Agreement(rule, unit, 0, observed, not observed if exercised else None)


def untold(rule: str, unit: str, why: str, count: int = 0) -> Agreement:
    """Return the row of a rule that cannot be held here, and why; `count` of what that explains."""
    return Agreement(rule, unit, None, None, None, ((why, count),))


def unless(why: str, rows: Iterable[Agreement]) -> Iterator[Agreement]:
    """Yield the rows; where there is a reason why they cannot be held here, that, of each."""
    for row in rows:
        yield untold(row.rule, row.unit, why) if why else row


UNSEEN_ENTRIES = "page-table entries are not seen"


def entered(
    rule: str, walks: npt.NDArray[np.void], number: int, vmas: int, mappings: int
) -> Agreement:
    """
    Return the row of so many walks that enter these VMAs and find these mappings.

    Where they would be as many only if those that tell no mappings found them, nobody knows.
    """
    entering, unseen = walks["vmas"] == vmas, walks["ptes"] == NOT_KNOWN
    row = equal(rule, "walks", number, int((entering & (walks["ptes"] == mappings)).sum()))
    may = int((entering & unseen).sum())
    if may and row.observed is not None and row.observed + may == number:
        return untold(rule, "walks", UNSEEN_ENTRIES, may)
    return row


def summed(
    rule: str, unit: str, predicted: int, told: npt.NDArray[np.int32], unseen: str
) -> Agreement:
    """Return the row of a sum of what walks tell; ``unseen``: why one of them may not."""
    if (told == NOT_KNOWN).any():
        return untold(rule, unit, unseen)
    return equal(rule, unit, predicted, int(told.sum()))


def op(name: str) -> int:
    """Return the number of an op of walks."""
    return next(number for number, each in enumerate(rmap.OPS) if each.name == name)
