"""The rules of what is reclaimed and what stays: pages used once, and a working set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.semantics import LockedLarge
from ...probes.reclaim import CALLERS, DECISIONS
from .row import Agreement, Run, at_most, equal, none_of, op, unless, untold

_RECLAIM = DECISIONS.index("reclaim")
_RECLAIM_CLEAN = DECISIONS.index("reclaim_clean")
_GONE = [_RECLAIM, _RECLAIM_CLEAN]
_ACTIVATE = DECISIONS.index("activate")
_ACTIVATE_MLOCKED = DECISIONS.index("activate_mlocked")
_PAGES = CALLERS.index("pages")

_SHARE_OF_REFAULTS = 100
"""Near zero: of so many uses of a page of the working set, at most one finds it gone."""


def _within(records: npt.NDArray[np.void], region: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Return which walks or checks are of pages of a region of the ledger."""
    index = records["index"]
    found: npt.NDArray[np.bool_] = (index >= region["first_index"]) & (
        index <= region["last_index"]
    )
    return found


def _looks(run: Run, region: Mapping[str, Any]) -> npt.NDArray[np.void]:
    """Return the checks that reclaim made of the pages of a region, and decided upon."""
    checks = run.records["reference"]
    return checks[_within(checks, region) & (checks["decision"] < len(DECISIONS))]


def _unseen(run: Run) -> str:
    """Return why no rule about looks or batches can be held; "" where they can."""
    return "" if "batch" in run.sample.events else "decisions and batches are not seen"


def _used_once(run: Run, name: str, looks: npt.NDArray[np.void]) -> Iterator[Agreement]:
    """
    Yield the rules of commit 645747462435 for pages that were used once.

    Such a page is found used once, at most; that is not enough for it to be activated. Where MGLRU
    looks around a page that is found used, it marks that page itself as referenced before the
    decision, which then is to activate it (mm/vmscan.c, lru_gen_look_around()).
    """
    used = looks[looks["result"] > 0]
    rule = f"{name}: a page used once is found used once"
    yield equal(rule, "looks", len(np.unique(used["index"])), len(used))
    activated = looks["decision"] == _ACTIVATE
    row = equal(f"{name}: no look activates it", "looks", len(looks), int((~activated).sum()))
    if run.lru == "mglru" and activated.any():
        why = "MGLRU looked around it first, and marked it as referenced"
        marked = int((activated & _referenced(run, looks)).sum())
        row = replace(row, agrees=marked == int(activated.sum()), explained=((why, marked),))
    yield row


def _referenced(run: Run, looks: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return at which looks PG_referenced was set when the walk returned."""
    bit = run.kernel.enums["pageflags"]["PG_referenced"]
    mask: npt.NDArray[np.bool_] = looks["page_flags"] >> np.uint64(bit) & np.uint64(1) != 0
    return mask


def _used_by_two(name: str, looks: npt.NDArray[np.void]) -> Agreement:
    shared = looks[looks["result"] > 1]
    activated = int((shared["decision"] == _ACTIVATE).sum())
    rule = f"{name}: a page found used through two mappings is activated"
    return equal(rule, "looks", len(shared), activated)


def _read_once(run: Run, looks: npt.NDArray[np.void]) -> Agreement:
    """
    Return the rule for pages that are marked as referenced and mapped by nobody.

    The classic LRU lets go of them if they are clean (folio_check_references(), mm/vmscan.c), where
    the kernel knows that condition. MGLRU takes the mark off when it isolates a page (the same
    file, isolate_folio()), so that there is no condition.
    """
    conditional = run.semantics.reclaim_clean and run.lru == "classic"
    expected = looks["decision"] == (_RECLAIM_CLEAN if conditional else _RECLAIM)
    condition = " if it is clean" if conditional else ""
    rule = f"read: an unmapped page marked as used is let go{condition}"
    return equal(rule, "looks", len(looks), int(expected.sum()))


def _left(name: str, looks: npt.NDArray[np.void], pages: int, resident: int) -> Agreement:
    """Return the row: pages that are gone by the ledger are those that a look let go."""
    let_go = len(np.unique(looks["index"][np.isin(looks["decision"], _GONE)]))
    rule = f"{name}: pages gone by the ledger = pages let go"
    return equal(rule, "pages", pages - resident, let_go)


def _stayed(lru: str, refaults: int, uses: int) -> Agreement:
    rule = f"working set: at most 1 use in {_SHARE_OF_REFAULTS} finds its page gone"
    if lru == "mglru":
        why = "MGLRU has no such rule: it learns by refaults what to keep, here by so many"
        return untold(rule, "refaults", why, refaults)
    share = uses // _SHARE_OF_REFAULTS
    return Agreement(rule, "refaults", share, refaults, refaults <= share if uses else None)


def file_stream(run: Run) -> Iterator[Agreement]:
    """Yield: once-used mapped file pages pass through, the working set beside them stays."""
    stream: Mapping[str, Any] = run.ledger["stream"]
    working_set: Mapping[str, Any] = run.ledger["working_set"]
    unseen, looks = _unseen(run), _looks(run, stream)
    yield equal("stream: each page is read once", "pages", stream["pages"], stream["first_faults"])
    yield from unless(unseen, _used_once(run, "stream", looks))
    yield from unless(unseen, [_left("stream", looks, stream["pages"], stream["resident"])])
    yield _stayed(run.lru, working_set["refaults"], working_set["uses"])
    looks = _looks(run, working_set)
    activated = len(np.unique(looks["index"][looks["decision"] == _ACTIVATE]))
    rule = "working set: no more of its pages are activated than it has"
    yield from unless(unseen, [at_most(rule, "pages", working_set["pages"], activated)])
    shared: Mapping[str, Any] = run.ledger["shared"]
    looks = _looks(run, shared)
    yield from unless(unseen, [_used_by_two("shared", looks)])
    read: Mapping[str, Any] = run.ledger["read"]
    looks = _looks(run, read)
    rows = [_read_once(run, looks), _left("read", looks, read["pages"], read["resident"])]
    yield from unless(unseen, rows)


def working_set(run: Run) -> Iterator[Agreement]:
    """Yield: what two processes use is activated at its first look, what was used once goes."""
    ledger = run.ledger
    unseen = _unseen(run)
    for kind in ("anon", "file"):
        region = ledger[kind]
        hot = _looks(run, {**region, "last_index": region["first_cold_index"] - 1})
        yield from unless(unseen, [_used_by_two(kind, hot)])
        cold = _looks(run, {**region, "first_index": region["first_cold_index"]})
        yield from unless(unseen, _used_once(run, f"{kind}, used once", cold))
        left = _left(f"{kind}, used once", cold, ledger["cold"], region["cold_resident"])
        yield from unless(unseen, [left])
    yield _stayed(run.lru, ledger["hot_refaults"], 4 * ledger["rounds"] * ledger["hot"])


def pageout(run: Run) -> Iterator[Agreement]:
    """Yield: MADV_PAGEOUT takes what is in use; what mlock(2) missed is found by a walk."""
    advised: Mapping[str, Any] = run.ledger["advised"]
    in_swap = advised["in_swap"]
    yield equal("madvise: every page is in swap", "pages", advised["pages"], in_swap)
    batches = run.records["batch"]
    taken = int(batches["reclaimed"][batches["caller"] == _PAGES].sum())
    rule = "madvise: pages in swap = pages of its batches"
    yield from unless(_unseen(run), [equal(rule, "pages", in_swap, taken)])
    yield from unless(_unseen(run), [_advised(run, advised)])
    locked: Mapping[str, Any] = run.ledger["locked"]
    yield equal(
        "mlock: halves of a huge page are missed", "pages", locked["pages"], locked["missed"]
    )
    yield from unless(_unseen(run), _locked(run, locked))
    yield none_of("mlock: none is swapped out", "pages", locked["in_swap"], exercised=True)


def _advised(run: Run, advised: Mapping[str, Any]) -> Agreement:
    looks = _looks(run, advised)
    ignored = run.semantics.pageout_ignores_references
    rule = "madvise: its pages are looked at once, or not at all where it ignores references"
    predicted = 0 if ignored else advised["pages"]
    return replace(equal(rule, "looks", predicted, len(looks)), agrees=predicted == len(looks))


def _locked(run: Run, locked: Mapping[str, Any]) -> Iterator[Agreement]:
    """Yield: a look, or a walk after a split, finds what mlock(2) missed."""
    looks = _looks(run, locked)
    found = int(looks["nr_pages"][looks["decision"] == _ACTIVATE_MLOCKED].sum())
    walks = run.records["walk"]
    restores = (walks["op"] == op("restore")) & _within(walks, locked)
    again = int(walks["ptes"][restores].sum())
    rule = (
        "mlock: pages found locked, or mapped again after a split = pages marked, by /proc/vmstat"
    )
    yield equal(rule, "pages", locked["found"], found + again)
    whole = run.semantics.locked_large is LockedLarge.WHOLE
    rule = "mlock: a look finds all locked, or none where it does not care for parts"
    predicted = locked["pages"] if whole else 0
    yield replace(equal(rule, "pages", predicted, found), agrees=predicted == found)
