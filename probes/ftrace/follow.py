"""
The handlers of `bpf/`, over events that were recorded: the same names, the same words of state.

An event of the trace buffer tells of one end of a call. Those of a thread come in order, so that a
call's end finds its beginning; where events were lost nothing is known of any thread any more, and
what was under way is given up as stale. What a call is depends on what its thread is inside of: it
counts only where that is known. Each path of the kernel has a file of its own, as in `bpf/`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...kernels.facts import KernelFacts
from .. import fork, locks, memory_failure, reclaim, rmap
from ..spec import Op
from .counting import Handler, Kernel
from .follow_cow import Cow
from .follow_fork import Fork
from .follow_ksm import Ksm
from .follow_locks import Locks
from .follow_memory_failure import MemoryFailure
from .follow_migrate import Migrate
from .follow_reclaim import Reclaim
from .follow_rmap import Rmap

_NUMBERED = {
    f"{prefix}_{name.upper()}": number
    for prefix, names in (
        ("KIND", rmap.KINDS),
        ("CALLER", reclaim.CALLERS),
        ("RECLAIMER", reclaim.RECLAIMERS),
        ("AGER", reclaim.AGERS),
        ("HANDLER", memory_failure.HANDLERS),
        ("MODE", locks.MODES),
        ("STEP", fork.FAILING),
    )
    for number, name in enumerate(names)
}
"""The constants of the handlers' calls."""

_LOCKS = (("anon_vma", "rwsem"), ("address_space", "i_mmap_rwsem"), ("inode", "i_data"))
_VICTIMS = next(p for p in memory_failure.POINTS if p.name == "memory_failure_victim").sources


def kernel(
    facts: KernelFacts,
    addresses: Mapping[str, int],
    attached: Iterable[str],
    ksmd: int | None = None,
) -> Kernel:
    """
    Return what is known of a kernel.

    ``attached``: the functions that are watched. ``ksmd``: the thread of that name.
    """
    attached = set(attached)
    bits, page = facts.enums.get("pageflags", {}), facts.structs.get("page")
    ttu, numbers = facts.enums.get("ttu_flags", {}), facts.enums.get("lru_list", {})
    ops = {
        addresses[callback]: (number, _masks(op, ttu))
        for number, op in enumerate(rmap.OPS)
        for callback in op.callbacks
        if callback in addresses
    }
    anon_vma, mapping, data = (facts.offset(*place) or 0 for place in _LOCKS)
    return Kernel(
        ops=ops,
        lists={numbers[f"LRU_{n.upper()}"]: at for at, n in enumerate(reclaim.LISTS) if numbers},
        swapbacked=1 << bits.get("PG_swapbacked", 0),
        head=1 << bits.get("PG_head", 63),
        page_size=page.size if page else 0,
        evicts="evict_folios" in facts.functions,
        locks=(anon_vma, mapping, mapping + data),
        ksmd=ksmd,
        steps=rmap.steps_watched(attached, facts),
        victims=any(source.symbol in attached for source in _VICTIMS),
    )


def _masks(op: Op, ttu: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    names = [each.name for each in rmap.OPS]
    masks = (
        (sum(ttu[flag] for flag in flags if flag in ttu), names.index(other))
        for other, flags in op.if_flags.items()
    )
    return tuple((mask, other) for mask, other in masks if mask)


class Follower(Rmap, Reclaim, Ksm, MemoryFailure, Migrate, Locks, Fork, Cow):
    """Counts what the events of all probe points tell."""

    def handler(self, call: str, constant: str, probe: int) -> Handler:
        """Return the handler that a probe point names by `call`; `constant` as in its C."""
        method = getattr(self, f"_{call}")
        number = _NUMBERED.get(constant, 0)
        return lambda time, tid, given: method(probe, number, time, tid, given)
