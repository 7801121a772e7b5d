"""Walks: how many VMAs and page-table entries they may meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..probes.events import NOT_KNOWN, WALK_BAILED
from ..probes.rmap import KINDS, OPS
from ..probes.sample import Sample
from .context import Context
from .verdict import Claim, Columns, Found, Mask, Reason, Rule, judge

OP = {op.name: number for number, op in enumerate(OPS)}
"""Numbers of what walks are for."""

_CHANGING = np.array([op.name in ("unmap", "migrate", "split", "restore") for op in OPS])
_COUNTING = np.array([op.name in ("reference", "mkclean") for op in OPS])
_RMAP = "mm/rmap.c"

ONCE = Rule(
    "walk: a small page is found once in a VMA at most",
    "walks",
    "walk",
    f"{_RMAP}, folio_referenced_one(), page_mkclean_one()",
    "page-table entries that a reference or mkclean walk counts itself are no more than the VMAs it"
    " entered, for a folio of one page",
)
STOPS = Rule(
    "walk: no more entries than mappings",
    "walks",
    "walk",
    f"{_RMAP}, folio_referenced_one()",
    "a reference walk ends when it has found as many entries as the mapcount at its entry",
)
CONTENDED = Rule(
    "walk: a contended walk enters no VMA",
    "walks",
    "walk",
    f"{_RMAP}, rmap_walk_anon(), rmap_walk_file()",
    "an anon or file walk that did not get the rmap lock meets neither a VMA nor an entry",
)
MAPCOUNT = Rule(
    "walk: entries are what the mapcount changed by",
    "walks",
    "walk",
    "probes/bpf/rmap.bpf.c",
    "entries of an unmap, migrate or split walk are what the mapcount went down by, of a restore"
    " walk what it went up by",
)
ENTERED = Rule(
    "walk: a small page is unmapped or restored once in a VMA at most",
    "walks",
    "walk",
    f"{_RMAP}, try_to_unmap_one(), try_to_migrate_one(); mm/migrate.c, remove_migration_pte()",
    "page-table entries that a walk changes of a folio of one page are no more than the VMAs that"
    " it entered; a KSM page enters a VMA once for each of its places there; a process that exits"
    " or forks meanwhile is not waited for",
)
LOOKED = Rule(
    "walk: no more VMAs entered than looked at",
    "walks",
    "walk",
    f"{_RMAP}, rmap_walk_anon(); mm/ksm.c, rmap_walk_ksm()",
    "a walk enters only VMAs that the trees offered to it, where both are watched",
)
RULES = (ONCE, STOPS, CONTENDED, MAPCOUNT, ENTERED, LOOKED)


def walks(context: Context, every: Columns) -> Iterator[Found]:
    """Yield what the rules find in walks."""
    op, vmas, ptes = every["op"], every["vmas"], every["ptes"]
    small = (every["nr_pages"] == 1) & (ptes != NOT_KNOWN)
    entered = small & (vmas != NOT_KNOWN)
    counting, changing = _COUNTING[op], _CHANGING[op]
    yield _at_most(ONCE, every, ("ptes", "vmas"), entered & counting)
    mapped = small & (every["mapcount_before"] != NOT_KNOWN) & (op == OP["reference"])
    yield _at_most(STOPS, every, ("ptes", "mapcount_before"), mapped)
    yield _contended(every)
    yield _mapcounts(every, changing & (ptes != NOT_KNOWN))
    reasons = [_gone_meanwhile(context, every), _come_meanwhile(context, every)]
    yield _at_most(ENTERED, every, ("ptes", "vmas"), entered & changing, reasons)
    looked = (every["looked_at"] != NOT_KNOWN) & (vmas != NOT_KNOWN)
    yield _at_most(LOOKED, every, ("vmas", "looked_at"), looked)


def _gone_meanwhile(context: Context, every: Columns) -> Reason:
    """
    Return why a mapcount may fall by more than a walk does: zap_pte_range() (mm/memory.c) takes the
    lock of the page table alone. As often as processes were born that can exit; without a limit
    where the end of the recording is not there.
    """
    why = "a process that exits unmaps without the lock of the reverse map"
    return Reason(why, every["op"] != OP["restore"], _born(context.sample))


def _come_meanwhile(context: Context, every: Columns) -> Reason:
    """
    Return why a mapcount may rise by more than a walk restores: it is read before the walk takes
    the lock and after it has let go, and copy_page_range() (mm/memory.c) of a child that is linked
    before or after maps the page once more. As often as there were forks.
    """
    why = "a process that forks maps as soon as a walk has let go of the lock"
    return Reason(why, every["op"] == OP["restore"], _born(context.sample))


def _born(sample: Sample | None) -> int | None:
    if sample is None:
        return None
    forks = sample.forks.steps.get("copy_process") if sample.forks else None
    return forks.calls if forks else 0


def _at_most(
    rule: Rule,
    columns: Columns,
    names: tuple[str, str],
    held: Mask,
    reasons: Iterable[Reason] = (),
) -> Found:
    less, more = names

    def tell(at: int) -> tuple[str, str]:
        return f"{less} <= {more} {columns[more][at]}", f"{less} {columns[less][at]}"

    return judge(Claim(rule, columns, columns[less] <= columns[more], held), tell, reasons)


def _contended(every: Columns) -> Found:
    bailed = (every["flags"] & WALK_BAILED) != 0
    if not bailed.any():
        return Found(CONTENDED)
    bailed &= every["kind"] != KINDS.index("ksm")
    right = (every["vmas"] <= 0) & (every["ptes"] <= 0)

    def tell(at: int) -> tuple[str, str]:
        return "no VMA", f"vmas {every['vmas'][at]}, ptes {every['ptes'][at]}"

    return judge(Claim(CONTENDED, every, right, bailed), tell)


def _mapcounts(every: Columns, held: Mask) -> Found:
    before, after, ptes = every["mapcount_before"], every["mapcount_after"], every["ptes"]
    held = held & (before != NOT_KNOWN) & (after != NOT_KNOWN)
    restore = every["op"] == OP["restore"]
    gone = before - after
    right = np.where(restore, -gone, gone) == ptes

    def tell(at: int) -> tuple[str, str]:
        return f"ptes {-gone[at] if restore[at] else gone[at]}", f"ptes {ptes[at]}"

    return judge(Claim(MAPCOUNT, every, right, held), tell)
