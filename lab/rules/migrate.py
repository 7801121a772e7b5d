"""The rules of migration: pages moved to another NUMA node, and the walks that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...model import fork_storm, migration
from ...probes import events, rmap
from ...probes.migrate import REASON_ENUM, REASON_PREFIX
from .row import Agreement, Run, entered, equal, none_of, op, untold

Walks = npt.NDArray[np.void]

AGAIN = "a page that is in use just then is restored in place and tried again, up to ten times"
"""mm/migrate.c: migrate_pages() goes over what a pass answered with -EAGAIN."""


def migrate(run: Run) -> Iterator[Agreement]:
    """Yield: every page is where the ledger says, and what its two walks enter is the model's."""
    for kind in migration.Kind:
        yield from _placed(kind.value, run.ledger[kind.value], _moved(run, kind.value))
        yield from _walked(run, kind)
        yield from _flags(run, kind.value)
    yield from _held(run)
    yield from _storm(run)
    yield from restored(run)
    yield from _calls(run)


def _moved(run: Run, name: str) -> int:
    return sum(move["status"] == run.ledger["node"] for move in run.ledger[name]["moves"])


def _placed(name: str, told: Mapping[str, Any], moved: int) -> Iterator[Agreement]:
    pages = told["pages"]
    yield equal(f"{name}: pages that move_pages(2) says it moved", "pages", pages, moved)
    yield equal(f"{name}: pages that it later finds there", "pages", pages, told["there"])
    found = told["kpage"]["mapped_as_expected"]
    yield equal(f"{name}: pages mapped so often by /proc/kpagecount", "pages", pages, found)


def _flags(run: Run, name: str) -> Iterator[Agreement]:
    """Yield what /proc/kpageflags says of the pages; some kernels call every anonymous page KSM."""
    told = run.ledger[name]["kpage"]
    for flag, kinds in (("anon", ("anon", "ksm")), ("ksm", ("ksm",))):
        rule = f"{name}: pages that are {flag.upper()} by /proc/kpageflags"
        mistaken = run.ledger["anon"]["kpage"]["ksm"]
        if flag == "ksm" and mistaken:
            why = "this kernel sets the flag KSM for pages that are only anonymous"
            yield untold(rule, "pages", why, mistaken)
        elif name in kinds:
            yield equal(rule, "pages", told["pages"], told[flag])
        else:
            yield none_of(rule, "pages", told[flag], bool(told["pages"]))


def _of(run: Run, name: str) -> Walks:
    walks = run.records["walk"]
    found: Walks = walks[walks["op"] == op(name)]
    return found


def _moving(run: Run, name: str) -> Walks:
    """Return the walks of an op inside move_pages(2) of the workload: others reuse the frames."""
    calls = run.records["migration"]
    syscall = run.kernel.enums[REASON_ENUM][REASON_PREFIX + "SYSCALL"]
    mine = (calls["tid"] == run.ledger["tid"]) & (calls["reason"] == syscall)
    return _inside(_of(run, name), calls[mine])


def _in_place(walks: Walks) -> npt.NDArray[np.bool_]:
    """Return which walks restore mappings where they were: the page could not be moved then."""
    found: npt.NDArray[np.bool_] = walks["old_pfn"] == walks["pfn"]
    return found


def _walked(run: Run, kind: migration.Kind) -> Iterator[Agreement]:
    """Yield: one walk unmaps each frame, one restores it at its new place, and what they enter."""
    name, moves = kind.value, run.ledger[kind.value]["moves"]
    processes = run.ledger["processes"]
    model = migration.move(run.semantics, kind, processes)
    unmapped, restored = _moving(run, "migrate"), _moving(run, "restore")
    frames = [move["before"] for move in moves]
    again = int(np.isin(restored[_in_place(restored)]["pfn"], frames).sum())
    unmapped = unmapped[np.isin(unmapped["pfn"], frames)]
    pairs = {(move["before"], move["after"]) for move in moves}
    here = [(int(walk["old_pfn"]), int(walk["pfn"])) in pairs for walk in restored]
    restored = restored[np.array(here, bool)]
    for what, walks, vmas, more in (
        ("unmap", unmapped, model.migrate, again),
        ("restore", restored, model.restore, 0),
    ):
        number, explained = len(moves) + more, ((AGAIN, more),) if more else ()
        rule = f"{name}: walks to {what} that enter {vmas} VMAs and find {processes} mappings"
        row = entered(rule, walks, number, vmas, processes)
        yield row if row.explained else replace(row, explained=explained)
        row = equal(f"{name}: walks to {what} one of its frames", "walks", number, len(walks))
        yield replace(row, explained=explained)


def _held(run: Run) -> Iterator[Agreement]:
    """Yield: pages that somebody holds on to stay, and their mappings are restored in place."""
    moves = run.ledger["held"]["moves"]
    frames = [move["before"] for move in moves]
    stay = sum(move["before"] == move["after"] for move in moves)
    yield equal("held: pages that stay where they are", "pages", len(moves), stay)
    unmapped, restored = _moving(run, "migrate"), _moving(run, "restore")
    tried = int(np.isin(unmapped["pfn"], frames).sum())
    undone = int(np.isin(restored[_in_place(restored)]["pfn"], frames).sum())
    yield equal("held: walks to unmap = walks to restore at the same frame", "walks", tried, undone)


def _storm(run: Run) -> Iterator[Agreement]:
    """Yield: VMAs linked to the pages of a storm (commit 5beb49305251), as restore walks enter."""
    told = run.ledger["storm"]
    storm = fork_storm.Storm(told["children"], told["pages"])
    parent, copies = fork_storm.closed_form(run.semantics, storm).classes
    walks = _moving(run, "restore")
    walks = walks[~_in_place(walks)]
    within = (walks["index"] >= told["first_index"]) & (walks["index"] <= told["last_index"])
    walks = walks[within & (walks["kind"] == rmap.KINDS.index("anon"))]
    # A child's copy hangs on the child's own anon_vma; what the parent has hangs on the root.
    own = walks["map"] != walks["root"]
    for name, each, found in (("parent", parent, walks[~own]), ("copies", copies, walks[own])):
        yield from _placed(f"storm, {name}", told[name], told[name]["moved"])
        kpage = told[name]["kpage"]
        rule = f"storm, {name}: pages that are ANON by /proc/kpageflags"
        yield equal(rule, "pages", kpage["pages"], kpage["anon"])
        vmas = int(each.restored)
        rule = f"storm, {name}: restore walks that enter {vmas} VMAs"
        yield equal(rule, "walks", each.pages, int((found["vmas"] == vmas).sum()))
        yield equal(f"storm, {name}: restore walks", "walks", each.pages, len(found))


def restored(run: Run) -> Iterator[Agreement]:
    """
    Yield: each frame that is unmapped inside migrate_pages is restored once, failures included.

    Walks that restore what a split has unmapped are not among them: their caller has the lock.
    """
    calls = run.records["migration"]
    unmapped, restored = (_inside(_of(run, name), calls) for name in ("migrate", "restore"))
    restored = restored[(restored["flags"] & events.WALK_LOCKED) == 0]
    rule = "walks to unmap inside migrate_pages = walks to restore"
    yield equal(rule, "walks", len(unmapped), len(restored))
    frames = np.concatenate([unmapped["pfn"], restored["old_pfn"]])
    back = np.repeat([False, True], [len(unmapped), len(restored)])
    order = np.lexsort((np.concatenate([unmapped["time"], restored["time"]]), frames))
    frames, back = frames[order], back[order]
    followed = ~back[:-1] & back[1:] & (frames[:-1] == frames[1:])
    rule = "each frame is restored once before it is unmapped again"
    yield equal(rule, "walks", len(unmapped), int(followed.sum()))


def _inside(walks: Walks, calls: Walks) -> Walks:
    """Return the walks that a thread made inside one of these calls of its own."""
    inside = np.zeros(len(walks), bool)
    for tid in np.unique(calls["tid"]):
        own = np.sort(calls[calls["tid"] == tid], order="time")
        mine = np.flatnonzero(walks["tid"] == tid)
        times = walks["time"][mine]
        place = np.searchsorted(own["time"], times)
        call = own[np.minimum(place, len(own) - 1)]
        inside[mine] = (place < len(own)) & (call["time"] - call["ns"] <= times)
    found: Walks = walks[inside]
    return found


def _calls(run: Run) -> Iterator[Agreement]:
    """Yield: calls and pages that the kernel counts for move_pages(2) are those of the ledger."""
    ledger, counts = run.ledger, run.sample.migrations.get("syscall")
    if counts is None or counts.succeeded is None or counts.failed is None:
        return
    yield equal("calls of migrate_pages for a system call", "calls", ledger["calls"], counts.calls)
    moved = sum(_moved(run, kind.value) for kind in migration.Kind)
    moved += sum(ledger["storm"][name]["moved"] for name in ("parent", "copies"))
    yield equal("pages moved for a system call", "pages", moved, counts.succeeded)
    held = ledger["held"]["pages"]
    yield equal("pages not moved for a system call", "pages", held, counts.failed)
