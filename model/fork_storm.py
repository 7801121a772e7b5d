"""
The fork storm: one parent, many children, each breaking copy on write on the parent's pages.

What commit 5beb49305251 ("mm: change anon_vma linking to fix multi-process server scalability
issue", v2.6.34) was made for, by simulation (`simulate`, a replay of `rmap`) and in closed form
(`closed_form`), which has no limit of size. Every page of the region goes through the same
history, so the simulation follows one of them and gives each class its number of pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..kernels.semantics import Linking, Semantics
from .history import Fork, Map, Operation, Write, replay
from .mm_types import AnonVma, Machine, Page, Vma
from .rmap import Op, linked_vmas, walk_over

PARENT = 0


@dataclass(frozen=True)
class Storm:
    """
    The storm. ``pages``: anonymous pages that the parent touched before the first fork.

    ``cowed``: how many children write to all of them, None for every child; the last children
    of the fork order if ``last``, otherwise the first.
    """

    children: int
    pages: int
    cowed: int | None = None
    last: bool = True

    @property
    def writers(self) -> int:
        """Return how many children break copy on write."""
        return self.children if self.cowed is None else self.cowed


@dataclass(frozen=True)
class PageClass:
    """
    Pages that are alike: how many there are, and for one of them the VMAs linked to it and those
    that a walk enters: ``entered`` with the early exit (reference, unmap and migrate walks),
    ``restored`` without (a restore walk). Where the members differ, the means.
    """

    name: str
    pages: int
    linked: Fraction
    entered: Fraction
    restored: Fraction


@dataclass(frozen=True)
class StormCost:
    """The classes of a storm's pages under one way of linking."""

    classes: tuple[PageClass, ...]

    @property
    def pages(self) -> int:
        """Return how many pages there are."""
        return sum(each.pages for each in self.classes)

    @property
    def mean_linked(self) -> Fraction:
        """Return the VMAs linked to a page, the mean over all pages."""
        return Fraction(sum(each.pages * each.linked for each in self.classes), self.pages)

    @property
    def mean_entered(self) -> Fraction:
        """Return the VMAs that a reference walk enters, the mean over all pages."""
        return Fraction(sum(each.pages * each.entered for each in self.classes), self.pages)

    @property
    def scan(self) -> Fraction:
        """Return the VMAs entered when every page is restored once: the work of a full pass."""
        return sum((each.pages * each.restored for each in self.classes), Fraction(0))


def history(storm: Storm) -> list[Operation]:
    """Return the storm as operations on a region of one page."""
    ops: list[Operation] = [Map(PARENT, 0, 0x1000, 1), Write(PARENT, 0, 0)]
    ops += [Fork(PARENT, child) for child in range(1, storm.children + 1)]
    return ops + [Write(child, 0, 0) for child in writers(storm)]


def writers(storm: Storm) -> range:
    """Return the children that break copy on write, numbered from 1 in fork order."""
    if storm.last:
        return range(storm.children - storm.writers + 1, storm.children + 1)
    return range(1, storm.writers + 1)


def simulate(semantics: Semantics, storm: Storm) -> StormCost:
    """Return the cost of a storm by replaying it."""
    machine = replay(semantics, history(storm))
    parent = machine.page(PARENT)
    copies = [machine.page(child) for child in writers(storm)]
    return _cost(
        storm,
        _class("parent's pages", storm, machine, [parent]),
        _class("children's pages", storm, machine, copies),
    )


def _class(name: str, storm: Storm, machine: Machine, pages: list[Page]) -> PageClass | None:
    if not pages:
        return None
    linked_to: dict[AnonVma | None, tuple[Vma, ...]] = {}
    linked = entered = restored = 0
    for page in pages:
        if page.anon_vma not in linked_to:  # all have the same index
            linked_to[page.anon_vma] = linked_vmas(machine, page)
        vmas = linked_to[page.anon_vma]
        linked += len(vmas)
        entered += len(walk_over(machine.semantics, vmas, page, Op.REFERENCE).entered)
        restored += len(walk_over(machine.semantics, vmas, page, Op.RESTORE).entered)
    means = (Fraction(count, len(pages)) for count in (linked, entered, restored))
    return PageClass(name, storm.pages * len(pages), *means)


def _cost(storm: Storm, *classes: PageClass | None) -> StormCost:
    return StormCost(tuple(each for each in classes if each is not None))


def closed_form(semantics: Semantics, storm: Storm) -> StormCost:
    """Return the cost of a storm without replaying it: the same values, for any size."""
    everyone = Fraction(storm.children + 1)
    left = storm.children - storm.writers
    found_after = 1 if not left else (left + 1 if storm.last else storm.children + 1)
    parent = PageClass("parent's pages", storm.pages, everyone, Fraction(found_after), everyone)
    if not storm.writers:
        return _cost(storm, parent)
    written = writers(storm)
    if semantics.linking is Linking.CHAINS:
        linked = entered = Fraction(1)
    else:
        linked, entered = everyone, Fraction(written[0] + written[-1], 2) + 1
    copies = PageClass("children's pages", storm.pages * storm.writers, linked, entered, linked)
    return _cost(storm, parent, copies)
