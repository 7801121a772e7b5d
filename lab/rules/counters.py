"""What the kernel counts by itself against what the probes saw: /proc/vmstat and memory.stat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...probes import reclaim
from ...probes.sample import Sample
from .row import Agreement, Run, equal, untold

_LRU_CALLERS = ("inactive", "evict")
"""Callers whose pages are counted as scanned and stolen: those that take them off the LRU."""

_UNREPORTED = "evict_folios of this kernel reports neither what it isolates nor what it shrinks"


def vmstat(run: Run) -> Iterator[Agreement]:
    """
    Yield: pages scanned and stolen by /proc/vmstat are those that were seen.

    pgscan counts what the classic LRU looked at and what MGLRU took (mm/vmscan.c:
    shrink_inactive_list(), scan_folios()).
    """
    scanned, stolen = (_both(run, name) for name in ("pgscan", "pgsteal"))
    yield _held("vmstat: pgscan_anon + pgscan_file = pages isolated", scanned, _scanned(run.sample))
    yield _held("vmstat: pgsteal_anon + pgsteal_file = pages shrunk", stolen, _shrunk(run.sample))
    seen = sum(
        counts.reclaimed
        for (caller, _), counts in run.sample.batches.items()
        if caller in _LRU_CALLERS
    )
    yield _held("vmstat: pgsteal_anon + pgsteal_file = pages of batches", stolen, seen)


def _both(run: Run, name: str) -> int:
    return run.vmstat[f"{name}_anon"] + run.vmstat[f"{name}_file"]


def _held(rule: str, told: int, seen: int | None) -> Agreement:
    return untold(rule, "pages", _UNREPORTED) if seen is None else equal(rule, "pages", told, seen)


def _evicts_unseen(sample: Sample, reports: int) -> bool:
    evictions = sum(
        counts.batches for (caller, _), counts in sample.batches.items() if caller == "evict"
    )
    return bool(evictions) and not reports


def _scanned(sample: Sample) -> int | None:
    """Return the pages that the kernel reports to have isolated; None where it reports not all."""
    lists = [name for name in reclaim.LISTS if name.startswith("inactive")]
    classic = sum(sample.isolations["classic", name].scanned for name in lists)
    mglru = [sample.isolations["mglru", name] for name in lists]
    if _evicts_unseen(sample, sum(counts.isolations for counts in mglru)):
        return None
    return classic + sum(counts.taken for counts in mglru)


def _shrunk(sample: Sample) -> int | None:
    if _evicts_unseen(sample, sample.shrunk["mglru"].lists):
        return None
    return sum(counts.reclaimed for counts in sample.shrunk.values())


def migrated(run: Run) -> Iterator[Agreement]:
    """Yield: pages moved, and those that stay, by /proc/vmstat are those that are reported."""
    counts = run.sample.migrations.values()
    for counter, name in (("pgmigrate_success", "succeeded"), ("pgmigrate_fail", "failed")):
        told = [getattr(each, name) for each in counts]
        if told and None not in told:
            rule = f"{counter} of /proc/vmstat = pages reported"
            yield equal(rule, "pages", run.vmstat.get(counter, 0), sum(told))


def memory_stat(run: Run) -> Iterator[Agreement]:
    """
    Yield: the same by the memory.stat of the workload's own cgroup, where its ledger has it.

    What was scanned cannot be told by cgroup; it is held where no other was reclaimed from.
    """
    if "memory_stat_before" not in run.ledger:
        return
    if "batch" not in run.sample.events:
        yield untold("memory.stat = pages of batches", "pages", "no event tells whose they are")
        return
    batches = run.records["batch"]
    own = batches["memcg"] == run.ledger["cgroup_id"]
    rule = "memory.stat: pgsteal = pages of batches for that cgroup"
    off_the_lru = np.isin(batches["caller"], [reclaim.CALLERS.index(c) for c in _LRU_CALLERS])
    seen = int(batches["reclaimed"][own & off_the_lru].sum())
    yield _late(run, rule, "pgsteal", seen)
    rule = "memory.stat: pgscan = pages isolated"
    scanned = _scanned(run.sample)
    if scanned is None:
        yield untold(rule, "pages", _UNREPORTED)
    elif own.all():
        yield _late(run, rule, "pgscan", scanned)
    else:
        yield untold(rule, "pages", "others were reclaimed from too")


_CHARGE_BATCH = 32
"""MEMCG_CHARGE_BATCH: events that a CPU keeps to itself before memory.stat has them."""


def _late(run: Run, rule: str, counter: str, seen: int) -> Agreement:
    """Return the row of a counter of memory.stat, part of which older kernels hold back."""
    before, after = (run.ledger[f"memory_stat_{when}"][counter] for when in ("before", "after"))
    told = after - before
    row = equal(rule, "pages", told, seen)
    held_back = seen - told
    if row.agrees is not False or "memcg rstat" in run.changes:
        return row
    why = f"without rstat each CPU holds back up to {_CHARGE_BATCH} from memory.stat"
    within = abs(held_back) <= 2 * _CHARGE_BATCH * run.cpus
    return replace(row, agrees=within, explained=((why, held_back),)) if within else row
