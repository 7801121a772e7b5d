"""The rules of the fork storm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...probes import events, rmap
from .row import Agreement, Run, at_most, equal, none_of, op, untold


def child_pages(walks: npt.NDArray[np.void], ledger: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Return which of the walks are of pages that a child of the storm owns alone."""
    within = (walks["index"] >= ledger["first_index"]) & (walks["index"] <= ledger["last_index"])
    anon = walks["kind"] == rmap.KINDS.index("anon")
    # A child's copy hangs on the child's own anon_vma; what the parent left hangs on the root.
    mask: npt.NDArray[np.bool_] = within & anon & (walks["map"] != walks["root"])
    return mask


def fork_storm(run: Run) -> Iterator[Agreement]:
    """
    Yield the rules of anon_vma chains (commit 5beb49305251) for a storm that copied every page.

    A reference walk of a child's page enters that child's VMA and no other, and the pages of each
    child hang on an anon_vma of their own.
    """
    walks, ledger = run.records["walk"], run.ledger
    reference = walks["op"] == op("reference")
    bailed = (walks["flags"] & events.WALK_BAILED) != 0
    child = walks[child_pages(walks, ledger) & reference & ~bailed]
    entered_one = int((child["vmas"] == 1).sum())
    yield equal(
        "an uncontended reference walk of a child's page enters 1 VMA",
        "walks",
        len(child),
        entered_one,
    )
    yield equal(
        "each child's pages hang on an anon_vma of their own",
        "anon_vmas",
        ledger["children"],
        len(np.unique(child["map"])),
    )
    rule = "no more pages of children are walked than the ledger has"
    pages = len(np.unique(child[["map", "index"]]))
    yield at_most(rule, "pages", ledger["children"] * ledger["pages"], pages)
    yield from _owners(child, ledger)
    yield from _frames(ledger)


def _owners(child: npt.NDArray[np.void], ledger: Mapping[str, Any]) -> Iterator[Agreement]:
    """Yield: each child's pages are found in one address space, and a child owns it."""
    rule = "each child's pages are found in an address space of its own"
    if not child["mapper"].any():
        yield untold(rule, "processes", "whose address spaces are entered is not told")
        return
    found = np.unique(child[["map", "mapper"]])
    yield equal(rule, "processes", ledger["children"], len(found))
    family = (found["mapper"] >= ledger["first_child"]) & (found["mapper"] <= ledger["last_child"])
    rule = "none of those is of another process than the storm's children"
    yield none_of(rule, "processes", int((~family).sum()), len(found) > 0)


def _frames(ledger: Mapping[str, Any]) -> Iterator[Agreement]:
    """
    Yield: before reclaim, a copy was mapped once and a page that is left by all who share it.

    Ledgers of older recordings do not tell.
    """
    if "kpage" not in ledger:
        return
    for name, copies in (("parent", 1), ("copies", ledger["copying_children"])):
        told, pages = ledger["kpage"][name], copies * ledger["pages"]
        rule = f"{name}: pages mapped so often by /proc/kpagecount"
        yield equal(rule, "pages", pages, told["mapped_as_expected"])
        rule = f"{name}: pages that are ANON by /proc/kpageflags"
        yield equal(rule, "pages", pages, told["anon"])
