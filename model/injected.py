"""
What workloads do to pages, by the names in their ledgers, as the model's inputs and its answers.

A row of a ledger is what the workload wrote down; see docs/scenarios.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ..kernels.semantics import Semantics
from . import mapcount
from .memory_failure import (
    Handling,
    Injector,
    Kind,
    PoisonedPage,
    Policy,
    Signal,
    Task,
    injector_flags,
    memory_failure,
    si_addr_lsb,
    signals,
    touch_later,
)

_PAGES: Mapping[str, PoisonedPage] = MappingProxyType(
    {
        "anon": PoisonedPage(Kind.ANON),
        "thp": PoisonedPage(Kind.ANON, thp=True),
        "ksm": PoisonedPage(Kind.KSM),
        "shmem": PoisonedPage(Kind.FILE),
        "dirty_file": PoisonedPage(Kind.FILE),
        "clean_file": PoisonedPage(Kind.FILE, dirty=False),
        "hugetlb": PoisonedPage(Kind.HUGETLB),
    }
)
_INJECTORS = {"madvise": Injector.MADVISE, "corrupt_pfn": Injector.CORRUPT_PFN}

Row = Mapping[str, Any]
"""A failure in the ledger of `hwpoison`."""

Told = tuple[int, Signal | None, int, int]
"""A signal: process, what it was, si_addr and si_addr_lsb."""


def _page(row: Row) -> PoisonedPage:
    return replace(_PAGES[row["kind"]], poisoned=row["poisoned"])


def handling(semantics: Semantics, row: Row) -> Handling:
    """Return what the kernel does about a failure of a ledger."""
    flags = injector_flags(semantics, _INJECTORS[row["injector"]])
    return memory_failure(semantics, _page(row), flags)


def told_at_once(semantics: Semantics, row: Row) -> Iterator[Told]:
    """Yield the signals that are sent while it is handled."""
    flags = injector_flags(semantics, _INJECTORS[row["injector"]])
    sent = signals(semantics, _page(row), _tasks(row), flags)
    for pid, signal in sent.items():
        yield pid, signal, row["address"], si_addr_lsb(_page(row))


def told_late(semantics: Semantics, row: Row) -> Iterator[Told]:
    """Yield the signals for those who touch the page later, as each process of a ledger does."""
    late = touch_later(_page(row), handling(semantics, row))
    for task in _tasks(row) if late else ():
        yield task.pid, late, row["address"], si_addr_lsb(_page(row))


def _tasks(row: Row) -> list[Task]:
    return [
        Task(each["pid"], policy=Policy[each["policy"].upper()], current=each["current"])
        for each in row["processes"]
    ]


def mappings(semantics: Semantics, places: int, children: int) -> int:
    """
    Return the mapcount of a small page after a process that maps it at `places` has forked.

    Source: page_dup_rmap(), include/linux/rmap.h; commit 21333b2b66b8.
    """
    page = mapcount.new_folio(1)
    for _ in range(places):
        page = mapcount.map_pte(semantics, page, 0, mm=0)
    for child in range(1, children + 1):
        for _ in range(places):
            page = mapcount.page_dup_rmap(semantics, page, child, page=0)
    return mapcount.folio_mapcount(semantics, page)
