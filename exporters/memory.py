"""The metrics of KSM and of memory failures: a part of the catalogue in `metrics`."""

from __future__ import annotations

from .figures import DURATIONS, Each, Slots
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
