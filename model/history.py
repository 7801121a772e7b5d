"""
Histories: operations (map, write, fork, exit, ...) and the machine that they lead to.

Source: kernel/fork.c (dup_mmap()), mm/memory.c, mm/vma.c (before v6.11 mm/mmap.c), mm/mremap.c,
and mm/ksm.c for merges. Left out: merging of VMAs, swap, and temporary stacks of exec.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..kernels.semantics import Semantics
from .anon_vma import anon_vma_clone, anon_vma_fork, anon_vma_prepare, reinsert, unlink_anon_vmas
from .cow import CowOutcome, WpPage, do_wp_page
from .mm_types import AnonVma, Machine, Page, RmapItem, Vma, anon_index
from .references import VM_LOCKED

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
    anon_vma_prepare(machine, vma)
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


def vma_needs_copy(vma: Vma) -> bool:
    """
    Return whether fork copies the page tables of a parent's VMA.

    Since v2.6.14 what a fault can fill again is left out. Source: mm/memory.c. Not modelled: VMAs
    of frames without a struct page and of userfaultfd, which are always copied.
    """
    return vma.anon_vma is not None


def _copy_page_range(vma: Vma, pvma: Vma) -> None:
    """Map the parent's pages in the child, both write-protected, where fork copies them."""
    if not vma_needs_copy(pvma):
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
    reinsert(vma)


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
