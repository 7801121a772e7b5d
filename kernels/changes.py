"""
THE table of kernel differences.

A row says what changed upstream and how to see it in a kernel's facts. `since` is documentation
and is never compared: distributions carry changes back, so the kernel is asked, not its version.
No other module of the product mentions a kernel version.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .facts import KernelFacts, Wanted


@dataclass(frozen=True)
class SeenBy:
    """How to see a change: the facts that are needed, and the question to put to them."""

    wanted: Wanted
    holds: Callable[[KernelFacts], bool]

    def __call__(self, facts: KernelFacts) -> bool:
        """Return whether the kernel of `facts` has the change."""
        return self.holds(facts)


@dataclass(frozen=True)
class Change:
    """
    One upstream change: its key here, its commit (12 hex digits; "" where the id that it was merged
    under could not be confirmed) and subject, the release that first had it, and the predicate on
    `KernelFacts` that tells whether a kernel has it.
    """

    key: str
    commit: str
    subject: str
    since: str
    seen_by: SeenBy


def has_function(name: str) -> SeenBy:
    """The kernel lists `name` as traceable."""
    return SeenBy(Wanted(functions=frozenset({name})), lambda facts: facts.traceable(name))


def has_member(struct: str, member: str) -> SeenBy:
    """BTF has `member` in `struct`."""
    return SeenBy(
        Wanted(structs=frozenset({struct})), lambda facts: facts.offset(struct, member) is not None
    )


def has_enumerator(enum: str, name: str) -> SeenBy:
    """BTF has `name` in `enum`."""
    return SeenBy(Wanted(enums=frozenset({enum})), lambda facts: name in facts.enums.get(enum, {}))


def has_file(path: str) -> SeenBy:
    """The control file `path` exists."""
    return SeenBy(Wanted(files=frozenset({path})), lambda facts: path in facts.files)


def has_param(function: str, position: int, type_text: str) -> SeenBy:
    """The BTF prototype of `function` has a parameter of this type at `position`."""

    def seen(facts: KernelFacts) -> bool:
        found = facts.functions.get(function)
        params = found.params if found is not None else None
        return params is not None and len(params) > position and params[position][1] == type_text

    return SeenBy(Wanted(functions=frozenset({function})), seen)


@dataclass(frozen=True)
class Defined:
    """A constant that the kernel only defines, so that no BTF tells it: its value and header."""

    value: int
    header: str


DEFINED = {
    "VM_LOCKED": Defined(1 << 13, "include/linux/mm.h"),
    "MEMCG_RECLAIM_PROACTIVE": Defined(1 << 2, "include/linux/swap.h"),
}


def table(rows: Iterable[Change]) -> dict[str, Change]:
    """Index rows by key; a key that stands twice is an error of the table."""
    indexed: dict[str, Change] = {}
    for row in rows:
        if row.key in indexed:
            raise ValueError(f"change {row.key!r} stands twice")
        indexed[row.key] = row
    return indexed


CHANGES = table(
    (
        Change(
            "folio_referenced",
            commit="b3ac04132c4b",
            subject="mm/rmap: Turn page_referenced() into folio_referenced()",
            since="v5.18",
            seen_by=has_function("folio_referenced"),
        ),
        Change(
            "shrink_folio_list",
            commit="",
            subject="mm/vmscan: Turn page lists into folio lists (shrink_page_list renamed)",
            since="v6.1",
            seen_by=has_function("shrink_folio_list"),
        ),
        Change(
            "try_to_migrate",
            commit="a98a2f0c8ce1",
            subject="mm/rmap: split migration into its own function",
            since="v5.14",
            seen_by=has_function("try_to_migrate"),
        ),
        Change(
            "__rmap_walk_file",
            commit="",
            subject="mm: refactor rmap_walk_file() to separate out traversal logic",
            since="v6.15",
            seen_by=has_function("__rmap_walk_file"),
        ),
        Change(
            "try_to_unmap_poisoned_hugetlb_one",
            commit="",
            subject="mm/rmap: add try_to_unmap_poisoned_hugetlb_one",
            since="v7.3",
            seen_by=has_function("try_to_unmap_poisoned_hugetlb_one"),
        ),
    )
)

WANTED = functools.reduce(operator.or_, (change.seen_by.wanted for change in CHANGES.values()))
"""The facts that all rows together need."""
