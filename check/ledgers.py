"""What a workload's own account says of the pages that it moved, by op and frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..kernels.semantics import Semantics
from ..model import mapping
from ..model.injected import mappings
from ..model.rmap import Op
from ..model.scenarios import ksm_walks

FORK_STORM, SOFT_OFFLINE, HWPOISON = "fork_storm", "soft_offline", "hwpoison"
KSM_FORK, KSM_STALL, KSM_MERGE = "ksm_fork", "ksm_stall", "ksm_merge"
KSM_SWAP = "ksm_swap"
"""Workloads whose ledgers rules know: `workload` in a ledger."""


class Move(NamedTuple):
    """
    A walk that a move of a page makes: over the old frame to unmap it, over the new to restore it.

    ``mapcount`` and ``vmas``: as the model says of that kernel.
    """

    op: Op
    pfn: int
    kind: str
    mapcount: int
    vmas: int


class Moves(NamedTuple):
    """Such walks of one op, as columns in the order of the frames."""

    pfns: npt.NDArray[np.uint64]
    kinds: tuple[str, ...]
    mapcounts: npt.NDArray[np.int64]
    vmas: npt.NDArray[np.int64]


def moves(semantics: Semantics, ledger: Mapping[str, Any], op: Op) -> Moves:
    """Return the walks of an op that the moves of a ledger make."""
    found = sorted({m for m in _moves(semantics, ledger) if m.op is op}, key=lambda m: m.pfn)
    return Moves(
        np.array([move.pfn for move in found], np.uint64),
        tuple(_walked(semantics, move.kind) for move in found),
        np.array([move.mapcount for move in found], np.int64),
        np.array([move.vmas for move in found], np.int64),
    )


def _moves(semantics: Semantics, ledger: Mapping[str, Any]) -> Iterator[Move]:
    workload = ledger.get("workload")
    if workload == SOFT_OFFLINE:
        processes = ledger["processes"]
        mapped = mappings(semantics, 1, processes - 1)
        vmas = {Op.MIGRATE: processes, Op.RESTORE: processes}
        for move in ledger["moves"]:
            yield from _move(move, move["kind"], mapped, vmas)
    elif workload == KSM_STALL:
        places = ledger["pages"]
        yield from _move(ledger, "ksm", places, ksm_walks(semantics, places, 0, True))
    elif workload == KSM_FORK:
        places, children = ledger["copies"], ledger["children"]
        mapped = mappings(semantics, places, children)
        for when in ("unseen", "seen"):
            vmas = ksm_walks(semantics, places, children, when == "seen")
            for move in ledger[when]:
                yield from _move(move, "ksm", mapped, vmas)


_KINDS = {kind.name.lower(): kind for kind in mapping.Kind}
_POINTER = 1 << 12


def _walked(semantics: Semantics, name: str) -> str:
    """Return which walk finds a page of that kind, by the bits that say so in page->mapping."""
    word = mapping.encode(semantics, _KINDS[name], _POINTER)
    walk = mapping.WALKS[mapping.decode(semantics, word).kind] or ""
    return walk.removeprefix("rmap_walk_")


def _move(
    move: Mapping[str, Any], kind: str, mapped: int, vmas: Mapping[Op, int]
) -> Iterator[Move]:
    if not move["errno"]:
        yield Move(Op.MIGRATE, move["before"], kind, mapped, vmas[Op.MIGRATE])
        yield Move(Op.RESTORE, move["after"], kind, mapped, vmas[Op.RESTORE])
