"""
Reclaim (mm/vmscan.c): its batches, what they decide, who asks for it and how long that one waits.

The batch is `shrink_folio_list` (`shrink_page_list`): every page that reclaim looks at goes through
it, classic LRU or MGLRU, and it leaves its own account, a `struct reclaim_stat`. Who called it is
told by what the thread is inside of. The check of references is inlined everywhere; its decision is
told by what becomes of the folio inside the same batch.

The kernel reports by itself what it isolates, shrinks and deactivates: the classic LRU always,
MGLRU since v6.7.
"""

from __future__ import annotations

from .spec import Bit, Member, ProbePoint, Source

CALLERS = ("inactive", "evict", "pages", "clean")
"""Who asked for a batch: shrink_inactive_list, evict_folios, reclaim_pages, clean pages alone."""

RECLAIMERS = (
    "kswapd",
    "khugepaged",
    "direct",
    "memcg",
    "proactive",
    "node",
    "madvise",
    "damon",
    "other",
)
"""
On whose behalf: kswapd, khugepaged or another task for itself, a cgroup's limit, its
memory.reclaim, a node's own pages before those of others, madvise, DAMON.
"""

ALGORITHMS = ("classic", "mglru")
"""Which LRU chose the pages: shrink_inactive_list or evict_folios."""

LISTS = ("inactive_anon", "active_anon", "inactive_file", "active_file")
"""The lists that pages are isolated from, as `enum lru_list` names them."""

AGERS = ("active_list", "generation")
"""What makes pages older: shrink_active_list, a new generation of MGLRU."""

DECISIONS = ("activate", "activate_mlocked", "keep", "reclaim", "reclaim_clean")
"""What the reference check decided (`enum folio_references`), as seen by its effect."""

STATS = (
    "nr_dirty",
    "nr_unqueued_dirty",
    "nr_writeback",
    "nr_immediate",
    "nr_ref_keep",
    "nr_unmap_fail",
    "nr_lazyfree_fail",
)
"""Members of `struct reclaim_stat` that every kernel has, `nr_activate` (two words) apart."""

VERDICTS = ("open", "unmapped", "gone", "clean")
"""How far the decision on the folio checked last is known before the batch goes on."""

_BATCH_METRICS = (
    "rmapwatch_reclaim_pages_total",
    "rmapwatch_reclaim_obstacles_total",
    "rmapwatch_reclaim_batch_duration_seconds",
    "rmapwatch_reclaim_contradictions_total",
    "rmapwatch_reference_checks_total",
)
_ISOLATION_METRICS = ("rmapwatch_reclaim_isolated_pages_total",)
_AGEING_METRICS = ("rmapwatch_reclaim_ageing_duration_seconds",)
_STALL_METRICS = ("rmapwatch_reclaim_stall_duration_seconds",)
_BATCH_ARGUMENTS = {"control": 2, "stat": 3, "ignore_references": 4}


def _caller(name: str, summary: str, *sources: Source) -> ProbePoint:
    return ProbePoint(
        name=f"reclaim_{name}",
        summary=summary,
        kernel_source="mm/vmscan.c",
        sources=sources,
        section="shrink",
        entry=f"shrink_enter(&a, CALLER_{name.upper()})",
        exit="shrink_exit(&a)",
        metrics=_BATCH_METRICS,
        overhead="One pair of programs around some batches.",
    )


def _reclaimer(name: str, summary: str, *sources: Source) -> ProbePoint:
    return ProbePoint(
        name=f"reclaim_{name}",
        summary=summary,
        kernel_source="mm/vmscan.c",
        sources=sources,
        section="reclaim",
        entry=f"reclaim_enter(&a, RECLAIMER_{name.upper()})",
        exit="reclaim_exit(&a)",
        metrics=_STALL_METRICS,
        overhead="One pair of programs per call for memory, each of many batches.",
    )


def _ager(name: str, summary: str, source: Source) -> ProbePoint:
    return ProbePoint(
        name=f"reclaim_age_{name}",
        summary=summary,
        kernel_source="mm/vmscan.c",
        sources=(source,),
        section="age",
        entry=f"age_enter(&a, AGER_{name.upper()})",
        exit="age_exit(&a)",
        metrics=_AGEING_METRICS,
        overhead="One pair of programs per call.",
    )


def _reported(name: str, summary: str, metrics: tuple[str, ...], **fields: str) -> ProbePoint:
    """Return a point at the event `vmscan:mm_vmscan_lru_NAME`."""
    return ProbePoint(
        name=f"reclaim_{name}",
        summary=summary,
        kernel_source="include/trace/events/vmscan.h",
        sources=(Source(f"vmscan:mm_vmscan_lru_{name}", fields=fields),),
        entry=f"reported_{name}(&a)",
        metrics=metrics,
        overhead="One program per list of up to 32 pages, more with MGLRU.",
    )


POINTS = (
    _reclaimer("kswapd", "kswapd balancing a node.", Source("balance_pgdat")),
    _reclaimer("direct", "A task reclaiming for itself.", Source("try_to_free_pages")),
    _reclaimer(
        "memcg",
        "Reclaim from one cgroup, for its limit or because somebody asked for it.",
        Source("try_to_free_mem_cgroup_pages", {"options": 3}),
    ),
    _reclaimer(
        "node",
        "A node's own pages, before those of other nodes are taken.",
        Source("__node_reclaim"),
    ),
    _caller(
        "inactive",
        "The classic LRU's inactive list, where it is a function of its own.",
        Source("shrink_inactive_list"),
    ),
    _caller("evict", "Eviction of the oldest generation (MGLRU).", Source("evict_folios")),
    _caller("pages", "Pages handed over by madvise or DAMON.", Source("reclaim_pages")),
    _caller(
        "clean",
        "Clean pages alone, for a contiguous area.",
        Source("reclaim_clean_pages_from_list"),
    ),
    ProbePoint(
        name="reclaim_batch",
        summary="One list of isolated pages: what became of them, and how long it took.",
        kernel_source="mm/vmscan.c",
        sources=(
            Source("shrink_folio_list", _BATCH_ARGUMENTS, change="shrink_folio_list"),
            Source("shrink_page_list", _BATCH_ARGUMENTS),
        ),
        section="batch",
        entry="batch_enter(&a)",
        exit="batch_exit(&a)",
        metrics=_BATCH_METRICS,
        overhead="One pair of programs per batch of up to 32 pages, more with MGLRU.",
    ),
    ProbePoint(
        name="reclaim_unmap",
        summary="A page of a batch that is being unmapped: the reference check let it go.",
        kernel_source="mm/rmap.c",
        sources=(Source("try_to_unmap", {"folio": 0}),),
        entry="unmap_enter(&a)",
        metrics=("rmapwatch_reference_checks_total",),
        overhead="One program per page that is unmapped.",
    ),
    _ager("active_list", "The classic LRU's active list.", Source("shrink_active_list")),
    _ager("generation", "A new generation of MGLRU.", Source("try_to_inc_max_seq")),
    _reported(
        "isolate",
        "Pages taken off a list, to be looked at.",
        _ISOLATION_METRICS,
        scanned="nr_scanned",
        taken="nr_taken",
        lru="lru",
    ),
    _reported(
        "shrink_inactive",
        "What became of pages that were isolated, as the kernel reports it.",
        ("rmapwatch_reclaim_shrunk_pages_total",),
        scanned="nr_scanned",
        reclaimed="nr_reclaimed",
    ),
    _reported(
        "shrink_active",
        "What became of pages of the active list, as the kernel reports it.",
        ("rmapwatch_reclaim_deactivated_pages_total",),
        taken="nr_taken",
        activated="nr_active",
        deactivated="nr_deactivated",
    ),
)

_TARGET = (
    ("SC_TARGET", "scan_control", "target_mem_cgroup"),
    ("MEMCG_CSS", "mem_cgroup", "css"),
    ("CSS_CGROUP", "cgroup_subsys_state", "cgroup"),
    ("CGROUP_KN", "cgroup", "kn"),
    ("KN_ID", "kernfs_node", "id"),
)
"""From a batch's control to the number of the cgroup that reclaim is for, step by step."""

MEMBERS = (
    *(Member(f"AT_{name.upper()}", (("reclaim_stat", name),)) for name in (*STATS, "nr_activate")),
    *(Member(name, ((struct, member),)) for name, struct, member in _TARGET),
    Member("TASK_MM", (("task_struct", "mm"),)),
)

DATA_SYMBOLS = ("khugepaged_thread",)

DEFINES = ("VM_LOCKED", "MEMCG_RECLAIM_PROACTIVE")

REFERENCES_ENUMS = ("folio_references", "page_references")
"""Where the kernel names the decisions; the newest have no RECLAIM_CLEAN among them."""

BITS = (
    Bit("PG_ACTIVE", "pageflags", "PG_active"),
    Bit("PG_MLOCKED", "pageflags", "PG_mlocked"),
    Bit("PG_REFERENCED", "pageflags", "PG_referenced"),
    *(Bit(f"LIST_{name.upper()}", "lru_list", f"LRU_{name.upper()}") for name in LISTS),
)
