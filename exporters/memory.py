"""The metrics of KSM, memory failures, migration and locks: a part of those in `metrics`."""

from __future__ import annotations

from .figures import DURATIONS, Each, Slots, Split
from .metric import COUNTER, HISTOGRAM, Metric

KSM = (
    Metric(
        "rmapwatch_ksm_pages_total",
        COUNTER,
        ("event",),
        "Mergeable pages that became a KSM page, joined one, failed to, were let go, or copied.",
        "stable_tree_append, try_to_merge_with_ksm_page, remove_rmap_item_from_tree, do_wp_page",
        Each("ksm.pages"),
        "KSM",
        "Mergeable pages",
    ),
    Metric(
        "rmapwatch_ksm_scan_duration_seconds",
        HISTOGRAM,
        (),
        "Wall time of a pass of ksmd over all mergeable memory, its sleeps included.",
        "lru_add_drain_all as called by ksmd, and ksm:ksm_stop_scan",
        Slots("ksm.scans", "ns_slots", "ns", DURATIONS),
        "KSM",
        "Duration of a pass of ksmd",
    ),
    Metric(
        "rmapwatch_ksm_swapin_total",
        COUNTER,
        ("outcome",),
        "Pages swapped in: mapped as they are, copied, or neither.",
        "ksm_might_need_to_copy",
        Each("ksm.swapins"),
        "KSM",
        "Pages swapped in",
    ),
)

FAILURES = (
    Metric(
        "rmapwatch_memory_failure_total",
        COUNTER,
        ("page_type", "result"),
        "Memory failures that the kernel reported, by what the page was and what came of it.",
        "action_result",
        Each("failures.actions"),
        "Memory failures",
        "Memory failures",
    ),
    Metric(
        "rmapwatch_memory_failure_duration_seconds",
        HISTOGRAM,
        ("handler",),
        "Wall time of the handling of a failure, of a soft offline, or of finding who maps a page.",
        "memory_failure, soft_offline_page, collect_procs",
        Slots("failures.handled", "ns_slots", "ns", DURATIONS),
        "Memory failures",
        "Duration of the handling of a failure",
    ),
    Metric(
        "rmapwatch_memory_failure_errors_total",
        COUNTER,
        ("handler",),
        "Failures and soft offlines that could not be handled.",
        "what memory_failure and soft_offline_page returned",
        Each("failures.errors"),
        "Memory failures",
        "Handlers that returned an error",
    ),
    Metric(
        "rmapwatch_memory_failure_signals_total",
        COUNTER,
        ("signal", "code"),
        "Signals sent to processes that map a failed page, or touched it later.",
        "force_sig_mceerr, send_sig_mceerr",
        Each("failures.signals"),
        "Memory failures",
        "Signals to processes",
    ),
)

MIGRATION = (
    Metric(
        "rmapwatch_migration_duration_seconds",
        HISTOGRAM,
        ("reason",),
        "Wall time of a call that moves a list of folios, time off the CPU included.",
        "migrate_pages",
        Slots("migrations", "ns_slots", "ns", DURATIONS),
        "Migration",
        "Duration of a call to move pages",
    ),
    Metric(
        "rmapwatch_migrated_pages_total",
        COUNTER,
        ("reason", "outcome"),
        "Base pages that were to be moved, by whether they were.",
        "event migrate:mm_migrate_pages",
        Split("migrations", {"succeeded": "succeeded", "failed": "failed"}),
        "Migration",
        "Pages to be moved",
    ),
    Metric(
        "rmapwatch_migration_splits_total",
        COUNTER,
        ("reason",),
        "Huge pages that were split because they could not be moved as a whole.",
        "event migrate:mm_migrate_pages",
        Each("migrations", "split"),
        "Migration",
        "Huge pages split to be moved",
    ),
)

LOCKS = (
    Metric(
        "rmapwatch_rmap_lock_wait_seconds",
        HISTOGRAM,
        ("lock", "mode", "during"),
        "Wall time of a wait for the lock of an anon_vma or of a file's mappings; "
        "one that is free is not counted.",
        "rwsem_down_read_slowpath, rwsem_down_write_slowpath",
        Slots("lock_waits", "ns_slots", "ns", DURATIONS),
        "Locks",
        "Waits for the locks of the reverse map",
    ),
)
