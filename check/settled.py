"""
Checks and unmap walks, brought together with the batch that they are of.

A batch is told of at its end, after all that happened inside it; threads take turns. So what
belongs to a batch waits until the batch itself has come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..probes.events import ALL_ONES, UNSEEN
from ..probes.reclaim import DECISIONS
from ..probes.rmap import OPS
from .batches import decided, unseen_checks
from .context import Context
from .decisions import NO_BATCH
from .verdict import Claim, Columns, Found, Mask, Reason, Rule, judge
from .windows import Window, count, empty, joined, kept, places_of, runs, taken

_UNMAP = next(number for number, op in enumerate(OPS) if op.name == "unmap")
_GONE = np.array([name in ("reclaim", "reclaim_clean") for name in DECISIONS])

_OF_CHECKS = [
    "seq",
    "tid",
    "batch",
    "pfn",
    "vm_flags",
    "page_flags",
    "result",
    "nr_pages",
    "decision",
]
_OF_UNMAPS = ["seq", "tid", "batch", "pfn"]

SUMS = Rule(
    "batch: checks told one by one = decided_*",
    "pages",
    "batch",
    "probes/bpf/reclaim.bpf.c",
    "the pages of a batch's reference events, by decision, are what the batch event says",
)
UNMAPPED = Rule(
    "batch: what is unmapped was let go by its check",
    "walks",
    "walk",
    "mm/vmscan.c, shrink_folio_list()",
    "each unmap walk of a batch that checks references is of a folio that a check of the same batch"
    " let go: RECLAIM and RECLAIM_CLEAN as seen by their effect",
)
RULES = (SUMS, UNMAPPED)

WAITING = 1 << 20
"""So many events at most wait for their batch; of older ones it never came."""


@dataclass(frozen=True)
class Waiting:
    """What waits for its batch to be told: checks whose decision was seen, and unmap walks."""

    checks: Columns = field(default_factory=lambda: empty("reference"))
    unmaps: Columns = field(default_factory=lambda: empty("walk"))


@dataclass(frozen=True)
class Settled:
    """
    Batches in the order of their key, and what was inside each.

    ``of_check`` and ``of_unmap``: the place of the batch of each.
    """

    batches: Columns
    checks: Columns
    of_check: npt.NDArray[np.int64]
    unmaps: Columns
    of_unmap: npt.NDArray[np.int64]

    @property
    def callers(self) -> npt.NDArray[Any]:
        """Return who asked for the batch of each check."""
        callers: npt.NDArray[Any] = self.batches["caller"][self.of_check]
        return callers


def settle(waiting: Waiting, window: Window) -> tuple[Waiting, Settled]:
    """Return what still waits after a window, and what has come together with its batch."""
    references, walks = window["reference"], window["walk"]
    seen = references["decision"] != UNSEEN
    unmapping = (walks["op"] == _UNMAP) & (walks["batch"] != 0)
    checks = joined([waiting.checks, taken(references, seen)], _OF_CHECKS)
    unmaps = joined([waiting.unmaps, taken(walks, unmapping)], _OF_UNMAPS)
    batches = window["batch"]
    batches = taken(batches, np.argsort(_key(batches), kind="stable"))
    of_check, check_left = _places(batches, checks)
    of_unmap, unmap_left = _places(batches, unmaps)
    left = Waiting(
        kept(taken(checks, check_left), _OF_CHECKS, WAITING),
        kept(taken(unmaps, unmap_left), _OF_UNMAPS, WAITING),
    )
    told, unmapped = places_of(~check_left), places_of(~unmap_left)
    return left, Settled(
        batches,
        taken(checks, told),
        of_check[told],
        taken(unmaps, unmapped),
        of_unmap[unmapped],
    )


def never_settled(waiting: Waiting) -> tuple[Columns, npt.NDArray[Any]]:
    """Return the checks whose batch never came, and `NO_BATCH` for each."""
    return waiting.checks, np.full(count(waiting.checks), NO_BATCH, np.uint8)


def _key(columns: Columns) -> npt.NDArray[np.uint64]:
    """Return what tells batches apart: their thread, and their number in it."""
    return (columns["tid"].astype(np.uint64) << np.uint64(32)) | columns["batch"]


def _places(batches: Columns, inner: Columns) -> tuple[npt.NDArray[np.int64], Mask]:
    """
    Return the place of the batch of each event, and for which of them there is none.

    Events of one batch mostly follow each other, so that it is looked for once.
    """
    keys, first = _key(batches), runs(inner["tid"], inner["batch"])
    if not len(keys) or not len(first):
        return np.zeros(count(inner), np.int64), np.ones(count(inner), np.bool_)
    wanted = _key({name: inner[name][first] for name in ("tid", "batch")})
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    lengths = np.diff(first, append=count(inner))
    return np.repeat(places, lengths), np.repeat(keys[places] != wanted, lengths)


def inside(context: Context, settled: Settled) -> Iterator[Found]:
    """Yield what the rules find about what was inside of batches."""
    yield _sums(context, settled)
    yield _unmapped(context, settled)


def _sums(context: Context, settled: Settled) -> Found:
    batches, kinds = settled.batches, len(DECISIONS)
    cells = settled.of_check * kinds + settled.checks["decision"]
    pages = np.bincount(cells, settled.checks["nr_pages"], count(batches) * kinds)
    told = pages.astype(np.int64).reshape(-1, kinds)
    said = np.stack([decided(batches, name) for name in DECISIONS], axis=1)

    def tell(at: int) -> tuple[str, str]:
        sides = (
            ", ".join(f"{name} {side[at][n]}" for n, name in enumerate(DECISIONS) if side[at][n])
            for side in (said, told)
        )
        model, observed = (side or "none" for side in sides)
        return f"by the batch: {model}", f"by its checks: {observed}"

    fewer: Mask = np.all(told <= said, axis=1)
    reasons = [
        Reason(why, mask & fewer, limit)
        for why, mask, limit in (_lost(context, len(fewer)), *unseen_checks(context, batches))
    ]
    found = judge(Claim(SUMS, batches, np.all(told == said, axis=1)), tell, reasons)
    held = int(np.count_nonzero((told + said).any(axis=1)))
    return replace(found, held=held, predicted=int(said.sum()), observed=int(told.sum()))


def _lost(context: Context, count: int) -> Reason:
    lost = context.lost.get("reference", 0)
    return Reason("reference events were lost", np.full(count, lost > 0), lost)


def _unmapped(context: Context, settled: Settled) -> Found:
    unmaps, places = settled.unmaps, settled.of_unmap
    known: Mask = (unmaps["pfn"] != ALL_ONES) & (settled.batches["ignores_references"][places] == 0)
    unmaps, places = taken(unmaps, known), places[known]
    gone: Mask = _GONE[settled.checks["decision"]]
    let_go = np.sort(_folio(settled.of_check[gone], settled.checks["pfn"][gone]))
    right = _among(_folio(places, unmaps["pfn"]), let_go)

    def tell(at: int) -> tuple[str, str]:
        return "no unmap without a check that lets go", f"pfn {unmaps['pfn'][at]:#x} was unmapped"

    reasons = [
        _lost(context, len(right)),
        *unseen_checks(context, taken(settled.batches, places)),
    ]
    return judge(Claim(UNMAPPED, unmaps, right), tell, reasons)


def _among(wanted: npt.NDArray[np.uint64], ordered: npt.NDArray[np.uint64]) -> Mask:
    """Return which numbers are among others; np.isin() of many is slower by far."""
    if not len(ordered):
        return np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    among: Mask = ordered[places] == wanted
    return among


def _folio(places: npt.NDArray[np.int64], pfns: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return one number for a folio in a batch; frame numbers have at most 40 bits."""
    return (places.astype(np.uint64) << np.uint64(40)) | pfns.astype(np.uint64)
