"""From the words of the state in the kernel to the counts of a Sample. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from . import reclaim, rmap, state
from .sample import (
    BatchCounts,
    CallCounts,
    DeactivationCounts,
    IsolationCounts,
    ShrunkCounts,
    WalkCounts,
)


@dataclass(frozen=True)
class Watched:
    """
    What is told. ``steps``: a bit per op whose VMAs are all counted; ``looks``: one per kind of
    walk whose looks are; ``attached``: the probes whose figures are told. ``at_exit``: the kernel's
    memory was read at the end of calls, too; without, nothing is known of PTEs, of a batch's own
    account, and of decisions.
    """

    steps: int
    looks: int
    attached: Collection[str]
    at_exit: bool = True


def counts(block: state.Block, watched: Watched) -> dict[str, Any]:
    """Return the fields of a Sample that `block`, a `cpu_state`, holds."""
    attached = watched.attached
    return {
        "walks": _walks(block, watched),
        "references": _references(block),
        "decisions": _decisions(block) if watched.at_exit else {},
        "batches": _batches(block, watched.at_exit),
        "stalls": _calls(block, "stalls", reclaim.RECLAIMERS),
        "ages": _calls(block, "ages", reclaim.AGERS),
        "isolations": _isolations(block) if "reclaim_isolate" in attached else {},
        "shrunk": _shrunk(block) if "reclaim_shrink_inactive" in attached else {},
        "deactivation": _deactivation(block) if "reclaim_shrink_active" in attached else None,
        "stray_steps": block["stray_steps"],
    }


def _walks(block: state.Block, watched: Watched) -> dict[tuple[str, str], WalkCounts]:
    keys = itertools.product(enumerate(rmap.KINDS), enumerate(rmap.OPS))
    return {
        (op.name, kind): _walk(
            block.inner("walks", k * len(rmap.OPS) + o),
            bool(watched.steps >> o & 1),
            bool(watched.looks >> k & 1),
            watched.at_exit,
        )
        for (k, kind), (o, op) in keys
    }


def _walk(cell: state.Block, watched: bool, looked: bool, at_exit: bool) -> WalkCounts:
    return WalkCounts(
        walks=cell["walks"],
        bailouts=cell["bailouts"],
        ns=cell["ns"],
        vmas=cell["vmas"] if watched else None,
        ptes=cell["ptes"] if at_exit else None,
        ns_slots=cell.array("ns_slots"),
        vmas_slots=cell.array("vmas_slots") if watched else None,
        ptes_slots=cell.array("ptes_slots") if at_exit else None,
        looked_at=cell["looked_at"] if looked else None,
    )


def _references(block: state.Block) -> dict[tuple[str, str, str], int]:
    keys = itertools.product(state.ASKED_BY, state.LRUS, state.RESULTS)
    return dict(zip(keys, block.array("references"), strict=True))


def _decisions(block: state.Block) -> dict[tuple[str, str], int]:
    keys = itertools.product(state.LRUS, reclaim.DECISIONS)
    return dict(zip(keys, block.array("decisions"), strict=True))


def _batches(block: state.Block, at_exit: bool) -> dict[tuple[str, str], BatchCounts]:
    keys = itertools.product(reclaim.CALLERS, reclaim.RECLAIMERS)
    return {key: _batch(block.inner("batches", n), at_exit) for n, key in enumerate(keys)}


def _batch(cell: state.Block, at_exit: bool) -> BatchCounts:
    cost = (cell["batches"], cell["ns"], cell.array("ns_slots"), cell["reclaimed"])
    if not at_exit:
        return BatchCounts(*cost)
    return BatchCounts(
        *cost,
        stats=dict(zip(reclaim.STATS, cell.array("stats"), strict=True)),
        activated=dict(zip(state.LRUS, cell.array("activated"), strict=True)),
        decided=dict(zip(reclaim.DECISIONS, cell.array("decided"), strict=True)),
        keep_differs=cell["keep_differs"],
        activate_exceeds=cell["activate_exceeds"],
        reclaimed_exceeds=cell["reclaimed_exceeds"],
    )


def _calls(block: state.Block, member: str, names: Sequence[str]) -> dict[str, CallCounts]:
    cells = {name: block.inner(member, n) for n, name in enumerate(names)}
    return {name: call_counts(cell) for name, cell in cells.items()}


def call_counts(cell: state.Block) -> CallCounts:
    """Return what a `call_cell` holds."""
    return CallCounts(cell["calls"], cell["ns"], cell.array("ns_slots"))


def _isolations(block: state.Block) -> dict[tuple[str, str], IsolationCounts]:
    keys = itertools.product(reclaim.ALGORITHMS, reclaim.LISTS)
    cells = {key: block.inner("isolations", n) for n, key in enumerate(keys)}
    return {
        key: IsolationCounts(cell["isolations"], cell["scanned"], cell["taken"])
        for key, cell in cells.items()
    }


def _shrunk(block: state.Block) -> dict[str, ShrunkCounts]:
    cells = {name: block.inner("shrunk", n) for n, name in enumerate(reclaim.ALGORITHMS)}
    return {
        name: ShrunkCounts(cell["lists"], cell["scanned"], cell["reclaimed"])
        for name, cell in cells.items()
    }


def _deactivation(block: state.Block) -> DeactivationCounts:
    cell = block.inner("deactivation", 0)
    return DeactivationCounts(cell["lists"], cell["taken"], cell["activated"], cell["deactivated"])
