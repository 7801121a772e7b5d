"""
The reverse map: which VMAs a walk over a page visits, in which order, and where it ends.

Source: mm/rmap.c (rmap_walk_anon(), rmap_walk_file() and their callbacks), and for the order
mm/interval_tree.c. The walk of a KSM page is in `ksm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..kernels.semantics import Semantics, VmaOrder
from .mm_types import Machine, Page, Vma
from .references import VM_LOCKED, VM_SHARED, invalid_folio_referenced_vma


class Op(Enum):
    """Why the reverse map is walked: the callback of struct rmap_walk_control."""

    REFERENCE = "folio_referenced_one"
    UNMAP = "try_to_unmap_one"
    MIGRATE = "try_to_migrate_one"
    RESTORE = "remove_migration_pte"
    MKCLEAN = "page_mkclean_one"


@dataclass(frozen=True)
class Walk:
    """
    One walk. ``linked``: the VMAs that the structures offer for the page's index, in order.

    ``entered``: those for which the callback ran, in order.
    """

    linked: tuple[Vma, ...]
    entered: tuple[Vma, ...]


def linked_vmas(machine: Machine, page: Page, pages: int = 1) -> tuple[Vma, ...]:
    """
    Return the VMAs that the structures offer for a page, whether they map it or not, in order.

    ``pages``: base pages of its folio. Source: anon_vma_interval_tree_foreach() and
    vma_interval_tree_foreach(), before v3.7 lists.
    """
    anon = page.anon_vma is not None
    candidates = page.anon_vma.tree if page.anon_vma else machine.i_mmap.get(page.file or "", ())
    own_index = anon and machine.semantics.anon_pgoff

    def first(vma: Vma) -> int:
        return vma.anon_pgoff if own_index else vma.pgoff

    end = page.index + pages
    found = [vma for vma in candidates if first(vma) < end and page.index < first(vma) + vma.pages]
    if not anon or machine.semantics.order is VmaOrder.INTERVAL_TREE:
        found.sort(key=first)
    return tuple(found)


def rmap_walk(machine: Machine, page: Page, op: Op, memcg: frozenset[int] | None = None) -> Walk:
    """
    Return the uncontended walk over the reverse map of a small page; for KSM see `ksm`.

    ``memcg``: the processes charged to the memcg being reclaimed, None for global reclaim.
    Source: rmap_walk_anon() and rmap_walk_file(), mm/rmap.c.
    """
    return walk_over(machine.semantics, linked_vmas(machine, page), page, op, memcg)


def walk_over(
    semantics: Semantics,
    linked: tuple[Vma, ...],
    page: Page,
    op: Op,
    memcg: frozenset[int] | None = None,
) -> Walk:
    """Return what `rmap_walk` does, over VMAs that `linked_vmas` gave for the page."""
    if op is Op.RESTORE:
        return Walk(linked, linked)
    if op is Op.MKCLEAN:
        return Walk(linked, tuple(vma for vma in linked if vma.vm_flags & VM_SHARED))
    if op is Op.REFERENCE:
        valid = tuple(vma for vma in linked if valid_for_reference(semantics, vma, memcg))
        return Walk(linked, _until_found(page, valid, stops_at_locked=True))
    return Walk(linked, _until_found(page, linked, stops_at_locked=op is Op.UNMAP))


def valid_for_reference(semantics: Semantics, vma: Vma, memcg: frozenset[int] | None) -> bool:
    """Return whether a reference walk enters a VMA: its memcg, and flags that say no recency."""
    if not vma.vm_flags and memcg is None:
        return True
    outside = memcg is not None and vma.process not in memcg
    return not invalid_folio_referenced_vma(semantics, vma.vm_flags, outside)


def _until_found(page: Page, vmas: tuple[Vma, ...], stops_at_locked: bool) -> tuple[Vma, ...]:
    """
    Return the VMAs up to the one with the last mapping of the page, all if one is not among them.

    A reference walk ends at an mlocked VMA that maps the page, and an unmap fails there.
    """
    mapping = {vma for vma, _ in page.mapped}
    left = len(mapping)
    if not left:
        return ()
    for position, vma in enumerate(vmas, start=1):
        if vma in mapping:
            left -= 1
            if not left or (stops_at_locked and vma.vm_flags & VM_LOCKED):
                return vmas[:position]
    return vmas
