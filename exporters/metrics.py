"""
THE catalogue of metrics: each once, with its labels, its source in the kernel and in a Sample.

From it come the page that is scraped, docs/metrics.md and the dashboard. Names follow Prometheus:
one prefix, base units, `_total` for what only grows.
"""

from __future__ import annotations

from . import fork, memory, own
from .figures import (
    COUNTS,
    DURATIONS,
    Each,
    Slots,
    Split,
)
from .metric import COUNTER, HISTOGRAM, Metric

_WALKS = "rmap_walk_anon, rmap_walk_file, rmap_walk_ksm in mm/rmap.c and mm/ksm.c"
_BATCH = "shrink_folio_list (shrink_page_list) and its struct reclaim_stat"
_RECLAIM = "balance_pgdat, try_to_free_pages, try_to_free_mem_cgroup_pages"


WALKS = (
    Metric(
        "rmapwatch_walks_total",
        COUNTER,
        ("op", "kind"),
        "Reverse-map walks that ended, by what for and over which kind of mapping.",
        _WALKS,
        Each("walks", "walks"),
        "Walks",
        "Reverse-map walks",
    ),
    Metric(
        "rmapwatch_walk_duration_seconds",
        HISTOGRAM,
        ("op", "kind"),
        "Wall time of a reverse-map walk, time off the CPU included.",
        _WALKS,
        Slots("walks", "ns_slots", "ns", DURATIONS),
        "Walks",
        "Duration of a walk",
    ),
    Metric(
        "rmapwatch_walk_vmas",
        HISTOGRAM,
        ("op", "kind"),
        "VMAs that a walk entered, of walks for which all callbacks are watched and, where the "
        "governor samples, that it takes; how many it takes is rmapwatch_step_sampling_ratio.",
        "calls of rwc->rmap_one",
        Slots("walks", "vmas_slots", "vmas", COUNTS),
        "Walks",
        "VMAs a walk entered",
    ),
    Metric(
        "rmapwatch_walk_ptes",
        HISTOGRAM,
        ("op", "kind"),
        "Page table entries that a walk found, changed or restored.",
        "mapcount of the folio before and after",
        Slots("walks", "ptes_slots", "ptes", COUNTS),
        "Walks",
        "Page table entries a walk found",
    ),
    Metric(
        "rmapwatch_walk_vmas_looked_at_total",
        COUNTER,
        ("op", "kind"),
        "VMAs that walks looked at, of use or not; only where --steps asked for it, and of the "
        "walks that the governor takes: rmapwatch_step_sampling_ratio.",
        "anon_vma_interval_tree_iter_first, _next (anon_rmap_tree_iter_first, _next)",
        Each("walks", "looked_at"),
        "Walks",
        "VMAs looked at",
    ),
    Metric(
        "rmapwatch_walk_lock_bailouts_total",
        COUNTER,
        ("op", "kind"),
        "Walks that gave up because the lock was taken; only reference walks can.",
        "rwc->contended",
        Each("walks", "bailouts", {"op": "reference"}),
        "Walks",
        "Walks that gave up on a lock",
    ),
)

REFERENCES = (
    Metric(
        "rmapwatch_reference_checks_total",
        COUNTER,
        ("lru", "decision"),
        "Reference checks of reclaim by their decision, as seen by what became of the folio.",
        "folio_check_references (page_check_references)",
        Each("decisions"),
        "Reference checks",
        "Decisions of the reference check",
    ),
    Metric(
        "rmapwatch_reference_results_total",
        COUNTER,
        ("asked_by", "lru", "result"),
        "Reference checks by how many VMAs had used the folio.",
        "return value of folio_referenced (page_referenced)",
        Each("references"),
        "Reference checks",
        "Results of the reference check",
    ),
)

RECLAIM = (
    Metric(
        "rmapwatch_reclaim_pages_total",
        COUNTER,
        ("caller", "reclaimer", "outcome"),
        "Base pages that reclaim looked at, by what became of them: "
        "reclaimed, activated, or kept because they were referenced.",
        _BATCH,
        Split(
            "batches",
            {"reclaimed": "reclaimed", "activated": "activated.*", "kept": "stats.nr_ref_keep"},
        ),
        "Reclaim",
        "Pages by outcome",
    ),
    Metric(
        "rmapwatch_reclaim_obstacles_total",
        COUNTER,
        ("caller", "reclaimer", "obstacle"),
        "Base pages at which reclaim met an obstacle; one page may meet several.",
        _BATCH,
        Split(
            "batches",
            {
                "dirty": "stats.nr_dirty",
                "unqueued_dirty": "stats.nr_unqueued_dirty",
                "writeback": "stats.nr_writeback",
                "immediate": "stats.nr_immediate",
                "unmap_failed": "stats.nr_unmap_fail",
                "lazyfree_failed": "stats.nr_lazyfree_fail",
            },
        ),
        "Reclaim",
        "Pages by obstacle",
    ),
    Metric(
        "rmapwatch_reclaim_batch_duration_seconds",
        HISTOGRAM,
        ("caller",),
        "Wall time of a batch of reclaim, time off the CPU included.",
        _BATCH,
        Slots("batches", "ns_slots", "ns", DURATIONS),
        "Reclaim",
        "Duration of a batch",
    ),
    Metric(
        "rmapwatch_reclaim_stall_duration_seconds",
        HISTOGRAM,
        ("reclaimer",),
        "Wall time of a call for memory: how long kswapd was busy, or a task had to wait.",
        _RECLAIM,
        Slots("stalls", "ns_slots", "ns", DURATIONS),
        "Reclaim",
        "Duration of a call for memory",
    ),
    Metric(
        "rmapwatch_reclaim_isolated_pages_total",
        COUNTER,
        ("algorithm", "list", "figure"),
        "Base pages that were scanned to be taken off a list, and those of them that were taken.",
        "event vmscan:mm_vmscan_lru_isolate",
        Split("isolations", {"scanned": "scanned", "taken": "taken"}),
        "Reclaim",
        "Pages isolated",
    ),
    Metric(
        "rmapwatch_reclaim_shrunk_pages_total",
        COUNTER,
        ("algorithm", "figure"),
        "Base pages scanned for the lists that were shrunk, and those of them that were reclaimed.",
        "event vmscan:mm_vmscan_lru_shrink_inactive",
        Split("shrunk", {"scanned": "scanned", "reclaimed": "reclaimed"}),
        "Reclaim",
        "Pages of shrunk lists",
    ),
    Metric(
        "rmapwatch_reclaim_deactivated_pages_total",
        COUNTER,
        ("figure",),
        "Base pages taken off active lists; those of them put back, and those made inactive.",
        "event vmscan:mm_vmscan_lru_shrink_active",
        Split(
            "deactivation",
            {"taken": "taken", "activated": "activated", "deactivated": "deactivated"},
        ),
        "Reclaim",
        "Pages of active lists",
    ),
    Metric(
        "rmapwatch_reclaim_ageing_duration_seconds",
        HISTOGRAM,
        ("ager",),
        "Wall time of a call that makes pages older, time off the CPU included.",
        "shrink_active_list, try_to_inc_max_seq",
        Slots("ages", "ns_slots", "ns", DURATIONS),
        "Reclaim",
        "Duration of ageing",
    ),
    Metric(
        "rmapwatch_reclaim_contradictions_total",
        COUNTER,
        ("contradiction",),
        "Batches in which what the probes saw contradicts the kernel's own account of it.",
        _BATCH,
        Split(
            "batches",
            {
                "keep_differs": "keep_differs",
                "activate_exceeds": "activate_exceeds",
                "reclaimed_exceeds": "reclaimed_exceeds",
            },
        ),
        "Reclaim",
        "Batches that contradict themselves",
    ),
)

METRICS: tuple[Metric, ...] = (
    *WALKS,
    *REFERENCES,
    *RECLAIM,
    *memory.KSM,
    *memory.FAILURES,
    *memory.MIGRATION,
    *memory.LOCKS,
    *fork.FORKS,
    *fork.COW,
    *own.PROBES,
)
