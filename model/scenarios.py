"""Small histories with a question, asked by the commands, the catalogue of rules and the docs."""

from __future__ import annotations

from dataclasses import dataclass

from ..kernels.semantics import Semantics
from . import cow, ksm, mapcount, rmap
from .history import Exit, Fork, Map, Merge, Operation, Write, replay
from .rmap import Op

# The ops of a walk over anonymous and KSM pages.
OPS = (Op.REFERENCE, Op.UNMAP, Op.MIGRATE, Op.RESTORE)


def forked(children: int, pages: int = 1) -> list[Operation]:
    """Process 0 touches a region of `pages` and forks children 1, 2, ..."""
    ops: list[Operation] = [Map(0, 0, 0x1000, pages)]
    ops += [Write(0, 0, offset) for offset in range(pages)]
    return ops + [Fork(0, child) for child in range(1, children + 1)]


@dataclass(frozen=True)
class LastSharer:
    """A page before and after its last sharer wrote: VMAs entered, and what do_wp_page() did."""

    outcome: cow.CowOutcome
    reference_before: int
    reference_after: int
    restore_before: int
    restore_after: int


def last_sharer(semantics: Semantics, children: int) -> LastSharer:
    """All but the last child wrote to a page of the parent, which got copies; now it does too."""
    ops = [*forked(children), *(Write(other, 0, 0) for other in range(children))]
    waiting = replay(semantics, ops)
    written = replay(semantics, [*ops, Write(children, 0, 0)])
    shared = waiting.page(children)
    fault = cow.WpPage(mapcount=shared.mapcount, references=shared.mapcount)
    reference, restore = (
        [
            len(rmap.rmap_walk(machine, machine.page(children), op).entered)
            for machine in (waiting, written)
        ]
        for op in (Op.REFERENCE, Op.RESTORE)
    )
    return LastSharer(cow.do_wp_page(semantics, fault), *reference, *restore)


def chains_copied(semantics: Semantics, generations: int, alive: bool) -> list[int]:
    """
    Return the links to anon_vmas that each fork copies for one VMA, the first fork first.

    Each child forks the next, while its parent lives on, or (not `alive`) after that has gone; the
    process that began lives.
    """
    ops, copied = forked(0), []
    for child in range(1, generations + 1):
        if not alive and child > 2:
            ops.append(Exit(child - 2))
        copied.append(len(replay(semantics, ops).vma(child - 1).chain))
        ops.append(Fork(child - 1, child))
    return copied


def ksm_walks(semantics: Semantics, sharers: int, forks: int, scanned: bool) -> dict[Op, int]:
    """
    Return the VMAs that walks of a KSM page enter.

    One process merges its `sharers` pages, then forks; ``scanned``: ksmd has been round since.
    """
    ops = forked(0, sharers)
    ops.append(_merge(0, sharers))
    ops += [Fork(0, child) for child in range(1, forks + 1)]
    if scanned:
        ops += [_merge(child, sharers) for child in range(1, forks + 1)]
    machine = replay(semantics, ops)
    page = machine.page(0)
    return {op: len(ksm.rmap_walk_ksm(machine, page, op).entered) for op in OPS}


def _merge(process: int, sharers: int) -> Merge:
    return Merge(tuple((process, 0, offset) for offset in range(sharers)))


@dataclass(frozen=True)
class ThpStep:
    """
    A huge page after a step: its mapcount and that of its first page, and the counters kept.

    ``maybe_shared`` is None where the kernel does not track it.
    """

    step: str
    folio_mapcount: int
    page_mapcount: int
    entire: int
    page_0: int
    double_map: bool
    maybe_shared: bool | None


def thp_history(semantics: Semantics, pages: int, children: int) -> list[ThpStep]:
    """Return an anonymous huge page through map, fork, split, copy on write and exit."""
    folio = mapcount.map_pmd(semantics, mapcount.new_folio(pages), mm=0)
    steps = [_step(semantics, "mapped by one PMD", folio)]
    for child in range(1, children + 1):
        folio = mapcount.page_dup_rmap(semantics, folio, child)
    steps.append(_step(semantics, f"forked, {children} children", folio))
    folio = mapcount.split_pmd(semantics, folio, children)
    steps.append(_step(semantics, "last child's PMD split", folio))
    folio = mapcount.unmap_pte(semantics, folio, 0, children)
    steps.append(_step(semantics, "its first page copied", folio))
    for page in range(1, pages):
        folio = mapcount.unmap_pte(semantics, folio, page, children)
    for child in range(1, children):
        folio = mapcount.unmap_pmd(semantics, folio, child)
    steps.append(_step(semantics, "all children exited", folio))
    return [*steps, _step(semantics, "parent exited", mapcount.unmap_pmd(semantics, folio, 0))]


def _step(semantics: Semantics, step: str, folio: mapcount.Folio) -> ThpStep:
    return ThpStep(
        step,
        mapcount.folio_mapcount(semantics, folio),
        mapcount.page_mapcount(semantics, folio, 0),
        folio.entire,
        folio.pages[0],
        folio.double_map,
        mapcount.folio_maybe_mapped_shared(semantics, folio)
        if mapcount.tracks_owners(semantics)
        else None,
    )
