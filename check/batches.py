"""Batches of reclaim: each one's own account against the checks that were seen inside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model.references import Caller, ignores_references
from ..probes.reclaim import CALLERS, DECISIONS
from .context import Context
from .verdict import Claim, Columns, Found, Reason, Rule, judge
from .windows import count, taken

_LIST = "mm/vmscan.c, shrink_folio_list() (shrink_page_list() before v5.18)"

KEPT = Rule(
    "batch: pages kept = nr_ref_keep",
    "pages",
    "batch",
    _LIST,
    "pages of checks seen to end in keep are the batch's nr_ref_keep, exactly",
)
ACTIVATED = Rule(
    "batch: pages activated <= nr_activate",
    "pages",
    "batch",
    _LIST,
    "pages of checks seen to end in activate, mlocked ones apart, are at most the batch's"
    " nr_activate, which counts pages activated for other reasons too",
)
RECLAIMED = Rule(
    "batch: pages reclaimed <= pages let go",
    "pages",
    "batch",
    _LIST,
    "a batch frees no more than its checks let go",
)
IGNORES = Rule(
    "batch: references are ignored where they must be",
    "batches",
    "batch",
    "mm/vmscan.c, reclaim_folio_list(), reclaim_clean_pages_from_list()",
    "a batch from the LRU checks references, one of clean pages alone does not, one of madvise or"
    " DAMON as the model says of that kernel",
)
UNCHECKED = Rule(
    "batch: no checks where references are ignored",
    "batches",
    "batch",
    _LIST,
    "a batch that ignores references decides nothing by them",
)
RULES = (KEPT, ACTIVATED, RECLAIMED, IGNORES, UNCHECKED)

WATCHES = ("reclaim_pages", "reclaim_clean")
"""Probe points without which nobody knows whose batch it is."""

_CALLERS = {
    "inactive": Caller.LRU,
    "evict": Caller.LRU,
    "pages": Caller.PAGEOUT,
    "clean": Caller.CLEAN_PAGES,
}


def batches(context: Context, all_batches: Columns) -> Iterator[Found]:
    """Yield what the rules find in batches."""
    ignoring = all_batches["ignores_references"] != 0
    yield from _accounts(context, taken(all_batches, ~ignoring))
    yield _unchecked(taken(all_batches, ignoring))
    if all(point in context.attached for point in WATCHES):
        yield _ignores(context, all_batches)


def decided(columns: Columns, *names: str) -> npt.NDArray[np.int64]:
    """Return the pages of each batch that were seen to be decided so."""
    total = np.zeros(count(columns), np.int64)
    for name in names:
        total += columns[f"decided_{name}"]
    return total


def _accounts(context: Context, checked: Columns) -> Iterator[Found]:
    kept, told = decided(checked, "keep"), checked["nr_ref_keep"].astype(np.int64)
    unseen = unseen_checks(context, checked)
    fewer = [Reason(why, mask & (kept < told), limit) for why, mask, limit in unseen]
    yield _pages(Claim(KEPT, checked, kept == told), told, kept, fewer)
    activated = decided(checked, "activate")
    limit = checked["nr_activate_anon"].astype(np.int64) + checked["nr_activate_file"]
    yield _pages(Claim(ACTIVATED, checked, activated <= limit), limit, activated)
    gone, freed = decided(checked, "reclaim", "reclaim_clean"), checked["reclaimed"]
    yield _pages(Claim(RECLAIMED, checked, freed <= gone), gone, freed, unseen)


def unseen_checks(context: Context, checked: Columns) -> list[Reason]:
    """Return why fewer checks may have been seen than a batch made."""
    early = checked["time"] - checked["ns"] < context.start_ns
    missed = context.missed.get("reference_check", 0)
    return [
        Reason("the batch began before the recording", early),
        Reason("the kernel did not run a probe's program", np.full(len(early), missed > 0), missed),
    ]


def _pages(
    claim: Claim, model: npt.NDArray[Any], seen: npt.NDArray[Any], reasons: Sequence[Reason] = ()
) -> Found:
    """Return what a rule about pages of each batch found; batches without any do not count."""
    found = judge(claim, lambda at: (f"{model[at]} pages", f"{seen[at]} pages"), reasons)
    held = int(np.count_nonzero((model != 0) | (seen != 0)))
    return replace(found, held=held, predicted=int(model.sum()), observed=int(seen.sum()))


def _unchecked(ignoring: Columns) -> Found:
    seen = decided(ignoring, *DECISIONS)
    claim = Claim(UNCHECKED, ignoring, seen == 0)
    return judge(claim, lambda at: ("no checks", f"{seen[at]} pages decided on"))


def _ignores(context: Context, columns: Columns) -> Found:
    model = np.array([ignores_references(context.semantics, _CALLERS[c]) for c in CALLERS])
    must, does = model[columns["caller"]], columns["ignores_references"] != 0

    def tell(at: int) -> tuple[str, str]:
        caller = CALLERS[columns["caller"][at]]
        return f"ignored: {bool(must[at])}, called by {caller}", f"ignored: {bool(does[at])}"

    return judge(Claim(IGNORES, columns, must == does), tell)
