"""
Mapcounts: how often a folio is mapped, and where each kernel keeps that number.

A `Folio` holds the counters as they are stored (plus one, so that 0 means none); the functions
change them as the kernel's do, and never look at the page tables. Source: mm/rmap.c
(page_add_anon_rmap(), page_remove_rmap(), since v6.8 folio_add_anon_rmap_ptes() and relatives),
include/linux/rmap.h (page_dup_rmap()), mm/huge_memory.c (__split_huge_pmd_locked()), and
folio_mapcount(), include/linux/mm.h.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..kernels.semantics import LargeMapcount, Semantics

# How many mms a folio can tell apart: _mm_id[2] (include/linux/mm_types.h).
MM_ID_SLOTS = 2


@dataclass(frozen=True)
class Folio:
    """
    A folio's counters.

    ``pages``: per base page, _mapcount. ``entire``: mappings by one PMD. ``double_map``:
    PG_double_map. ``total``: _large_mapcount. ``mm_ids``: (mm, its count) for at most two mms;
    ``maybe_shared``: FOLIO_MM_IDS_SHARED. ``total`` and what follows stay 0 before their kernels.
    """

    pages: tuple[int, ...] = (0,)
    anon: bool = True
    entire: int = 0
    double_map: bool = False
    total: int = 0
    mm_ids: tuple[tuple[int, int], ...] = ()
    maybe_shared: bool = False

    @property
    def large(self) -> bool:
        """Return whether the folio has more than one base page."""
        return len(self.pages) > 1


def new_folio(pages: int = 1, anon: bool = True) -> Folio:
    """Return a folio that nothing maps."""
    return Folio((0,) * pages, anon)


def map_pte(semantics: Semantics, folio: Folio, page: int, mm: int) -> Folio:
    """Return the folio after `mm` mapped one base page by a PTE."""
    folio = _count_pages(folio, +1, only=page)
    return _add_large_mapcount(semantics, folio, mm)


def unmap_pte(semantics: Semantics, folio: Folio, page: int, mm: int) -> Folio:
    """Return the folio after `mm` unmapped one base page. ValueError if it was not mapped."""
    if not page_mapcount(semantics, folio, page):
        raise ValueError("the page is not mapped")
    folio = _count_pages(folio, -1, only=page)
    return _sub_large_mapcount(semantics, folio, mm)


def map_pmd(semantics: Semantics, folio: Folio, mm: int) -> Folio:
    """Return the folio after `mm` mapped the whole of it by one PMD. ValueError without THP."""
    if not semantics.thp:
        raise ValueError("this kernel has no transparent huge pages")
    if _pages_count_pmds(semantics, folio):
        folio = _count_pages(folio, +1)
    return _add_large_mapcount(semantics, replace(folio, entire=folio.entire + 1), mm)


def unmap_pmd(semantics: Semantics, folio: Folio, mm: int) -> Folio:
    """Return the folio after `mm` unmapped a PMD of it. ValueError if there is none."""
    return _sub_large_mapcount(semantics, _drop_pmd(semantics, folio), mm)


def _drop_pmd(semantics: Semantics, folio: Folio) -> Folio:
    if not folio.entire:
        raise ValueError("no PMD maps the folio")
    if _pages_count_pmds(semantics, folio):
        folio = _count_pages(folio, -1)
    folio = replace(folio, entire=folio.entire - 1)
    if folio.double_map and not folio.entire:
        folio = replace(_count_pages(folio, -1), double_map=False)
    return folio


def split_pmd(semantics: Semantics, folio: Folio, mm: int) -> Folio:
    """Return the folio after a PMD of `mm` became PTEs, or, of a file, was just unmapped."""
    if not folio.entire:
        raise ValueError("no PMD maps the folio")
    if not folio.anon:
        return unmap_pmd(semantics, folio, mm)
    folio = _count_pages(folio, +1)
    doubles = semantics.large_mapcount is LargeMapcount.DOUBLE_MAP
    if doubles and folio.entire > 1 and not folio.double_map:
        folio = replace(_count_pages(folio, +1), double_map=True)
    folio = _drop_pmd(semantics, folio)
    for _ in folio.pages:
        folio = _add_large_mapcount(semantics, folio, mm)
    return _sub_large_mapcount(semantics, folio, mm)


def page_dup_rmap(semantics: Semantics, folio: Folio, child: int, page: int | None = None) -> Folio:
    """
    Return the folio after fork copied one mapping of it to `child`: a PTE, or without `page` a PMD.

    A plain increment in every kernel, and inlined in every one.
    """
    if page is None:
        return map_pmd(semantics, folio, child)
    return map_pte(semantics, folio, page, child)


def page_dup_rmap_checks(semantics: Semantics, anon: bool, debug_vm: bool) -> bool:
    """
    Return whether page_dup_rmap() verifies the page's anon_vma and index before it counts.

    Gone with commit 21333b2b66b8 ("ksm: no debug in page_dup_rmap()") (in v2.6.32): a KSM page
    has neither.
    """
    return semantics.page_dup_rmap_checks and anon and debug_vm


def folio_mapcount(semantics: Semantics, folio: Folio) -> int:
    """Return how many PTEs and PMDs map the folio, from its counters alone."""
    if not folio.large:
        return folio.pages[0]
    # Since Linux kernel commit 05c5323b2a34 ("mm: track mapcount of large folios in single
    # value") (in v6.10), the sum is kept.
    if semantics.large_mapcount in (LargeMapcount.TOTAL, LargeMapcount.MM_IDS):
        return folio.total
    counted = folio.entire + sum(folio.pages)
    if _pages_count_pmds(semantics, folio):
        return counted - folio.entire * len(folio.pages)
    return counted - folio.double_map * len(folio.pages)


def page_mapcount(semantics: Semantics, folio: Folio, page: int) -> int:
    """Return how many PTEs and PMDs map one base page: what /proc/kpagecount shows."""
    if not folio.large or _pages_count_pmds(semantics, folio):
        return folio.pages[page]
    return folio.pages[page] + folio.entire - folio.double_map


def _pages_count_pmds(semantics: Semantics, folio: Folio) -> bool:
    """Return whether the counters of the base pages include the PMDs: a file's, once."""
    return semantics.large_mapcount is LargeMapcount.DOUBLE_MAP and not folio.anon


def _count_pages(folio: Folio, change: int, only: int | None = None) -> Folio:
    """Return the folio with the counters of all base pages, or of one, changed."""
    pages = tuple(
        count + change if only is None or index == only else count
        for index, count in enumerate(folio.pages)
    )
    return replace(folio, pages=pages)


def _add_large_mapcount(semantics: Semantics, folio: Folio, mm: int) -> Folio:
    """folio_add_large_mapcount(), include/linux/rmap.h."""
    if not folio.large or semantics.large_mapcount not in (
        LargeMapcount.TOTAL,
        LargeMapcount.MM_IDS,
    ):
        return folio
    folio = replace(folio, total=folio.total + 1)
    if semantics.large_mapcount is LargeMapcount.TOTAL:
        return folio
    # Since Linux kernel commit 6af8cb80d3a9 ("mm/rmap: basic MM owner tracking for large folios
    # (!hugetlb)") (in v6.15), up to two mms are counted apart; any other makes it shared.
    ids = dict(folio.mm_ids)
    if mm in ids:
        ids[mm] += 1
        return replace(folio, mm_ids=tuple(ids.items()))
    if len(ids) == MM_ID_SLOTS:
        return replace(folio, maybe_shared=True)
    ids[mm] = 1
    shared = folio.maybe_shared or folio.total != 1
    return replace(folio, mm_ids=tuple(ids.items()), maybe_shared=shared)


def _sub_large_mapcount(semantics: Semantics, folio: Folio, mm: int) -> Folio:
    """folio_sub_large_mapcount(), include/linux/rmap.h."""
    if not folio.large or semantics.large_mapcount not in (
        LargeMapcount.TOTAL,
        LargeMapcount.MM_IDS,
    ):
        return folio
    folio = replace(folio, total=folio.total - 1)
    ids = dict(folio.mm_ids)
    ids[mm] = ids.get(mm, 1) - 1
    if ids[mm]:
        return replace(folio, mm_ids=tuple(ids.items()))
    del ids[mm]
    one_owner = not folio.total or folio.total in ids.values()
    return replace(
        folio,
        mm_ids=tuple(ids.items()),
        maybe_shared=folio.maybe_shared and not one_owner,
    )


def tracks_owners(semantics: Semantics) -> bool:
    """Return whether a kernel knows which mms map a large folio."""
    return semantics.large_mapcount is LargeMapcount.MM_IDS


def folio_maybe_mapped_shared(semantics: Semantics, folio: Folio) -> bool:
    """
    Return whether the folio may be mapped by more than one mm; false is certain.

    ValueError unless the kernel `tracks_owners`: before, it guesses.
    """
    if not tracks_owners(semantics):
        raise ValueError("this kernel does not know which mm maps a folio")
    if not folio.large:
        return folio_mapcount(semantics, folio) > 1
    return folio_mapcount(semantics, folio) > 1 and folio.maybe_shared
