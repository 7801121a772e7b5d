"""
KSM: the reverse map of a merged page, what a swap-in copies, and how ksmd merges.

Source: mm/ksm.c (rmap_walk_ksm(), ksm_might_need_to_copy(), cmp_and_merge_page(),
stable_tree_search(), stable_tree_append(), should_skip_rmap_item()).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ..kernels.semantics import KsmCopy, KsmWalk, Semantics
from .mm_types import Machine, Page, RmapItem, Vma, anon_first
from .rmap import Op, Walk, valid_for_reference


def rmap_walk_ksm(
    machine: Machine, page: Page, op: Op, memcg: frozenset[int] | None = None
) -> Walk:
    """
    Return the uncontended walk over the reverse map of a KSM page.

    A VMA may be entered once for each rmap_item that leads to it. Kernels that cannot walk a KSM
    page for `op` enter nothing.
    """
    linked = tuple(_offered(machine.semantics, page))
    if not _walks(machine.semantics, op) or (op is not Op.RESTORE and not page.mapcount):
        return Walk(_vmas(linked), ())
    if op is Op.RESTORE:
        return Walk(_vmas(linked), _vmas(linked))
    if op is Op.REFERENCE:
        visited = [
            each for each in linked if valid_for_reference(machine.semantics, each[0], memcg)
        ]
    else:
        visited = list(linked)
    return Walk(_vmas(linked), _vmas(_until_found(page, visited)))


def _vmas(visits: Sequence[tuple[Vma, int]]) -> tuple[Vma, ...]:
    return tuple(vma for vma, _ in visits)


def _walks(semantics: Semantics, op: Op) -> bool:
    # Since Linux kernel commit e9995ef978a7 ("ksm: rmap_walk to remove_migation_ptes") (in
    # v2.6.33), KSM pages can be migrated too.
    if op in (Op.MIGRATE, Op.RESTORE):
        return semantics.ksm_migration
    return op is not Op.MKCLEAN and semantics.ksm_walk is not KsmWalk.NONE


def _offered(semantics: Semantics, page: Page) -> Iterator[tuple[Vma, int]]:
    """Yield each VMA and offset that the page's rmap_items lead to, in the order of the walk."""
    passes = (True, False) if semantics.ksm_walk is KsmWalk.TWO_PASSES else (True,)
    for own_mm in passes:
        for item in reversed(page.items):  # hlist_add_head(): the newest first
            for vma in _covering(semantics, item):
                # Since Linux kernel commit db114b83ab60 ("ksm: hold anon_vma in rmap_item") (in
                # v2.6.33), the likely VMA comes first, then those that fork made.
                if (vma.process == item.process) == own_mm:
                    yield vma, item.address - vma.start


def _covering(semantics: Semantics, item: RmapItem) -> list[Vma]:
    found = [vma for vma in item.anon_vma.tree if 0 <= item.address - vma.start < vma.pages]
    return sorted(found, key=lambda vma: anon_first(semantics, vma))


def _until_found(page: Page, visits: list[tuple[Vma, int]]) -> list[tuple[Vma, int]]:
    left = set(page.mapped)
    for position, visit in enumerate(visits, start=1):
        left.discard(visit)
        if not left:
            return visits[:position]
    return visits


class SwapIn(Enum):
    """The verdict of ksm_might_need_to_copy() on a page found in the swap cache."""

    SAME = "same page"
    COPY = "copy"
    POISONED = "poisoned"
    NO_MEMORY = "no memory"


@dataclass(frozen=True)
class SwapInPage:
    """
    What ksm_might_need_to_copy() looks at.

    ``ksm``: a KSM page whose stable node exists. ``unmerging``: /sys/kernel/mm/ksm/run is 2.
    ``has_anon_vma``: it has one; ``same_anon_vma`` and ``same_root``: the VMA's own, or of the
    same root. ``same_index``: its index is that of the faulting address. ``large``: a large folio.
    ``poisoned``: hwpoison, or a machine check while copying. ``memory``: a page can be had.
    """

    ksm: bool = False
    unmerging: bool = False
    has_anon_vma: bool = True
    same_anon_vma: bool = True
    same_root: bool = True
    same_index: bool = True
    uptodate: bool = True
    large: bool = False
    poisoned: bool = False
    memory: bool = True


def ksm_might_need_to_copy(semantics: Semantics, page: SwapInPage) -> SwapIn:
    """Return whether a page swapped in can be mapped here as it is, since v2.6.33."""
    if semantics.ksm_copy is KsmCopy.NEVER_ASKED:
        return SwapIn.SAME
    if page.large and semantics.ksm_copy_large_same:
        return SwapIn.SAME
    if page.ksm and not page.unmerging:
        return SwapIn.SAME
    own = page.same_anon_vma if semantics.ksm_copy is KsmCopy.ANON_VMA else page.same_root
    if not page.ksm and (not page.has_anon_vma or (own and page.same_index)):
        return SwapIn.SAME
    if page.poisoned and semantics.ksm_copy_poisoned:
        return SwapIn.POISONED
    if not page.uptodate:
        return SwapIn.SAME  # do_swap_page() reports the error
    return SwapIn.COPY if page.memory else SwapIn.NO_MEMORY


# ksmd.

MAX_PAGE_SHARING = 256  # the default of /sys/kernel/mm/ksm/max_page_sharing


@dataclass(frozen=True)
class KsmCounters:
    """/sys/kernel/mm/ksm/pages_shared, pages_sharing, pages_unshared, pages_skipped and chains."""

    pages_shared: int
    pages_sharing: int
    pages_unshared: int
    stable_node_chains: int
    stable_node_dups: int
    pages_skipped: int


@dataclass
class _Item:
    """An rmap_item as ksmd scans it: whether its checksum is known, and smart scan's memory."""

    content: int
    known: bool = False
    stable: bool = False
    age: int = 0
    remaining_skips: int = 0


@dataclass
class _Trees:
    """The stable tree, content to items per node (dup), and this pass's unstable tree."""

    stable: dict[int, list[int]] = field(default_factory=dict)
    unstable: dict[int, _Item] = field(default_factory=dict)
    skipped: int = 0


def merge(
    semantics: Semantics,
    contents: Sequence[int],
    passes: int,
    max_page_sharing: int = MAX_PAGE_SHARING,
    arrivals: Sequence[int] = (),
) -> KsmCounters:
    """
    Return ksmd's counters after full scans of pages with these contents, which never change.

    ``arrivals``: for each page, the scans that were over when it appeared; by default none. Zero
    pages are not told apart (use_zero_pages=0), and there is one NUMA node. ValueError for a
    kernel without KSM.
    """
    if not semantics.ksm:
        raise ValueError("this kernel has no KSM")
    trees, items = _Trees(), [_Item(content) for content in contents]
    limit = max_page_sharing if semantics.ksm_chains else len(items) + 1
    scans = arrivals or [0] * len(items)
    for scan in range(passes):
        trees.unstable.clear()
        for item in (each for each, begin in zip(items, scans, strict=True) if begin <= scan):
            if should_skip_rmap_item(semantics, item):
                trees.skipped += 1
            elif not item.stable:
                cmp_and_merge_page(semantics, trees, item, limit)
    return _counters(trees)


def cmp_and_merge_page(semantics: Semantics, trees: _Trees, item: _Item, limit: int) -> None:
    """Look for the page's content in the stable tree, then in the unstable one."""
    # Since Linux kernel commit d58a361b0350 ("mm/ksm: don't waste time searching stable tree for
    # fast changing page") (in v6.11), an unknown checksum ends it before the stable tree.
    known, item.known = item.known, True
    if semantics.ksm_checksum_first and not known:
        return
    if _stable_tree_append(trees, item, limit) or not known:
        return
    other = trees.unstable.pop(item.content, None)
    if other is None:
        trees.unstable[item.content] = item
        return
    trees.stable.setdefault(item.content, []).append(2)
    item.stable = other.stable = True


def _stable_tree_append(trees: _Trees, item: _Item, limit: int) -> bool:
    """Join the first node of this content that has room."""
    nodes = trees.stable.get(item.content, [])
    for number, sharers in enumerate(nodes):
        if sharers < limit:
            nodes[number] += 1
            item.stable, item.known = True, True
            return True
    return False


def should_skip_rmap_item(semantics: Semantics, item: _Item) -> bool:
    """Smart scan: pages that did not merge for a while are visited less and less often."""
    if not semantics.ksm_smart_scan or item.stable:
        return False
    age, item.age = item.age, min(item.age + 1, 255)
    if age < 3:
        return False
    if not item.remaining_skips:
        item.remaining_skips = skip_age(age)
        return False
    item.remaining_skips -= 1
    return True


def skip_age(age: int) -> int:
    """Return how many scans are skipped after an attempt on a page of this age, in scans."""
    for limit, skips in ((3, 1), (5, 2), (8, 4)):
        if age <= limit:
            return skips
    return 8


def _counters(trees: _Trees) -> KsmCounters:
    nodes = [node for dups in trees.stable.values() for node in dups]
    chains = [dups for dups in trees.stable.values() if len(dups) > 1]
    return KsmCounters(
        pages_shared=len(nodes),
        pages_sharing=sum(nodes) - len(nodes),
        pages_unshared=len(trees.unstable),
        stable_node_chains=len(chains),
        stable_node_dups=sum(map(len, chains)),
        pages_skipped=trees.skipped,
    )
