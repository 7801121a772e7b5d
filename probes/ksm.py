"""
KSM (mm/ksm.c): what ksmd merges and lets go, what writes break, what swap-ins copy.

Scanning itself is inlined into ksmd's main loop. A pass begins where ksmd calls
`lru_add_drain_all`; its end is reported by kernels that have `ksm:ksm_stop_scan`. What ksmd
calls before it sleeps would tell it everywhere, but the scheduler calls that too, and attaching to
such a function while all CPUs run through it has crashed a 6.1 kernel. Writes to KSM pages are seen
with all others, in `cow`.
"""

from __future__ import annotations

from .spec import Member, ProbePoint, Source

THREAD = "ksmd"
"""The kernel thread that merges pages."""

PAGES = ("shared", "sharing", "failed", "removed", "cow")
"""
What happens to mergeable pages: the first of its kind became a KSM page, another one joined it,
an attempt failed, one left the stable tree, a write took a copy.
"""

SWAPINS = ("same", "copied", "no_memory", "poisoned")
"""What `ksm_might_need_to_copy` made of a page that was swapped in."""

WHAT = (*PAGES, "copied", "scanned")
"""What an event tells of: a page, as above, a copy on swap-in, or a pass of ksmd."""

_PAGES = ("rmapwatch_ksm_pages_total",)
_SCANS = ("rmapwatch_ksm_scan_duration_seconds",)


def _scan(name: str, summary: str, symbol: str, overhead: str) -> ProbePoint:
    return ProbePoint(
        name=f"ksm_{name}",
        summary=summary,
        kernel_source="mm/ksm.c",
        sources=(Source(symbol),),
        entry=f"ksm_{name}(&a)",
        metrics=_SCANS,
        overhead=overhead,
    )


POINTS = (
    _scan(
        "scan",
        "ksmd begins a pass over all mergeable memory.",
        "lru_add_drain_all",
        "One program per call, of whomever: a pass of ksmd makes one, and few others do.",
    ),
    _scan(
        "scan_end",
        "ksmd has been round all mergeable memory.",
        "ksm:ksm_stop_scan",
        "One program per pass.",
    ),
    ProbePoint(
        name="ksm_merge",
        summary="An attempt to merge a page into a KSM page, and whether it failed.",
        kernel_source="mm/ksm.c",
        sources=(Source("try_to_merge_with_ksm_page"),),
        exit="ksm_merge(&a)",
        metrics=_PAGES,
        overhead="One program per attempt.",
    ),
    ProbePoint(
        name="ksm_append",
        summary="A page is now merged: the first of its content, or one more.",
        kernel_source="mm/ksm.c",
        sources=(Source("stable_tree_append", {"node": 1}),),
        entry="ksm_append(&a)",
        metrics=_PAGES,
        overhead="One program per merged page.",
    ),
    ProbePoint(
        name="ksm_remove",
        summary="ksmd lets go of a page that it had put into one of its trees.",
        kernel_source="mm/ksm.c",
        sources=(Source("remove_rmap_item_from_tree", {"item": 0}),),
        section="remove",
        entry="ksm_remove_enter(&a)",
        exit="ksm_remove_exit(&a)",
        metrics=_PAGES,
        overhead="One pair of programs per page that ksmd scans and has not merged.",
    ),
    ProbePoint(
        name="ksm_remove_node",
        summary="A KSM page that is gone: all who shared it leave the stable tree.",
        kernel_source="mm/ksm.c",
        sources=(Source("remove_node_from_stable_tree", {"node": 0}),),
        entry="ksm_remove_node(&a)",
        metrics=_PAGES,
        overhead="One program per KSM page that is gone.",
    ),
    ProbePoint(
        name="ksm_swapin",
        summary="Can a page that was swapped in be mapped here as it is, or only a copy of it?",
        kernel_source="mm/ksm.c",
        sources=(Source("ksm_might_need_to_copy", {"folio": 0}),),
        exit="ksm_swapin(&a)",
        metrics=("rmapwatch_ksm_swapin_total",),
        overhead="One program per page that is swapped in.",
    ),
)

MEMBERS = (
    Member("ITEM_ADDRESS", (("ksm_rmap_item", "address"), ("rmap_item", "address"))),
    Member("NODE_ITEMS", (("ksm_stable_node", "hlist"), ("stable_node", "hlist"))),
    Member("NODE_PFN", (("ksm_stable_node", "kpfn"), ("stable_node", "kpfn"))),
    Member(
        "NODE_LENGTH", (("ksm_stable_node", "rmap_hlist_len"), ("stable_node", "rmap_hlist_len"))
    ),
)

DEFINES = ("STABLE_FLAG",)
