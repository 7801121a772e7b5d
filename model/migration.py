"""
Migration: the walk that unmaps a page and the one that restores its mappings, by kind of page.

Source: mm/migrate.c (remove_migration_ptes(): no early end) and mm/rmap.c, by replaying histories.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from ..kernels.semantics import Semantics
from .history import Fork, Map, Merge, Operation, Read, Write, replay
from .ksm import rmap_walk_ksm
from .rmap import Op, rmap_walk


class Kind(Enum):
    """How processes come to share a page: by fork, by mapping a file, or by ksmd."""

    ANON = "anon"
    FILE = "file"
    KSM = "ksm"


@dataclass(frozen=True)
class Entered:
    """VMAs that the two walks enter for one page: only the first has an early end."""

    migrate: int
    restore: int


def move(semantics: Semantics, kind: Kind, processes: int) -> Entered:
    """Return what the walks enter when a page is moved that so many processes share."""
    return walks(semantics, history(kind, processes))


def walks(semantics: Semantics, operations: Iterable[Operation]) -> Entered:
    """Return what the walks enter when the first process' page is moved after a history."""
    machine = replay(semantics, operations)
    page = machine.page(0)
    walk = rmap_walk_ksm if page.ksm else rmap_walk
    entered = (len(walk(machine, page, op).entered) for op in (Op.MIGRATE, Op.RESTORE))
    return Entered(*entered)


def history(kind: Kind, processes: int) -> list[Operation]:
    """Return how the processes come to share the page."""
    others = range(1, processes)
    if kind is Kind.ANON:
        return [Map(0, 0, 0x1000, 1), Write(0, 0, 0), *(Fork(0, other) for other in others)]
    everyone = range(processes)
    if kind is Kind.FILE:
        maps = [Map(process, 0, 0x1000, 1, file="file") for process in everyone]
        return [*maps, *(Read(process, 0, 0) for process in everyone)]
    alone: list[Operation] = [Map(process, 0, 0x1000, 1) for process in everyone]
    alone += [Write(process, 0, 0) for process in everyone]
    return [*alone, Merge(tuple((process, 0, 0) for process in everyone))]
