"""The rules of KSM: what was seen against the workload's ledger and against the kernel's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...probes import rmap
from ...probes.events import NOT_KNOWN
from ...probes.sample import KsmCounts
from .row import UNSEEN_ENTRIES, Agreement, Run, entered, equal, op, summed, untold


def ksm_merge(run: Run) -> Iterator[Agreement]:
    """Yield: pages merged, copied and let go are those of the ledger, and what sysfs says."""
    ledger, counts = run.ledger, run.sample.ksm
    if counts is None:
        return
    yield equal("pages that became KSM pages", "pages", ledger["pages"], counts.pages["shared"])
    joined = (ledger["processes"] - 1) * ledger["pages"]
    yield equal("pages that joined a KSM page", "pages", joined, counts.pages["sharing"])
    for name, predicted in (("pages_shared", ledger["pages"]), ("pages_sharing", joined)):
        yield equal(f"/sys/kernel/mm/ksm/{name}", "pages", predicted, ledger["merged"][name])
    if "cow" in counts.pages:
        yield equal("writes to KSM pages", "pages", ledger["cow"], counts.pages["cow"])
        yield from vmstat(run, "cow_ksm", "writes to KSM pages", counts.pages["cow"])
    else:
        yield untold(
            "writes to KSM pages", "pages", "what is mapped where a write faults is unseen"
        )
    left = ledger["merged"]["pages_sharing"] - ledger["after"]["pages_sharing"]
    yield equal("/sys/kernel/mm/ksm/pages_sharing, less after writes", "pages", ledger["cow"], left)
    yield from conserved(counts)
    yield from passes(run, counts)


def conserved(counts: KsmCounts) -> Iterator[Agreement]:
    """Yield: whoever joined is let go, when KSM forgets all in the end."""
    joined = counts.pages["shared"] + counts.pages["sharing"]
    rule = "pages that joined are all let go in the end"
    yield equal(rule, "pages", joined, counts.pages["removed"])


def vmstat(run: Run, name: str, what: str, observed: int) -> Iterator[Agreement]:
    """Yield: what was seen is what /proc/vmstat counts, where it does."""
    rule = f"{what} = {name} of /proc/vmstat"
    if name in run.vmstat:
        yield equal(rule, "pages", run.vmstat[name], observed)
    else:
        yield untold(rule, "pages", f"this kernel's /proc/vmstat has no {name}")


def passes(run: Run, counts: KsmCounts) -> Iterator[Agreement]:
    """Yield: passes begun are full_scans; one that was stopped under way has begun as well."""
    if counts.begun is None:
        yield untold("passes of ksmd", "passes", "where a pass begins is not watched")
        return
    full = run.ledger["after"]["full_scans"] - run.ledger["before"]["full_scans"]
    under_way = counts.begun - full
    agrees = under_way in (0, 1) if full else None
    explained = (("a pass was under way when ksmd was stopped", 1),) if under_way == 1 else ()
    yield Agreement("passes of ksmd", "passes", full, counts.begun, agrees, explained)


def _walks(run: Run, name: str, pfns: list[int]) -> npt.NDArray[np.void]:
    """Return the walks of KSM pages of an op that went over these frames."""
    walks = run.records["walk"]
    of_ksm = walks[(walks["kind"] == rmap.KINDS.index("ksm")) & (walks["op"] == op(name))]
    found: npt.NDArray[np.void] = of_ksm[np.isin(of_ksm["pfn"], pfns)]
    return found


def ksm_stall(run: Run) -> Iterator[Agreement]:
    """
    Yield: how many VMAs the two walks look at, and how many of them are of use (rmap_walk_ksm()).

    For each place a walk goes through the tree of the place's anon_vma. One that unmaps ends at the
    last mapping: the first place, which is the oldest and is tried last, lies in the first VMA. One
    that restores looks for mappings of other processes too, in a second pass.
    """
    ledger, places = run.ledger, run.ledger["pages"]
    by_index = "ksm_walk_by_index" in run.changes
    tree = 1 if by_index else ledger["vmas"]
    for name, frame, looks in (
        ("migrate", "before", (places - 1) * tree + 1),
        ("restore", "after", 2 * places * tree),
    ):
        walks = _walks(run, name, [ledger[frame]])
        yield equal(f"one walk to {name} the KSM page", "walks", 1, len(walks))
        rule = f"VMAs of use to the walk to {name}"
        yield equal(rule, "VMAs", places, int(walks["vmas"].sum()))
        rule = f"VMAs that the walk to {name} looks at"
        yield summed(rule, "VMAs", looks, walks["looked_at"], "what walks look at is not seen")
        rule = f"mappings that the walk to {name} finds"
        yield summed(rule, "mappings", places, walks["ptes"], UNSEEN_ENTRIES)


def ksm_fork(run: Run) -> Iterator[Agreement]:
    """
    Yield: walks over KSM pages find what fork copied (commit db114b83ab60).

    Until ksmd has seen the children, by way of the parent's places, in the second pass; afterwards
    by way of the children's own, and a walk without an end looks through the parent's once more.
    """
    ledger = run.ledger
    copies, children = ledger["copies"], ledger["children"]
    mapped = copies * (1 + children)
    for when, restored in (("unseen", mapped), ("seen", mapped + copies * children)):
        moves = ledger[when]
        moved = sum(not move["errno"] for move in moves)
        yield equal(f"{when} children: pages moved", "pages", ledger["pages"], moved)
        for name, frame, vmas in (("migrate", "before", mapped), ("restore", "after", restored)):
            walks = _walks(run, name, [move[frame] for move in moves])
            rule = f"{when} children: walks to {name} that enter {vmas} VMAs, find {mapped}"
            yield entered(rule, walks, len(moves), vmas, mapped)
    if run.sample.ksm is not None:
        yield from conserved(run.sample.ksm)


def ksm_swap(run: Run) -> Iterator[Agreement]:
    """Yield: who comes first gets the page, the others copies (commit 5ad6468801d2)."""
    ledger, counts = run.ledger, run.sample.ksm
    if counts is None:
        return
    pages, others = ledger["pages"], ledger["processes"] - 1
    mappings = pages * ledger["processes"]
    yield equal("mappings swapped out", "mappings", mappings, ledger["swapped"])
    yield _unmapped(run, ledger)
    copied = counts.swapins["copied"]
    yield equal("pages copied on swap-in", "pages", pages * others, copied)
    yield from vmstat(run, "ksm_swpin_copy", "pages copied on swap-in", copied)
    yield _same(pages, counts.swapins["same"])
    yield from conserved(counts)


def _same(pages: int, observed: int) -> Agreement:
    """Return the row of the pages mapped as they came: the processes have others, swapped too."""
    others = observed - pages
    explained = (("pages of the processes that are not KSM's", others),) if others > 0 else ()
    rule = "pages mapped as they came"
    return Agreement(rule, "pages", pages, observed, others >= 0 if observed else None, explained)


def _unmapped(run: Run, ledger: Mapping[str, Any]) -> Agreement:
    rule, walks = "walks that unmap a KSM page from all its processes", run.records["walk"]
    ours = walks[(walks["kind"] == rmap.KINDS.index("ksm")) & (walks["op"] == op("unmap"))]
    if (ours["ptes"] == NOT_KNOWN).any():
        return untold(rule, "walks", UNSEEN_ENTRIES, len(ours))
    whole = int((ours["ptes"] == ledger["processes"]).sum())
    return equal(rule, "walks", ledger["pages"], whole)
