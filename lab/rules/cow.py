"""The rules of copy on write: what became of writes, and how long the walks are after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.semantics import Cow, Semantics
from ...model.cow import CowOutcome, WpPage, do_wp_page
from ...model.scenarios import last_sharer
from ...probes import cow
from .row import Agreement, Run, equal, op, unless, untold

_OUTCOMES = {
    CowOutcome.COPY: "copied",
    CowOutcome.REUSE: "reused",
    CowOutcome.REUSE_AND_MOVE: "moved",
}
_IN_PLACE = ("reused", "moved", "shared")
"""What wp_page_reuse() does."""

_ONE_OWNER = WpPage(mapcount=1, references=1)
_NO_ANON = WpPage(anon=False)


def cow_reuse(run: Run) -> Iterator[Agreement]:
    """Yield: each write is copied or done in place as the model says, and moves the page or not."""
    semantics, groups = run.semantics, run.ledger["groups"]
    for group in groups:
        yield from _group(run, group, _foretold(semantics, group, run.ledger["children"]))
    yield from unless(_unseen(run), [_copies_of_all(run)])
    yield from _moves(run, semantics)
    yield from unless(_unseen(run), _pgreuse(run))


def _foretold(semantics: Semantics, group: Mapping[str, Any], children: int) -> str:
    """Return the outcome that the model predicts for a write to a page of a group."""
    pages = {
        "shared": WpPage(mapcount=children + 1, references=children + 1),
        "last": _ONE_OWNER,
        "orphan": _ONE_OWNER,
        # Where the kernel keeps that in mind, the page is known to be this process's by now.
        "again": WpPage(exclusive=semantics.cow is Cow.EXCLUSIVE),
        "zero": _NO_ANON,
        "file": _NO_ANON,
    }
    name = group["name"]
    return _OUTCOMES[do_wp_page(semantics, pages[name])] if name in pages else "shared"


def _group(run: Run, group: Mapping[str, Any], outcome: str) -> Iterator[Agreement]:
    """Yield the rules of the writes to one group of pages."""
    name, pages = group["name"], group["pages"]
    faults = _of_range(run, group["pid"], group["address"], pages)
    # One page may be written to twice, in groups that come one after the other.
    first = {"orphan": slice(None, pages), "again": slice(-pages, None)}
    faults = faults[first.get(name, slice(None))]
    yield from unless(_unseen(run), _became(group, outcome, faults))
    yield from _mappings(group, outcome)


def _unseen(run: Run) -> str:
    """Return why no rule about writes can be held; "" where they can."""
    return "" if "cow" in run.sample.events else "what becomes of a write is not seen"


def _became(
    group: Mapping[str, Any], outcome: str, faults: npt.NDArray[np.void]
) -> Iterator[Agreement]:
    """Yield: the writes to one group became what the model says, of the frames of the ledger."""
    name, pages = group["name"], group["pages"]
    became = faults[faults["outcome"] == cow.OUTCOMES.index(outcome)]
    yield equal(f"{name}: writes to pages that are {outcome}", "writes", pages, len(became))
    yield equal(f"{name}: faults that the writer counts", "faults", group["faults"], len(faults))
    for side, frames in (("pfn", group["before"]), ("pfn_after", group["after"])):
        same = int((faults[side] == np.array(frames, "u8")).sum()) if len(faults) == pages else 0
        when = "before" if side == "pfn" else "after"
        yield equal(f"{name}: frames {when} are those of /proc/self/pagemap", "pages", pages, same)
    kind = int((faults["page"] == cow.PAGES.index(group["kind"])).sum())
    yield equal(f"{name}: pages are {group['kind']} by /proc/kpageflags", "pages", pages, kind)


def _of_range(run: Run, pid: int, address: int, pages: int) -> npt.NDArray[np.void]:
    """Return the faults of a process in a range, in order of their time."""
    faults = run.records["cow"]
    within = (faults["address"] >= address) & (faults["address"] < address + pages * 4096)
    found: npt.NDArray[np.void] = faults[within & (faults["tgid"] == pid)]
    return found[np.argsort(found["time"], kind="stable")]


def _mappings(group: Mapping[str, Any], outcome: str) -> Iterator[Agreement]:
    """Yield: by /proc/kpagecount a copy, or a page of one owner, is mapped once after the write."""
    if outcome == "shared":
        return
    alone = sum(count == 1 for count in group["mappings_after"])
    rule = f"{group['name']}: pages mapped once after the write, by /proc/kpagecount"
    yield equal(rule, "pages", group["pages"], alone)


def _copies_of_all(run: Run) -> Agreement:
    """Return the row of what everybody but the last child copied, and the first child alone."""
    ledger = run.ledger
    faults = run.records["cow"]
    anon = (faults["address"] >= ledger["base"]) & (faults["address"] < ledger["end"])
    copied = faults[anon & (faults["outcome"] == cow.OUTCOMES.index("copied"))]
    shared = next(group["pages"] for group in ledger["groups"] if group["name"] == "shared")
    pages = shared + ledger["children"] * (ledger["last"] + ledger["kept"])
    rule = "pages copied while others shared them, of all processes"
    return equal(rule, "pages", pages, len(np.unique(copied["pfn_after"])))


def _moves(run: Run, semantics: Semantics) -> Iterator[Agreement]:
    """Yield: how many VMAs the walks enter that restore a page, before and after its last write."""
    ledger, walks = run.ledger, run.records["walk"]
    model = last_sharer(semantics, ledger["children"])
    restored = walks[walks["op"] == op("restore")]
    for which, entered, when in (
        ("moved_kept", model.restore_before, "its last owner has not written"),
        ("moved_last", model.restore_after, "its last owner has written"),
    ):
        frames = [move["after"] for move in ledger[which] if not move["errno"]]
        ours = restored[np.isin(restored["pfn"], frames)]
        rule = f"walks to restore a page that {when} enter {entered} VMAs"
        yield equal(rule, "walks", len(ledger[which]), int((ours["vmas"] == entered).sum()))


def _pgreuse(run: Run) -> Iterator[Agreement]:
    """
    Yield: writes in place, of all processes, are pgreuse of /proc/vmstat in the same time.

    Some may have been while it was read, and as many as the probe missed may not have been told.
    """
    rule = "writes in place = pgreuse of /proc/vmstat"
    before, after = (run.ledger[f"vmstat_{when}"] for when in ("before", "after"))
    if before["pgreuse"] < 0:
        yield untold(rule, "writes", "this kernel's /proc/vmstat has no pgreuse")
        return
    faults = run.records["cow"]
    in_place = np.isin(faults["outcome"], [cow.OUTCOMES.index(name) for name in _IN_PLACE])
    times = faults["time"][in_place]
    surely = int(((times > before["end_ns"]) & (times <= after["begin_ns"])).sum())
    maybe = int(((times > before["begin_ns"]) & (times <= after["end_ns"])).sum())
    told = after["pgreuse"] - before["pgreuse"]
    if surely < told <= maybe + run.sample.missed("cow"):
        reasons = (
            ("writes while /proc/vmstat was read", min(told, maybe) - surely),
            ("writes whose probe the kernel did not run", max(0, told - maybe)),
        )
        explained = tuple((why, count) for why, count in reasons if count)
        yield Agreement(rule, "writes", told, surely, True, explained)
    else:
        yield equal(rule, "writes", told, surely)
