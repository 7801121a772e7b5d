"""
Pages that are moved or shared: what unmaps them is undone, and by walks of the predicted length.

Rules on the migration, fork and copy-on-write events themselves belong here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model.rmap import Op
from ..probes.events import NOT_KNOWN, WALK_BAILED, WALK_LOCKED
from ..probes.rmap import KINDS
from .context import Context
from .ledgers import FORK_STORM, Moves
from .verdict import Claim, Columns, Found, Mask, Reason, Rule, judge, untold
from .walks import OP
from .windows import count, empty, joined, kept, taken

RESTORED = Rule(
    "migration: each page unmapped is restored once",
    "walks",
    "walk",
    "mm/migrate.c, remove_migration_ptes(); commit e9995ef978a7",
    "a thread that unmaps a page to move it walks to restore its mappings, once, whether the move"
    " came off or not; walks whose caller holds the lock (splits, shared huge pages) left out",
)
KIND = Rule(
    "walk: its kind is what the low bits of page->mapping say",
    "walks",
    "walk",
    "include/linux/page-flags.h, PAGE_MAPPING_FLAGS; commit 3ca7b3c5b64d",
    "a page that the ledger names as anonymous, of a file or merged is walked as that",
)
CHILD = Rule(
    "walk: a child's own page has one VMA",
    "walks",
    "walk",
    "mm/rmap.c, anon_vma_fork(); commit 5beb49305251",
    "an uncontended reference walk, or a restore walk, of a page that a child of the ledger's fork"
    " storm owns alone enters exactly one VMA",
)
LINKED = Rule(
    "walk: a restore walk enters all linked VMAs",
    "walks",
    "walk",
    "mm/rmap.c, rmap_walk_anon(); mm/migrate.c; commit e9995ef978a7",
    "a restore walk of a page that processes of the ledger share since a fork enters the VMA of"
    " each: it has no early exit",
)
MERGED = Rule(
    "walk: of a KSM page, as many VMAs as the model says",
    "walks",
    "walk",
    "mm/ksm.c, rmap_walk_ksm(); commit db114b83ab60",
    "walks that unmap or restore a KSM page of the ledger enter what its places lead to: those that"
    " fork copied too, and to restore, places that were merged since once more",
)
DUPLICATED = Rule(
    "walk: fork counts a mapping for each copied entry",
    "walks",
    "walk",
    "include/linux/rmap.h, page_dup_rmap(); commit 21333b2b66b8",
    "the mapcount of an anonymous or KSM page of the ledger, before it is unmapped and after it is"
    " restored, is its places times its processes",
)
RULES = (RESTORED, KIND, CHILD, LINKED, MERGED, DUPLICATED)

_OF_MOVES = ["seq", "time", "tid", "index", "op"]

_MOVE_NS = 10**9
"""A page is restored within that time: at either end of a recording it may not be seen."""

_CODES = {name: number for number, name in enumerate(KINDS)}

WAITING = 1 << 18
"""So many pages at most wait to be restored; of older ones the restoring walk never came."""


@dataclass(frozen=True)
class Moving:
    """Walks that have no counterpart yet, in order of their numbers; when the last walk ended."""

    walks: Columns = field(default_factory=lambda: empty("walk"))
    last_ns: int = 0


def moved(moving: Moving, every: Columns) -> tuple[Moving, Found]:
    """Return what is still under way after some walks, and what was found."""
    op, last_ns = every["op"], int(every["time"].max(initial=moving.last_ns))
    moves: Mask = (op == OP["migrate"]) | (op == OP["restore"])
    if not moves.any():
        return Moving(moving.walks, last_ns), Found(RESTORED)
    moves &= (every["flags"] & WALK_LOCKED) == 0
    walks = joined([moving.walks, taken(every, moves)], _OF_MOVES)
    return _paired(walks, last_ns)


def _paired(walks: Columns, last_ns: int) -> tuple[Moving, Found]:
    """
    Pair each restoring walk with the walk that unmapped the page.

    Both are of the same thread and have the same index; between them, in the order of both, there
    is no other such walk. Whatever is in no pair waits.
    """
    order = np.lexsort((walks["seq"], walks["index"], walks["tid"]))
    ordered = taken(walks, order)
    restores = ordered["op"] == OP["restore"]
    same = (ordered["tid"][1:] == ordered["tid"][:-1]) & (
        ordered["index"][1:] == ordered["index"][:-1]
    )
    pairs = np.flatnonzero(same & ~restores[:-1] & restores[1:])
    alone = np.ones(len(order), np.bool_)
    alone[pairs] = alone[pairs + 1] = False
    left = np.sort(order[alone])
    found = Found(RESTORED, len(pairs), len(pairs), len(pairs))
    return Moving(kept(taken(walks, left), _OF_MOVES, WAITING), last_ns), found


def unpaired(context: Context, moving: Moving) -> Found:
    """Return what was found of walks that never had a counterpart."""
    walks = moving.walks
    if not count(walks):
        return Found(RESTORED)
    restores = walks["op"] == OP["restore"]

    def tell(at: int) -> tuple[str, str]:
        done, lacking = ("restored", "unmapped") if restores[at] else ("unmapped", "restored")
        return f"thread {walks['tid'][at]} has {lacking} it too, once", f"{done} alone"

    lost = context.lost.get("walk", 0)
    missed = sum(context.missed.get(f"rmap_walk_{kind}", 0) for kind in KINDS)
    size = count(walks)
    began, ends = context.start_ns + _MOVE_NS, moving.last_ns - _MOVE_NS
    meanwhile = np.where(restores, walks["time"] < began, walks["time"] > ends)
    reasons = [
        Reason("walk events were lost", np.full(size, lost > 0), lost),
        Reason("the kernel did not run a probe's program", np.full(size, missed > 0), missed),
        Reason("the recording began or ended meanwhile", meanwhile),
    ]
    return judge(Claim(RESTORED, walks, np.zeros(size, np.bool_)), tell, reasons)


def shared(context: Context, every: Columns) -> Iterator[Found]:
    """Yield what the rules find in walks over pages that the ledger knows."""
    if context.ledger.get("workload") == FORK_STORM:
        yield from _storm(context.ledger, every)
        return
    if not any(len(moves.pfns) for moves in context.moves.values()):
        why = "no ledger says who shares pages"
        yield from (untold(rule, why) for rule in (KIND, CHILD, LINKED, MERGED, DUPLICATED))
        return
    for op, moves in context.moves.items():
        yield from _known(every, op, moves)


def _storm(ledger: Mapping[str, Any], every: Columns) -> Iterator[Found]:
    within = (every["index"] >= ledger["first_index"]) & (every["index"] <= ledger["last_index"])
    bailed = (every["flags"] & WALK_BAILED) != 0
    storm = within & (every["kind"] == _CODES["anon"]) & ~bailed & (every["vmas"] != NOT_KNOWN)
    own, restore = every["map"] != every["root"], every["op"] == OP["restore"]
    alone = storm & own & ((every["op"] == OP["reference"]) | restore)
    yield _enters(CHILD, every, 1, alone)
    yield _enters(LINKED, every, int(ledger["children"]) + 1, storm & ~own & restore)


def _known(every: Columns, op: Op, moves: Moves) -> Iterator[Found]:
    """Yield what the rules find in walks of an op, over the frames of the ledger."""
    walks = taken(every, every["op"] == OP[op.name.lower()])
    places = np.minimum(np.searchsorted(moves.pfns, walks["pfn"]), len(moves.pfns) - 1)
    ours = np.flatnonzero(moves.pfns[places] == walks["pfn"])
    walks, places = taken(walks, ours), places[ours]
    yield _kinds(walks, np.array([_CODES[kind] for kind in moves.kinds])[places])
    ksm, vmas = walks["kind"] == _CODES["ksm"], moves.vmas[places]
    seen = walks["vmas"] != NOT_KNOWN
    yield _enters(MERGED, walks, vmas, seen & ksm)
    if op is Op.RESTORE:
        yield _enters(LINKED, walks, vmas, seen & ~ksm)
    yield _counted(walks, op, moves.mapcounts[places])


def _enters(rule: Rule, columns: Columns, vmas: npt.NDArray[Any] | int, held: Mask) -> Found:
    model = np.broadcast_to(vmas, len(held))

    def tell(at: int) -> tuple[str, str]:
        return f"{model[at]} VMAs", f"{columns['vmas'][at]} VMAs"

    return judge(Claim(rule, columns, columns["vmas"] == model, held), tell)


def _kinds(walks: Columns, model: npt.NDArray[Any]) -> Found:
    def tell(at: int) -> tuple[str, str]:
        return KINDS[model[at]], KINDS[walks["kind"][at]]

    return judge(Claim(KIND, walks, walks["kind"] == model), tell)


def _counted(walks: Columns, op: Op, model: npt.NDArray[Any]) -> Found:
    seen = walks["mapcount_before" if op is Op.MIGRATE else "mapcount_after"]
    copied = (walks["kind"] != _CODES["file"]) & (seen != NOT_KNOWN)
    claim = Claim(DUPLICATED, walks, seen == model, copied)
    return judge(claim, lambda at: (f"mapcount {model[at]}", f"mapcount {seen[at]}"))
