"""Reference checks, and the walks that they made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..probes.events import ALL_ONES, NOT_KNOWN, WALK_BAILED
from .context import Context
from .verdict import Claim, Columns, Found, Mask, Reason, Rule, judge
from .walks import OP
from .windows import Places, Window, count, empty, joined, kept, taken

_RMAP = "mm/rmap.c"

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
RULES = (FOUND, COUNTS_VMAS, GIVES_UP)

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
    walks = joined([waiting.walks, taken(every, every["op"] == OP["reference"])], _OF_PAIRS)
    if np.any(walks["time"][1:] < walks["time"][:-1]):  # CPUs take turns to tell
        walks = taken(walks, np.argsort(walks["time"], kind="stable"))
    walked = checks["walk"] != 0
    checks = checks if walked.all() else taken(checks, walked)
    places, there = _places(walks, checks)
    used = np.zeros(count(walks), np.bool_)
    used[places if isinstance(places, slice) else places[there]] = True
    left = Walked(kept(taken(walks, ~used), _OF_PAIRS, WAITING))
    found = taken(walks, places) if count(walks) else taken(walks, slice(0, 0))
    return left, checks, found, there


def _places(walks: Columns, checks: Columns) -> tuple[Places | slice, Mask]:
    """Return the place of each check's walk, and whether it is there: same end, same thread."""
    times, size, wanted = walks["time"], count(walks), count(checks)
    if not (size and wanted):
        return np.zeros(wanted, np.intp), np.zeros(wanted, np.bool_)
    # Mostly each walk is told of, and then its check, in the same order.
    first = int(np.searchsorted(times, checks["walk"][0]))
    in_step = slice(first, first + wanted)
    if in_step.stop <= size and (there := _matches(walks, checks, in_step)).all():
        return in_step, there
    places = np.minimum(np.searchsorted(times, checks["walk"]), size - 1)
    there = _matches(walks, checks, places)
    # Threads on several CPUs may have ended walks in the same nanosecond.
    for at in np.flatnonzero(~there & (times[places] == checks["walk"])):
        end = np.searchsorted(times, checks["walk"][at], side="right")
        same = walks["tid"][places[at] : end] == checks["tid"][at]
        if same.any():
            places[at] += np.argmax(same)
            there[at] = True
    return places, there


def _matches(walks: Columns, checks: Columns, places: Places | slice) -> Mask:
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

    lost, early = context.lost.get("walk", 0), checks["walk"] < context.start_ns
    reasons = [
        Reason("walk events were lost", ~there & (lost > 0), lost),
        Reason("the walk ended before the recording", early & ~there),
    ]
    return judge(Claim(FOUND, checks, right), tell, reasons)


def _counts_vmas(checks: Columns, walks: Columns) -> Found:
    vmas = walks["vmas"]

    def tell(at: int) -> tuple[str, str]:
        return f"result <= vmas {vmas[at]}", f"result {checks['result'][at]}"

    right = checks["result"] <= vmas
    return judge(Claim(COUNTS_VMAS, checks, right, vmas != NOT_KNOWN), tell)


def _gives_up(context: Context, checks: Columns, walks: Columns) -> Found:
    bailed, gave_up = (walks["flags"] & WALK_BAILED) != 0, checks["result"] == -1

    def tell(at: int) -> tuple[str, str]:
        model = "result -1: the lock was contended" if bailed[at] else "no -1: the walk went on"
        return model, f"result {checks['result'][at]}"

    exiting = gave_up & ~bailed & context.semantics.exiting_owner_gives_up
    claim = Claim(GIVES_UP, checks, bailed == gave_up, bailed | gave_up)
    return judge(claim, tell, [Reason("an exiting owner's page", exiting)])
