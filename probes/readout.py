"""
The words of the state about KSM, memory failures, migration, waits for locks, forks and copy on
write, as they stand in a Sample. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

from ..kernels.facts import KernelFacts
from . import cow, fork, ksm, locks, memory_failure, migrate, state
from .decode import Watched, call_counts
from .sample import (
    CallCounts,
    CloneCounts,
    CowCounts,
    FailureCounts,
    ForkCounts,
    KsmCounts,
    MigrationCounts,
)


def counts(block: state.Block, watched: Watched, facts: KernelFacts) -> dict[str, Any]:
    """Return the fields of a Sample; None or empty for what no attached probe watches."""
    attached = watched.attached
    return {
        "ksm": ksm_counts(block, watched) if "ksm_append" in attached else None,
        "failures": failure_counts(block, facts) if "memory_failure" in attached else None,
        "migrations": migration_counts(block, attached, facts),
        "lock_waits": lock_waits(block, attached),
        "forks": fork_counts(block, watched) if "copy_process" in attached else None,
        "cow": cow_counts(block, watched) if "cow" in attached else None,
    }


def ksm_counts(block: state.Block, watched: Watched) -> KsmCounts:
    """Return what KSM did."""
    attached = watched.attached
    writes = "cow" in attached and watched.at_exit
    return KsmCounts(
        pages={
            name: count
            for name, count in zip(ksm.PAGES, block.array("ksm_pages"), strict=True)
            if name != "cow" or writes
        },
        swapins=dict(zip(ksm.SWAPINS, block.array("ksm_swapins"), strict=True)),
        begun=block["ksm_begun"] if "ksm_scan" in attached else None,
        scans=call_counts(block.inner("ksm_scan", 0)) if "ksm_scan_end" in attached else None,
    )


def failure_counts(block: state.Block, facts: KernelFacts) -> FailureCounts:
    """Return what became of memory failures; page types have the names of this kernel."""
    return FailureCounts(
        handled={
            name: call_counts(block.inner("failures", number))
            for number, name in enumerate(memory_failure.HANDLERS)
        }
        | {"collect_procs": call_counts(block.inner("collects", 0))},
        errors=dict(zip(memory_failure.HANDLERS, block.array("failure_errors"), strict=True)),
        actions=_actions(block, facts),
        signals={
            ("SIGBUS", code): count
            for code, count in zip(memory_failure.CODES, block.array("signals"), strict=True)
        },
    )


def page_types(facts: KernelFacts) -> dict[int, str]:
    """Return the page types of memory failures by number; empty where the kernel has none."""
    enum = facts.enums.get(memory_failure.TYPE_ENUM, {})
    return {n: name.removeprefix(memory_failure.TYPE_PREFIX).lower() for name, n in enum.items()}


def results() -> list[str]:
    """Return the results of memory failures by number."""
    return [name.removeprefix("MF_").lower() for name in memory_failure.RESULTS]


def _actions(block: state.Block, facts: KernelFacts) -> dict[tuple[str, str], int]:
    counts, types = block.array("actions"), page_types(facts)
    keys = itertools.product(range(memory_failure.TYPES), results())
    return {
        (types[number], result): count
        for (number, result), count in zip(keys, counts, strict=True)
        if number in types
    }


def migration_counts(
    block: state.Block, attached: Collection[str], facts: KernelFacts
) -> dict[str, MigrationCounts]:
    """Return what became of calls to move pages; reasons have the names of this kernel."""
    if "migrate_pages" not in attached:
        return {}
    reported = "migrate_report" in attached
    return {
        name: _migration(block.inner("migrations", number), reported)
        for number, name in reasons(facts).items()
    }


def reasons(facts: KernelFacts) -> dict[int, str]:
    """Return the reasons to move pages by number; empty where the kernel's BTF has none."""
    enum = facts.enums.get(migrate.REASON_ENUM, {})
    names = {n: name.removeprefix(migrate.REASON_PREFIX).lower() for name, n in enum.items()}
    return {n: name for n, name in names.items() if n < migrate.REASONS and name != "types"}


def _migration(cell: state.Block, reported: bool) -> MigrationCounts:
    call = call_counts(cell.inner("call", 0))
    told = (cell[name] if reported else None for name in ("succeeded", "failed", "split"))
    return MigrationCounts(call.calls, call.ns, call.ns_slots, *told)


def lock_waits(
    block: state.Block, attached: Collection[str]
) -> dict[tuple[str, str, str], CallCounts]:
    """Return the waits for the locks of the reverse map, of the modes that are watched."""
    keys = itertools.product(locks.LOCKS, locks.MODES, locks.DURING)
    return {
        (lock, mode, during): call_counts(block.inner("waits", number))
        for number, (lock, mode, during) in enumerate(keys)
        if f"lock_{mode}" in attached and (mode, during) != ("write", "walk")
    }


def fork_counts(block: state.Block, watched: Watched) -> ForkCounts:
    """Return what forks took; the steps of them that are watched."""
    attached = watched.attached
    errors = itertools.product(fork.FAILING, fork.ERRORS)
    return ForkCounts(
        steps={
            step: call_counts(block.inner("forks", number))
            for number, step in enumerate(fork.STEPS)
            if step in attached
        },
        errors={
            key: count
            for key, count in zip(errors, block.array("fork_errors"), strict=True)
            if key[0] in attached
        },
        clones={
            cloner: _clone_counts(block.inner("clones", number), watched.at_exit)
            for number, cloner in enumerate(fork.CLONERS)
            if "anon_vma_clone" in attached
        },
        vmas=block["fork_vmas"],
        pages=None if block["fork_unsummed"] else block["fork_pages"],
    )


def _clone_counts(cell: state.Block, at_exit: bool) -> CloneCounts:
    return CloneCounts(
        cell["calls"],
        cell["ns"],
        cell.array("ns_slots"),
        cell["links"] if at_exit else None,
        cell.array("links_slots") if at_exit else None,
    )


def cow_counts(block: state.Block, watched: Watched) -> CowCounts:
    """Return what became of writes to write-protected pages, or that there were some."""
    if not watched.at_exit:
        calls = call_counts(block.inner("cows", cow.OUTCOMES.index("other")))
        return CowCounts({(cow.UNSEEN, cow.UNSEEN): calls.calls}, {cow.UNSEEN: calls})
    told = [name for name in cow.OUTCOMES if name != "moved" or "cow_move" in watched.attached]
    keys = itertools.product(cow.PAGES, cow.OUTCOMES)
    return CowCounts(
        faults={
            key: count
            for key, count in zip(keys, block.array("cow_pages"), strict=True)
            if key[1] in told
        },
        calls={
            name: call_counts(block.inner("cows", number))
            for number, name in enumerate(cow.OUTCOMES)
            if name in told
        },
    )
