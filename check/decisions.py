"""The reference check: what the model decides from its inputs, against the decision's effect."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.semantics import Mglru, Semantics
from ..model.references import (
    VM_EXEC,
    VM_LOCKED,
    Decision,
    ReferenceCheck,
    decision_key,
    decision_table,
)
from ..probes.events import UNSEEN
from ..probes.reclaim import CALLERS, DECISIONS
from .context import Context
from .verdict import Claim, Columns, Found, Mask, Reason, Rule, judge, untold
from .windows import taken

_SOURCE = "mm/vmscan.c, folio_check_references() (page_check_references() before v5.18)"

_NAME = "reference check: "

RULES = {
    name: Rule(
        _NAME + name,
        "checks",
        "reference",
        _SOURCE,
        f"a check for which the model decides {name} is seen to have had that effect",
    )
    for name in DECISIONS
}
"""By the decision that the model predicts."""

NEVER = Rule(
    "reference check: gives up only where it can",
    "checks",
    "reference",
    "mm/rmap.c, folio_referenced()",
    "a result of -1 occurs only on kernels whose walk gives up",
)

_NAMES = {
    Decision.ACTIVATE: "activate",
    Decision.KEEP: "keep",
    Decision.RECLAIM: "reclaim",
    Decision.RECLAIM_CLEAN: "reclaim_clean",
}
_CODES = {name: number for number, name in enumerate(DECISIONS)}
_IMPOSSIBLE = UNSEEN
_SEEN = len(DECISIONS)
_ONE: Any = np.uint16(1)
_CELLS = (_IMPOSSIBLE + 1) * _SEEN

NO_BATCH = 255
"""Stands for the caller of a batch whose own event is not there."""


@functools.cache
def table_of(semantics: Semantics) -> npt.NDArray[np.uint8]:
    """Return the model's decision table, in the numbers of `DECISIONS`."""
    return np.array(
        [
            _IMPOSSIBLE if decision is None else _CODES[_NAMES[decision]]
            for decision in decision_table(semantics)
        ],
        np.uint8,
    )


def predicted(context: Context, checks: Columns, callers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """
    Return what the model decides for each check, a number of `DECISIONS` or `UNSEEN`.

    ``callers``: of the batches that the checks are of. Eviction is MGLRU's; an anonymous page is
    told from a swap-backed one only by kernels older than any that can be probed.
    """
    words = checks["page_flags"]
    swapbacked = context.bit("swapbacked", words)
    inputs: Any = {
        "referenced": checks["result"],
        "vm_flags": checks["vm_flags"],
        "page_referenced": context.bit("referenced", words),
        "swapbacked": swapbacked,
        "anon": swapbacked,
        "lru_gen": callers == CALLERS.index("evict"),
        "workingset": context.bit("workingset", words),
    }
    key: Any = decision_key(ReferenceCheck(**inputs), _ONE)
    decided: npt.NDArray[Any] = table_of(context.semantics)[key]
    mlocked = (decided == _CODES["activate"]) & context.bit("mlocked", words)
    decided[mlocked] = _CODES["activate_mlocked"]
    return decided


def decisions(context: Context, checks: Columns, callers: npt.NDArray[Any]) -> Iterator[Found]:
    """Yield what the rules find in checks whose decision was seen."""
    by_lru_gen = context.semantics.mglru is Mglru.SET_REFS
    if by_lru_gen and "reclaim_evict" not in context.attached:
        why = "who evicts was not watched, and MGLRU has rules of its own"
        yield from (untold(rule, why) for rule in RULES.values())
        return
    held = checks["decision"] != UNSEEN
    if by_lru_gen:
        held &= callers != NO_BATCH
    if not held.all():
        checks, callers = taken(checks, held), callers[held]
    model = predicted(context, checks, callers)
    # How often each decision was predicted, by what was seen: one pass for all rules.
    cells = np.bincount(model.astype(np.uint16) * _SEEN + checks["decision"], minlength=_CELLS)
    table = cells.reshape(-1, _SEEN)
    for code, rule in enumerate(RULES.values()):
        number = int(table[code].sum())
        if number == table[code, code]:
            yield Found(rule, number, number, number)
        else:
            yield _differing(context, rule, checks, callers, model)
    yield _gives_up(checks, model != _IMPOSSIBLE)


def _differing(
    context: Context,
    rule: Rule,
    checks: Columns,
    callers: npt.NDArray[Any],
    model: npt.NDArray[Any],
) -> Found:
    def tell(at: int) -> tuple[str, str]:
        why = inputs(context, checks, at, callers[at] == CALLERS.index("evict"))
        return f"{DECISIONS[model[at]]}: {why}", DECISIONS[checks["decision"][at]]

    held = model == _CODES[rule.name.removeprefix(_NAME)]
    claim = Claim(rule, checks, model == checks["decision"], held)
    return judge(claim, tell, _reasons(context, checks, model))


def _reasons(context: Context, checks: Columns, model: npt.NDArray[Any]) -> Iterator[Reason]:
    seen = checks["decision"]
    free = ~context.bit("mlocked", checks["page_flags"])
    locked = (seen == _CODES["activate_mlocked"]) & free
    open_ones = (model == _CODES["activate"]) | (model == _CODES["keep"])
    yield Reason("mlocked by another thread between check and effect", locked & open_ones)
    if not context.tells_clean:
        merged = (model == _CODES["reclaim_clean"]) & (seen == _CODES["reclaim"])
        yield Reason("the probes could not tell reclaim_clean from reclaim", merged)


def _gives_up(checks: Columns, right: Mask) -> Found:
    claim = Claim(NEVER, checks, right, checks["result"] < 0)
    return judge(claim, lambda _: ("the walk never gives up on this kernel", "it gave up"))


def inputs(context: Context, checks: Columns, at: int, lru_gen: bool) -> str:
    """Return what the model decided from, as text."""
    word, vm_flags = checks["page_flags"][at : at + 1], int(checks["vm_flags"][at])
    found = [f"PG_{name}" for name in context.flags if context.bit(name, word)[0]]
    bits = (("VM_LOCKED", VM_LOCKED), ("VM_EXEC", VM_EXEC))
    found += [name for name, bit in bits if vm_flags & bit]
    lru = "MGLRU" if lru_gen else "classic LRU"
    return ", ".join([f"result {checks['result'][at]}", *found, lru])
