"""Walks: how many VMAs and page-table entries they may meet, and the checks that made them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..probes.events import ALL_ONES, NOT_KNOWN, WALK_BAILED
from ..probes.rmap import KINDS, OPS
from .context import Context
from .verdict import Columns, Found, Mask, Rule, judge, untold
from .windows import Window, count, empty, joined, taken

_OP = {op.name: number for number, op in enumerate(OPS)}
_CHANGING = np.array([op.name in ("unmap", "migrate", "split", "restore") for op in OPS])
_RMAP = "mm/rmap.c"

ONCE = Rule(
    "walk: a small page is found once in a VMA at most",
    "walks",
    "walk",
    f"{_RMAP}, folio_referenced_one(), page_mkclean_one()",
    "page-table entries that a reference or mkclean walk counts itself are no more than the VMAs it"
    " entered, for a folio of one page",
)
STOPS = Rule(
    "walk: no more entries than mappings",
    "walks",
    "walk",
    f"{_RMAP}, folio_referenced_one()",
    "a reference walk ends when it has found as many entries as the mapcount at its entry",
)
CONTENDED = Rule(
    "walk: a contended walk enters no VMA",
    "walks",
    "walk",
    f"{_RMAP}, rmap_walk_anon(), rmap_walk_file()",
    "an anon or file walk that did not get the rmap lock meets neither a VMA nor an entry",
)
MAPCOUNT = Rule(
    "walk: entries are what the mapcount changed by",
    "walks",
    "walk",
    "probes/bpf/rmap.bpf.c",
    "entries of an unmap, migrate or split walk are what the mapcount went down by, of a restore"
    " walk what it went up by",
)
CHILD = Rule(
    "walk: a child's own page has one VMA",
    "walks",
    "walk",
    "mm/rmap.c, anon_vma_fork(); commit 5beb49305251",
    "an uncontended reference walk, or a restore walk, of a page that a child of the ledger's fork"
    " storm owns alone enters exactly one VMA",
)
ROOT = Rule(
    "walk: a restore walk enters all linked VMAs",
    "walks",
    "walk",
    "mm/rmap.c, rmap_walk_anon(); mm/migrate.c",
    "a restore walk of a page left on the root anon_vma of the ledger's fork storm enters the"
    " parent's VMA and each child's: it has no early exit",
)
FOUND = Rule(
    "reference check: its walk is there",
    "checks",
    "reference",
    "mm/rmap.c, folio_referenced()",
    "a check that walked names a reference walk of the same thread that ended then, and both are of"
    " the same frame",
)
COUNTS_VMAS = Rule(
    "reference check: the result counts VMAs",
    "checks",
    "reference",
    f"{_RMAP}, folio_referenced_one()",
    "the result is at most the VMAs that the walk entered, however many entries it found",
)
GIVES_UP = Rule(
    "reference check: a contended walk gives up",
    "checks",
    "reference",
    f"{_RMAP}, folio_referenced()",
    "the result is -1 where the walk did not get the rmap lock; elsewhere only where the kernel"
    " also gives up on an exiting owner's pages",
)
RULES = (ONCE, STOPS, CONTENDED, MAPCOUNT, CHILD, ROOT)
RULES_OF_PAIRS = (FOUND, COUNTS_VMAS, GIVES_UP)


def walks(context: Context, every: Columns) -> Iterator[Found]:
    """Yield what the rules find in walks."""
    reference = every["op"] == _OP["reference"]
    small = every["nr_pages"] == 1
    counting = reference | (every["op"] == _OP["mkclean"])
    once = taken(every, counting & small & _known(every, "vmas", "ptes"))
    yield _at_most(ONCE, once, "ptes", "vmas")
    yield _at_most(
        STOPS,
        taken(every, reference & small & _known(every, "ptes", "mapcount_before")),
        "ptes",
        "mapcount_before",
    )
    yield _contended(taken(every, (every["flags"] & WALK_BAILED) != 0))
    yield _mapcounts(taken(every, _known(every, "ptes", "mapcount_before", "mapcount_after")))
    yield from _storm(context, every)


def _known(columns: Columns, *names: str) -> Mask:
    mask = np.ones(count(columns), np.bool_)
    for name in names:
        mask &= columns[name] != NOT_KNOWN
    return mask


def _at_most(rule: Rule, columns: Columns, less: str, more: str) -> Found:
    def tell(at: int) -> tuple[str, str]:
        return f"{less} <= {more} {columns[more][at]}", f"{less} {columns[less][at]}"

    return judge(rule, columns, columns[less] <= columns[more], tell)


def _contended(bailed: Columns) -> Found:
    bailed = taken(bailed, bailed["kind"] != KINDS.index("ksm"))
    right = (bailed["vmas"] <= 0) & (bailed["ptes"] <= 0)

    def tell(at: int) -> tuple[str, str]:
        return "no VMA", f"vmas {bailed['vmas'][at]}, ptes {bailed['ptes'][at]}"

    return judge(CONTENDED, bailed, right, tell)


def _mapcounts(known: Columns) -> Found:
    known = taken(known, _CHANGING[known["op"]])
    gone = known["mapcount_before"].astype(np.int64) - known["mapcount_after"]
    model = np.where(known["op"] == _OP["restore"], -gone, gone)

    def tell(at: int) -> tuple[str, str]:
        return f"ptes {model[at]}", f"ptes {known['ptes'][at]}"

    return judge(MAPCOUNT, known, model == known["ptes"], tell)


def _storm(context: Context, every: Columns) -> Iterator[Found]:
    ledger = context.ledger
    if ledger.get("workload") != "fork_storm":
        why = "no ledger says who forked"
        yield from (untold(CHILD, why), untold(ROOT, why))
        return
    within = (every["index"] >= ledger["first_index"]) & (every["index"] <= ledger["last_index"])
    anon = every["kind"] == KINDS.index("anon")
    bailed = (every["flags"] & WALK_BAILED) != 0
    storm = within & anon & ~bailed & (every["vmas"] != NOT_KNOWN)
    own, restore = every["map"] != every["root"], every["op"] == _OP["restore"]
    reference = every["op"] == _OP["reference"]
    yield _enters(CHILD, taken(every, storm & own & (reference | restore)), 1)
    linked = int(ledger["children"]) + 1
    yield _enters(ROOT, taken(every, storm & ~own & restore), linked)


def _enters(rule: Rule, columns: Columns, vmas: int) -> Found:
    right = columns["vmas"] == vmas
    return judge(rule, columns, right, lambda at: (f"{vmas} VMAs", f"{columns['vmas'][at]} VMAs"))


_OF_PAIRS = ["seq", "time", "tid", "pfn", "vmas", "flags"]

WAITING = 1 << 18
"""So many walks at most wait for their check; of older ones it never came."""


@dataclass(frozen=True)
class Walked:
    """Reference walks whose check has not been told, in the order of time."""

    walks: Columns = field(default_factory=lambda: empty("walk"))


def pair(waiting: Walked, window: Window) -> tuple[Walked, Columns, Columns, Mask]:
    """
    Return the walks that still wait, the checks that walked, and the walk of each.

    The last says which checks have a walk; the walk of the others is another's. A check is told
    once its decision was seen, and then other walks have been told already.
    """
    every, checks = window["walk"], window["reference"]
    walks = joined([waiting.walks, taken(every, every["op"] == _OP["reference"])], _OF_PAIRS)
    walks = taken(walks, np.argsort(walks["time"], kind="stable"))
    checks = taken(checks, checks["walk"] != 0)
    places, there = _places(walks, checks)
    used = np.zeros(count(walks), np.bool_)
    used[places[there]] = True
    left = Walked(taken(taken(walks, ~used), slice(-WAITING, None)))
    found = taken(walks, places) if count(walks) else taken(walks, slice(0, 0))
    return left, checks, found, there


def _places(walks: Columns, checks: Columns) -> tuple[npt.NDArray[Any], Mask]:
    """Return the place of each check's walk, and whether it is there: same end, same thread."""
    times, size = walks["time"], count(walks)
    places = np.searchsorted(times, checks["walk"])
    if not size:
        return places, np.zeros(len(places), np.bool_)
    places = np.minimum(places, size - 1)
    there = _matches(walks, checks, places)
    # Threads on several CPUs may have ended walks in the same nanosecond.
    for at in np.flatnonzero(~there & (times[places] == checks["walk"])):
        end = np.searchsorted(times, checks["walk"][at], side="right")
        same = walks["tid"][places[at] : end] == checks["tid"][at]
        if same.any():
            places[at] += np.argmax(same)
            there[at] = True
    return places, there


def _matches(walks: Columns, checks: Columns, places: npt.NDArray[Any]) -> Mask:
    mask: Mask = (walks["time"][places] == checks["walk"]) & (walks["tid"][places] == checks["tid"])
    return mask


def pairs(context: Context, checks: Columns, walks: Columns, there: Mask) -> Iterator[Found]:
    """Yield what the rules find in checks and the walks that they made."""
    yield _found(context, checks, walks, there)
    if not there.all():
        walks = taken(walks, there) if there.any() else empty("walk")
        checks = taken(checks, there)
    yield _counts_vmas(checks, walks)
    yield _gives_up(context, checks, walks)


def _found(context: Context, checks: Columns, walks: Columns, there: Mask) -> Found:
    right = there.copy()
    if count(walks):
        unknown = (checks["pfn"] == ALL_ONES) | (walks["pfn"] == ALL_ONES)
        right &= unknown | (checks["pfn"] == walks["pfn"])

    def tell(at: int) -> tuple[str, str]:
        model = f"a walk of pfn {checks['pfn'][at]:#x} by thread {checks['tid'][at]}"
        return f"{model} at {checks['walk'][at]} ns", (
            f"that one is of pfn {walks['pfn'][at]:#x}" if there[at] else "no such walk"
        )

    lost = np.full(len(right), context.lost.get("walk", 0) > 0) & ~there
    early = checks["walk"] < context.start_ns
    explanations = [
        ("walk events were lost", lost),
        ("the walk ended before the recording", early & ~there),
    ]
    return judge(FOUND, checks, right, tell, explanations)


def _counts_vmas(checks: Columns, walks: Columns) -> Found:
    known = walks["vmas"] != NOT_KNOWN
    checks, vmas = taken(checks, known), walks["vmas"][known]

    def tell(at: int) -> tuple[str, str]:
        return f"result <= vmas {vmas[at]}", f"result {checks['result'][at]}"

    return judge(COUNTS_VMAS, checks, checks["result"] <= vmas, tell)


def _gives_up(context: Context, checks: Columns, walks: Columns) -> Found:
    bailed, gave_up = (walks["flags"] & WALK_BAILED) != 0, checks["result"] == -1
    either = bailed | gave_up
    checks, bailed, gave_up = taken(checks, either), bailed[either], gave_up[either]

    def tell(at: int) -> tuple[str, str]:
        model = "result -1: the lock was contended" if bailed[at] else "no -1: the walk went on"
        return model, f"result {checks['result'][at]}"

    exiting = gave_up & ~bailed & context.semantics.exiting_owner_gives_up
    return judge(GIVES_UP, checks, bailed == gave_up, tell, [("an exiting owner's page", exiting)])
