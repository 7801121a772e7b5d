"""
What a machine is made of: processes, VMAs, anon_vmas, pages and their page tables.

The kernel's structs, reduced to what the reverse map depends on (include/linux/mm_types.h,
include/linux/rmap.h). Ids are numbers in order of creation, so equal histories under different
semantics can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kernels.semantics import Semantics


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


def anon_first(semantics: Semantics, vma: Vma) -> int:
    """Return the first index of a VMA in the trees of its anon_vmas."""
    return vma.anon_pgoff if semantics.anon_pgoff else vma.pgoff


def anon_index(semantics: Semantics, vma: Vma, offset: int) -> int:
    """Return the index of an anonymous page at `offset` of a VMA: linear_page_index()."""
    return anon_first(semantics, vma) + offset
