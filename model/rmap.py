"""
The reverse map of anonymous and file pages: who is linked to a page, and whom a walk enters.

A history of operations (map, write, fork, exit, ...) is replayed into a `Machine`: processes,
VMAs, anon_vmas and page tables as the kernel keeps them. Source: mm/rmap.c (anon_vma_clone(),
anon_vma_fork(), unlink_anon_vmas(), rmap_walk_anon(), rmap_walk_file()), kernel/fork.c
(dup_mmap()), mm/mremap.c, and for the interval trees mm/interval_tree.c.

Left out: the reuse of a neighbouring VMA's anon_vma at the first fault, merging of VMAs, swap,
and temporary stacks of exec.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from ..kernels.semantics import Linking, Reuse, Semantics, VmaOrder
from .cow import CowOutcome, WpPage, do_wp_page
from .references import VM_LOCKED, VM_SHARED, invalid_folio_referenced_vma

VM_DONTCOPY = 1 << 17
VM_WIPEONFORK = 1 << 25


# The operations. Offsets and sizes are in pages; `region` names a mapping within a process, and
# a child keeps its parent's names.


@dataclass(frozen=True)
class Map:
    """A process maps a private region at page address `start`; anonymous without a `file`."""

    process: int
    region: int
    start: int
    pages: int
    file: str | None = None
    file_offset: int = 0
    vm_flags: int = 0


@dataclass(frozen=True)
class Write:
    """A process writes to one page of a region: instantiates it, or breaks copy on write."""

    process: int
    region: int
    offset: int


@dataclass(frozen=True)
class Read:
    """A process reads one page of a file region, and maps it from the page cache."""

    process: int
    region: int
    offset: int


@dataclass(frozen=True)
class Fork:
    """A process forks; exec is the exit of the child's regions and new ones."""

    parent: int
    child: int


@dataclass(frozen=True)
class Exit:
    """A process exits: every region of it is unmapped."""

    process: int


@dataclass(frozen=True)
class Unmap:
    """A process unmaps a whole region."""

    process: int
    region: int


@dataclass(frozen=True)
class Split:
    """A region is split at `offset`, as by mprotect() of its upper part, now `upper`."""

    process: int
    region: int
    offset: int
    upper: int


@dataclass(frozen=True)
class Remap:
    """A process moves a whole region to `start` by mremap(); with `left` it stays mapped there."""

    process: int
    region: int
    start: int
    left: int | None = None


@dataclass(frozen=True)
class Advise:
    """Flags VM_* of a region are set, as by madvise() or mlock()."""

    process: int
    region: int
    vm_flags: int


@dataclass(frozen=True)
class Merge:
    """ksmd merges the pages at these (process, region, offset) into one, or meets them again."""

    places: tuple[tuple[int, int, int], ...]


Operation = Map | Write | Read | Fork | Exit | Unmap | Split | Remap | Advise | Merge


# What a machine is made of. Ids are numbers in order of creation, so equal histories under
# different semantics can be compared.


@dataclass(eq=False)
class AnonVma:
    """struct anon_vma; `tree` keeps its VMAs in the order of insertion."""

    id: int
    root: AnonVma | None = field(default=None, repr=False)
    parent: AnonVma | None = field(default=None, repr=False)
    num_children: int = 0
    num_active_vmas: int = 0
    degree: int = 0
    tree: dict[Vma, None] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class RmapItem:
    """struct ksm_rmap_item on a stable node: a page address, and the anon_vma in force there."""

    process: int
    address: int
    anon_vma: AnonVma


@dataclass(eq=False)
class Page:
    """
    A page in memory. ``index``: its offset in the object that it belongs to, in pages.

    ``mapped``: each PTE to it, as (VMA, offset). ``anon_vma`` is None for a page of a file and
    for a KSM page, which has ``items``, oldest first.
    """

    id: int
    index: int
    anon_vma: AnonVma | None = field(default=None, repr=False)
    file: str | None = None
    exclusive: bool = True
    mapped: dict[tuple[Vma, int], None] = field(default_factory=dict, repr=False)
    items: list[RmapItem] = field(default_factory=list, repr=False)

    @property
    def ksm(self) -> bool:
        """Return whether the page is a merged one."""
        return bool(self.items)

    @property
    def mapcount(self) -> int:
        """Return how many PTEs map the page."""
        return len(self.mapped)


@dataclass(eq=False)
class Vma:
    """
    struct vm_area_struct: page addresses [start, start + pages).

    ``chain``: its anon_vmas, oldest first. ``table``: the page behind each offset that has a PTE,
    ``writable``: the offsets where the PTE may be written.
    """

    process: int
    region: int
    start: int
    pages: int
    pgoff: int
    anon_pgoff: int
    file: str | None
    vm_flags: int = 0
    anon_vma: AnonVma | None = field(default=None, repr=False)
    chain: list[AnonVma] = field(default_factory=list, repr=False)
    table: dict[int, Page] = field(default_factory=dict, repr=False)
    writable: set[int] = field(default_factory=set, repr=False)

    @property
    def name(self) -> tuple[int, int]:
        """Return (process, region)."""
        return self.process, self.region


@dataclass
class Machine:
    """A replayed history. Made by `replay`, and not changed by anything that reads it."""

    semantics: Semantics
    processes: dict[int, dict[int, Vma]] = field(default_factory=dict)
    i_mmap: dict[str, list[Vma]] = field(default_factory=dict)
    page_cache: dict[tuple[str, int], Page] = field(default_factory=dict)
    anon_vmas: int = 0
    pages: int = 0

    def vma(self, process: int, region: int = 0) -> Vma:
        """Return the VMA of a region. KeyError if there is none."""
        return self.processes[process][region]

    def page(self, process: int, offset: int = 0, region: int = 0) -> Page:
        """Return the page that a process has at an offset of a region. KeyError if none."""
        return self.vma(process, region).table[offset]

    def every_page(self) -> list[Page]:
        """Return each page that is mapped somewhere, by id."""
        found = {
            page.id: page
            for regions in self.processes.values()
            for vma in regions.values()
            for page in vma.table.values()
        }
        return [found[number] for number in sorted(found)]


def replay(semantics: Semantics, history: Iterable[Operation]) -> Machine:
    """
    Return the machine that a history leads to.

    KeyError for a process or region that is not there, ValueError for an offset beyond its region.
    """
    machine = Machine(semantics)
    for operation in history:
        _apply(machine, operation)
    return machine


def _apply(machine: Machine, operation: Operation) -> None:
    match operation:
        case Map():
            _map(machine, operation)
        case Write():
            _write(machine, operation)
        case Read():
            _read(machine, operation)
        case Fork():
            _fork(machine, operation)
        case Exit():
            _exit(machine, operation)
        case Unmap():
            _unmap(machine, operation)
        case Split():
            _split(machine, operation)
        case Remap():
            _remap(machine, operation)
        case Advise():
            _advise(machine, operation)
        case Merge():
            _merge(machine, operation)


def _map(machine: Machine, op: Map) -> None:
    pgoff = op.start if op.file is None else op.file_offset
    vma = Vma(
        op.process, op.region, op.start, op.pages, pgoff, op.start, op.file, vm_flags=op.vm_flags
    )
    machine.processes.setdefault(op.process, {})[op.region] = vma
    if op.file is not None:
        machine.i_mmap.setdefault(op.file, []).append(vma)


def _advise(machine: Machine, op: Advise) -> None:
    machine.vma(op.process, op.region).vm_flags |= op.vm_flags


def _accessed(machine: Machine, op: Read | Write) -> Vma:
    vma = machine.vma(op.process, op.region)
    if not 0 <= op.offset < vma.pages:
        raise ValueError(f"offset {op.offset} lies beyond region {op.region}")
    return vma


def _read(machine: Machine, op: Read) -> None:
    vma = _accessed(machine, op)
    if vma.file is None or op.offset in vma.table:
        return
    index = vma.pgoff + op.offset
    page = machine.page_cache.get((vma.file, index))
    if page is None:
        page = _new_page(machine, index, file=vma.file)
        machine.page_cache[vma.file, index] = page
    _map_page(vma, op.offset, page)


def _write(machine: Machine, op: Write) -> None:
    """handle_mm_fault(): nothing for a writable PTE, else do_anonymous_page() or do_wp_page()."""
    vma = _accessed(machine, op)
    if op.offset in vma.writable:
        return
    if op.offset in vma.table:
        _write_protected(machine, vma, op.offset)
    else:
        _new_anon_page(machine, vma, op.offset)
    vma.writable.add(op.offset)


def _write_protected(machine: Machine, vma: Vma, offset: int) -> None:
    page = vma.table[offset]
    fault = WpPage(
        anon=page.file is None,
        ksm=page.ksm,
        mapcount=page.mapcount,
        references=page.mapcount,
        exclusive=page.exclusive,
    )
    outcome = do_wp_page(machine.semantics, fault)
    if outcome is CowOutcome.COPY:
        _unmap_page(vma, offset)
        _new_anon_page(machine, vma, offset)
    elif outcome is CowOutcome.REUSE_AND_MOVE:
        page.anon_vma = vma.anon_vma
    page.exclusive = page.exclusive or outcome is not CowOutcome.COPY


def _new_anon_page(machine: Machine, vma: Vma, offset: int) -> None:
    _anon_vma_prepare(machine, vma)
    page = _new_page(machine, anon_index(machine.semantics, vma, offset), vma.anon_vma)
    _map_page(vma, offset, page)


def _new_page(
    machine: Machine, index: int, anon_vma: AnonVma | None = None, file: str | None = None
) -> Page:
    machine.pages += 1
    return Page(machine.pages - 1, index, anon_vma, file, exclusive=file is None)


def _map_page(vma: Vma, offset: int, page: Page) -> None:
    vma.table[offset] = page
    page.mapped[vma, offset] = None


def _unmap_page(vma: Vma, offset: int) -> None:
    page = vma.table.pop(offset)
    vma.writable.discard(offset)
    del page.mapped[vma, offset]


def anon_first(semantics: Semantics, vma: Vma) -> int:
    """Return the first index of a VMA in the trees of its anon_vmas."""
    return vma.anon_pgoff if semantics.anon_pgoff else vma.pgoff


def anon_index(semantics: Semantics, vma: Vma, offset: int) -> int:
    """Return the index of an anonymous page at `offset` of a VMA: linear_page_index()."""
    return anon_first(semantics, vma) + offset


# anon_vma: how VMAs are linked.


def _anon_vma_prepare(machine: Machine, vma: Vma) -> None:
    """First anonymous page of a VMA: a root of its own (__anon_vma_prepare())."""
    if vma.anon_vma is not None:
        return
    anon_vma = _anon_vma_alloc(machine)
    anon_vma.root = anon_vma.parent = anon_vma
    anon_vma.num_children = anon_vma.num_active_vmas = 1
    anon_vma.degree = 2  # itself as its own parent, and the VMA
    vma.anon_vma = anon_vma
    _anon_vma_chain_link(vma, anon_vma)


def _anon_vma_alloc(machine: Machine) -> AnonVma:
    machine.anon_vmas += 1
    return AnonVma(machine.anon_vmas - 1)


def _anon_vma_chain_link(vma: Vma, anon_vma: AnonVma) -> None:
    vma.chain.append(anon_vma)
    anon_vma.tree[vma] = None


def anon_vma_clone(semantics: Semantics, dst: Vma, src: Vma, fork: bool) -> None:
    """Link `dst` to every anon_vma of `src`, oldest first; at fork, maybe take one for its own."""
    for anon_vma in src.chain:
        _anon_vma_chain_link(dst, anon_vma)
        if fork and dst.anon_vma is None and reusable(semantics, anon_vma, src):
            dst.anon_vma = anon_vma
    if dst.anon_vma is not None:
        dst.anon_vma.num_active_vmas += 1
        dst.anon_vma.degree += 1


def reusable(semantics: Semantics, anon_vma: AnonVma, src: Vma) -> bool:
    """Return whether a child of `src` may take `anon_vma` of its chain for its own."""
    if semantics.reuse is Reuse.NEVER:
        return False
    if semantics.reuse is Reuse.DEGREE:
        return anon_vma is not src.anon_vma and anon_vma.degree < 2
    # Since Linux kernel commit 2555283eb40d ("mm/rmap: Fix anon_vma->degree ambiguity leading to
    # double-reuse") (in v6.0), VMAs and children are counted apart.
    return anon_vma.num_active_vmas == 0 and anon_vma.num_children < 2


def anon_vma_fork(machine: Machine, vma: Vma, pvma: Vma) -> None:
    """Link a child's VMA to what its parent's pages need, and give it an anon_vma of its own."""
    if pvma.anon_vma is None:
        return
    if machine.semantics.linking is Linking.SHARED:
        vma.anon_vma = pvma.anon_vma
        _anon_vma_chain_link(vma, pvma.anon_vma)
        return
    anon_vma_clone(machine.semantics, vma, pvma, fork=True)
    if vma.anon_vma is not None:
        return
    anon_vma = _anon_vma_alloc(machine)
    anon_vma.root, anon_vma.parent = pvma.anon_vma.root, pvma.anon_vma
    anon_vma.num_active_vmas = anon_vma.degree = 1
    pvma.anon_vma.num_children += 1
    pvma.anon_vma.degree += 1
    vma.anon_vma = anon_vma
    _anon_vma_chain_link(vma, anon_vma)


def unlink_anon_vmas(vma: Vma) -> None:
    """Take a VMA out of every tree, newest first, and drop the anon_vmas left empty."""
    for anon_vma in reversed(vma.chain):
        del anon_vma.tree[vma]
        if not anon_vma.tree and anon_vma.parent is not None:
            anon_vma.parent.num_children -= 1
            anon_vma.parent.degree -= 1
    if vma.anon_vma is not None:
        vma.anon_vma.num_active_vmas -= 1
        vma.anon_vma.degree -= 1
    vma.anon_vma = None
    vma.chain.clear()


def _reinsert(vma: Vma) -> None:
    """A VMA whose bounds changed is taken out of its trees and put in again."""
    for anon_vma in vma.chain:
        del anon_vma.tree[vma]
        anon_vma.tree[vma] = None


# fork, exit, and what moves or splits a VMA.


def _fork(machine: Machine, op: Fork) -> None:
    """dup_mmap(): every VMA that is copied, in the parent's order."""
    child = machine.processes.setdefault(op.child, {})
    for region, pvma in machine.processes[op.parent].items():
        if pvma.vm_flags & VM_DONTCOPY:
            continue
        vma = replace(pvma, process=op.child, anon_vma=None, chain=[], table={}, writable=set())
        vma.vm_flags &= ~VM_LOCKED
        child[region] = vma
        if vma.file is not None:
            # vma_interval_tree_insert_after(): right behind the parent.
            i_mmap = machine.i_mmap[vma.file]
            i_mmap.insert(i_mmap.index(pvma) + 1, vma)
        if not pvma.vm_flags & VM_WIPEONFORK:
            anon_vma_fork(machine, vma, pvma)
            _copy_page_range(vma, pvma)


def _copy_page_range(vma: Vma, pvma: Vma) -> None:
    """Map the parent's anonymous pages in the child, both write-protected; files fault again."""
    if pvma.anon_vma is None:
        return
    for offset, page in pvma.table.items():
        _map_page(vma, offset, page)
        page.exclusive = False
    pvma.writable.clear()


def _exit(machine: Machine, op: Exit) -> None:
    for region in list(machine.processes[op.process]):
        _unmap(machine, Unmap(op.process, region))
    del machine.processes[op.process]


def _unmap(machine: Machine, op: Unmap) -> None:
    vma = machine.processes[op.process].pop(op.region)
    for offset in list(vma.table):
        _unmap_page(vma, offset)
    unlink_anon_vmas(vma)
    if vma.file is not None:
        machine.i_mmap[vma.file].remove(vma)


def _split(machine: Machine, op: Split) -> None:
    """__split_vma(): the upper half is a new VMA; the lower one is put into its trees again."""
    vma = machine.vma(op.process, op.region)
    upper = _copied(machine, vma, op.upper, vma.start + op.offset)
    upper.pages -= op.offset
    upper.pgoff += op.offset
    upper.anon_pgoff += op.offset
    _move_pages(vma, upper, op.offset)
    vma.pages = op.offset
    _reinsert(vma)


def _remap(machine: Machine, op: Remap) -> None:
    """move_vma(): a copy with the same page offset takes the pages; then the old VMA goes."""
    vma = machine.vma(op.process, op.region)
    _unmerge_ksm_pages(machine, vma)
    old = op.region if op.left is None else op.left
    machine.processes[op.process][old] = machine.processes[op.process].pop(op.region)
    vma.region = old
    moved = _copied(machine, vma, op.region, op.start)
    if vma.anon_vma is None and vma.file is None:
        moved.pgoff = moved.anon_pgoff = op.start
    _move_pages(vma, moved, 0)
    if op.left is None:
        unlink_anon_vmas(vma)
        if vma.file is not None:
            machine.i_mmap[vma.file].remove(vma)
    elif machine.semantics.dontunmap_unlinks:
        unlink_anon_vmas(vma)
        vma.anon_pgoff = vma.start if machine.semantics.anon_pgoff else vma.anon_pgoff


def _unmerge_ksm_pages(machine: Machine, vma: Vma) -> None:
    """Give a VMA copies of its KSM pages: an rmap_item's address must not move."""
    for offset in [offset for offset, page in vma.table.items() if page.ksm]:
        _write(machine, Write(vma.process, vma.region, offset))


def _copied(machine: Machine, vma: Vma, region: int, start: int) -> Vma:
    """Return a copy of a VMA, linked as it is, without pages (vm_area_dup(), anon_vma_clone())."""
    copy = replace(vma, region=region, start=start, chain=[], table={}, writable=set())
    anon_vma_clone(machine.semantics, copy, vma, fork=False)
    machine.processes[vma.process][region] = copy
    if vma.file is not None:
        machine.i_mmap[vma.file].append(copy)
    return copy


def _merge(machine: Machine, op: Merge) -> None:
    """try_to_merge_with_ksm_page() and stable_tree_append(), for each place in turn."""
    process, region, offset = op.places[0]
    kpage = machine.page(process, offset, region)
    for process, region, offset in op.places:
        vma = machine.vma(process, region)
        if vma.table[offset] is not kpage:
            _unmap_page(vma, offset)
            _map_page(vma, offset, kpage)
        vma.writable.discard(offset)
        if vma.anon_vma is not None:
            kpage.items.append(RmapItem(process, vma.start + offset, vma.anon_vma))
    kpage.anon_vma, kpage.exclusive = None, False


def _move_pages(source: Vma, target: Vma, first: int) -> None:
    """move_page_tables(): PTEs from offset `first` of one VMA go to the start of another."""
    for offset in [offset for offset in source.table if offset >= first]:
        page, writable = source.table[offset], offset in source.writable
        _unmap_page(source, offset)
        _map_page(target, offset - first, page)
        if writable:
            target.writable.add(offset - first)


# walks: which VMAs are visited, in which order, and where the walk ends.


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
