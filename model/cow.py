"""
Copy on write: when do_wp_page() reuses a private page, copies it, and moves its reverse map.

Source: do_wp_page(), mm/memory.c; the move is page_move_anon_rmap(), since v6.7
folio_move_anon_rmap(), mm/rmap.c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import product

from ..kernels.semantics import Cow, LargeReuse, Semantics


class CowOutcome(Enum):
    """What a write fault on a present, write-protected page of a private mapping ends in."""

    REUSE = "reuse"
    REUSE_AND_MOVE = "reuse, moved to the own anon_vma"
    COPY = "copy"


@dataclass(frozen=True)
class WpPage:
    """
    The page under a write fault.

    ``mapcount``: PTEs that map it. ``references``: its reference count, the mappings, the
    swap cache and per-CPU batches included. ``swap_users``: other users of its swap slot.
    ``exclusive``: PG_anon_exclusive. ``lru_cached``: it sits in a per-CPU LRU batch.
    ``lockable``: its lock can be taken without waiting. ``large``: it is a part of a large folio.
    ``mm_owns_all``: the folio's mm ids say that this mm owns every mapping of it, more than one,
    and every reference is such a mapping.
    """

    anon: bool = True
    ksm: bool = False
    mapcount: int = 1
    references: int = 1
    swapcache: bool = False
    swap_users: int = 0
    exclusive: bool = False
    lru_cached: bool = False
    lockable: bool = True
    large: bool = False
    mm_owns_all: bool = False


def do_wp_page(semantics: Semantics, page: WpPage) -> CowOutcome:
    """Return what becomes of a write fault on `page` in a private mapping."""
    if not page.anon:
        return CowOutcome.COPY
    if semantics.cow is Cow.EXCLUSIVE:
        return _exclusive(semantics, page)
    if semantics.cow is Cow.PAGE_COUNT:
        return _page_count(page)
    return _swap_count(semantics, page)


def outcomes(semantics: Semantics, anon: bool = True, ksm: bool = False) -> frozenset[CowOutcome]:
    """Return all that can become of a write to such a page, whatever else is true of it."""
    # A page of KSM is nobody's own: PG_anon_exclusive is cleared when it is merged.
    flags: tuple[str, ...] = ("swapcache", "lru_cached", "lockable", "large", "mm_owns_all")
    flags = flags if ksm else (*flags, "exclusive")
    states = product((1, 2), (1, 2), (0, 1), product((False, True), repeat=len(flags)))
    return frozenset(
        do_wp_page(
            semantics,
            replace(
                WpPage(anon, ksm, mapcount, references, swap_users=users),
                **dict(zip(flags, values, strict=True)),
            ),
        )
        for mapcount, references, users, values in states
    )


def _swap_count(semantics: Semantics, page: WpPage) -> CowOutcome:
    """reuse_swap_page(): no other mapping and no other user of the swap slot."""
    if page.ksm or not page.lockable or page.mapcount + page.swap_users > 1:
        return CowOutcome.COPY
    # Since Linux kernel commit c44b674323f4 ("rmap: move exclusively owned pages to own anon_vma
    # in do_wp_page()") (in v2.6.34), the page leaves the tree that it shared with relatives.
    moves = semantics.cow is Cow.SWAP_COUNT_MOVE
    return CowOutcome.REUSE_AND_MOVE if moves else CowOutcome.REUSE


def _page_count(page: WpPage) -> CowOutcome:
    # Since Linux kernel commit 09854ba94c6a ("mm: do_wp_page() simplification") (in v5.9), any
    # second reference copies, the swap cache's and an LRU batch's too; nothing is moved.
    alone = not page.ksm and page.lockable and page.mapcount == 1 and page.references == 1
    return CowOutcome.REUSE if alone else CowOutcome.COPY


def _exclusive(semantics: Semantics, page: WpPage) -> CowOutcome:
    # Since Linux kernel commit 6c287605fd56 ("mm: remember exclusively mapped anonymous pages
    # with PG_anon_exclusive") (in v5.19), an exclusive page is reused without further checks:
    # it already sits in the own anon_vma.
    if page.exclusive:
        return CowOutcome.REUSE
    if page.ksm or not page.lockable:
        return CowOutcome.COPY
    if page.large and semantics.large_reuse is not LargeReuse.ONE_REFERENCE:
        owned = semantics.large_reuse is LargeReuse.MM_IDS and page.mm_owns_all
        return CowOutcome.REUSE if owned else CowOutcome.COPY
    others = page.references - 1 - page.swapcache - page.lru_cached
    alone = others <= 0 and page.swap_users == 0
    return CowOutcome.REUSE_AND_MOVE if alone else CowOutcome.COPY
