"""KSM: how pages are merged, what writes and swap-ins take from them, and ksmd's passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..probes.events import NOT_KNOWN
from ..probes.ksm import WHAT
from ..probes.rmap import KINDS
from .context import Context
from .ledgers import KSM_MERGE, KSM_SWAP
from .verdict import Claim, Columns, Found, Reason, Rule, judge, total, untold
from .walks import OP
from .windows import Window, count, empty, joined, kept, taken

_KSM = "mm/ksm.c"
_WHAT = {name: number for number, name in enumerate(WHAT)}

MERGED = Rule(
    "ksm: two pages become a KSM page",
    "pages",
    "ksm",
    f"{_KSM}, cmp_and_merge_page(), stable_tree_append()",
    "ksmd puts the page that it found in the unstable tree into the stable one, and at once the"
    " page that it found it for: the next event of that thread is one more for the same frame",
)
BROKEN = Rule(
    "ksm: a write breaks a frame that is merged",
    "pages",
    "ksm",
    "mm/memory.c, do_wp_page(); mm/ksm.c, break_ksm()",
    "a write that takes a copy of a KSM page takes it of a frame that pages were merged into, or"
    " that such a page was moved to",
)
JOINED = Rule(
    "ksm: a page joins a frame that is merged",
    "pages",
    "ksm",
    f"{_KSM}, stable_tree_search(), stable_tree_append()",
    "a page joins a frame that pages were merged into, or that such a page was moved to",
)
PASSES = Rule(
    "ksm: passes follow each other",
    "passes",
    "ksm",
    f"{_KSM}, ksm_scan_thread(), scan_get_next_rmap_item()",
    "there is one ksmd: a pass begins after the one before it has ended",
)
COPIED = Rule(
    "ksm: no more copies on swap-in than mappings lost",
    "pages",
    "ksm",
    f"{_KSM}, ksm_might_need_to_copy(); commit 5ad6468801d2",
    "of a KSM page that was unmapped from n places, who comes first gets the page and at most"
    " n - 1 others a copy",
)
RULES = (MERGED, JOINED, BROKEN, PASSES, COPIED)

_OF_PAGES = ["seq", "time", "tid", "pfn", "ns", "what"]

FRAMES = 1 << 20
"""So many frames of KSM pages at most are remembered."""


@dataclass(frozen=True)
class Merging:
    """
    What KSM has done so far.

    ``last``: the last event of what ksmd does to a page, and the last pass. ``frames``: in order.
    ``unmapped``: mappings that KSM pages have lost to walks, less one each; ``unseen``: there were
    walks that do not tell. ``copied``: on swap-in.
    """

    last: Columns = field(default_factory=lambda: empty("ksm"))
    passed: Columns = field(default_factory=lambda: empty("ksm"))
    frames: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    unmapped: int = 0
    unseen: bool = False
    copied: int = 0


def merging(context: Context, before: Merging, window: Window) -> tuple[Merging, list[Found]]:
    """Return what KSM has done after a window, and what the rules find in it."""
    events, walks = window["ksm"], window["walk"]
    if not count(events) and not len(before.frames):
        return before, []
    trees = taken(events, _is(events, "shared", "sharing"))
    of_ksm = taken(walks, walks["kind"] == KINDS.index("ksm"))
    moved = of_ksm["pfn"][of_ksm["op"] == OP["restore"]]
    new = np.concatenate([before.frames, trees["pfn"][_is(trees, "shared")], moved])
    frames = np.unique(new)[-FRAMES:]
    last, merged = _merged(context, before.last, trees)
    passed, passes = _passes(before.passed, taken(events, _is(events, "scanned")))
    after = Merging(
        last,
        passed,
        frames,
        before.unmapped + _unmapped(of_ksm),
        before.unseen or bool((_to_unmap(of_ksm) & (of_ksm["ptes"] == NOT_KNOWN)).any()),
        before.copied + int(np.count_nonzero(_is(events, "copied"))),
    )
    return after, [merged, *_of_frames(context, events, frames), passes]


def _is(events: Columns, *names: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = np.isin(events["what"], [_WHAT[name] for name in names])
    return found


def _to_unmap(walks: Columns) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = walks["op"] == OP["unmap"]
    return found


def _unmapped(walks: Columns) -> int:
    gone = _to_unmap(walks) & (walks["ptes"] > 1)
    return int(walks["ptes"][gone].sum()) - int(np.count_nonzero(gone))


def _merged(context: Context, last: Columns, trees: Columns) -> tuple[Columns, Found]:
    """Hold each first page of a frame against the event that follows it."""
    trees = joined([last, trees], _OF_PAGES)
    size = count(trees)
    first = _is(trees, "shared")[: max(size - 1, 0)]
    follows = (
        (trees["what"][1:] == _WHAT["sharing"])
        & (trees["pfn"][1:] == trees["pfn"][:-1])
        & (trees["tid"][1:] == trees["tid"][:-1])
    )

    def tell(at: int) -> tuple[str, str]:
        now, pfn = WHAT[trees["what"][at + 1]], trees["pfn"][at + 1]
        return f"sharing pfn {trees['pfn'][at]:#x} follows", f"{now} pfn {pfn:#x}"

    lost = context.lost.get("ksm", 0) + context.missed.get("ksm_append", 0)
    reasons = [Reason("ksm events were lost or missed", np.full(len(first), lost > 0), lost)]
    found = judge(Claim(MERGED, trees, follows, first), tell, reasons)
    return kept(trees, _OF_PAGES, 1), found


def _of_frames(
    context: Context, events: Columns, frames: npt.NDArray[np.uint64]
) -> Iterator[Found]:
    known = np.isin(events["pfn"], frames)
    lost = context.lost.get("ksm", 0) + context.lost.get("walk", 0)
    reasons = [Reason("events were lost", np.full(len(known), lost > 0))]
    if context.ledger.get("workload") != KSM_MERGE:  # which begins with nothing merged
        reasons.append(Reason("it may have been merged before", ~known))

    def tell(at: int) -> tuple[str, str]:
        return "a frame that is merged", f"pfn {events['pfn'][at]:#x} is not known to be"

    for rule, what in ((JOINED, "sharing"), (BROKEN, "cow")):
        yield judge(Claim(rule, events, known, _is(events, what)), tell, reasons)


def _passes(last: Columns, passes: Columns) -> tuple[Columns, Found]:
    passes = joined([last, passes], _OF_PAGES)
    began, ended = passes["time"] - passes["ns"], passes["time"]
    right = np.ones(len(began), np.bool_)
    right[1:] = began[1:] >= ended[:-1]
    held = np.ones(len(began), np.bool_)
    held[: count(last)] = False

    def tell(at: int) -> tuple[str, str]:
        return f"it began after {ended[at - 1]} ns", f"it began at {began[at]} ns"

    return kept(passes, _OF_PAGES, 1), judge(Claim(PASSES, passes, right, held), tell)


def copied(context: Context, merging: Merging) -> Found:
    """Return what was found about copies on swap-in, when all is over."""
    if not merging.copied:
        return Found(COPIED)
    at_most, seen = merging.unmapped, merging.copied
    if seen > at_most and merging.unseen:
        return untold(COPIED, "page-table entries are not seen")
    explained: dict[str, int] = {}
    if seen > at_most and context.ledger.get("workload") != KSM_SWAP:
        explained["they may have been unmapped before"] = seen - at_most
    found = total(COPIED, "copies", at_most, seen, seen <= at_most or bool(explained))
    return Found(COPIED, found.held, at_most, seen, explained, found.wrong, found.examples)
