"""
THE table of kernel differences.

A row says what changed upstream and how to see it in a kernel's facts. `since` is documentation
and is never compared: distributions carry changes back, so the kernel is asked, not its version.
No other module of the product mentions a kernel version.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .facts import KernelFacts, Wanted


@dataclass(frozen=True)
class SeenBy:
    """How to see a change: the facts that are needed, and the question to put to them."""

    wanted: Wanted
    holds: Callable[[KernelFacts], bool]

    def __call__(self, facts: KernelFacts) -> bool:
        """Return whether the kernel of `facts` has the change."""
        return self.holds(facts)


@dataclass(frozen=True)
class Change:
    """
    One upstream change: its key here, its commit (12 hex digits; "" where the id that it was merged
    under could not be confirmed) and subject, the release that first had it, and the predicate on
    `KernelFacts` that tells whether a kernel has it.
    """

    key: str
    commit: str
    subject: str
    since: str
    seen_by: SeenBy


def has_function(name: str) -> SeenBy:
    """The kernel lists `name` as traceable."""
    return SeenBy(Wanted(functions=frozenset({name})), lambda facts: facts.traceable(name))


def has_member(struct: str, member: str) -> SeenBy:
    """BTF has `member` in `struct`."""
    return SeenBy(
        Wanted(structs=frozenset({struct})), lambda facts: facts.offset(struct, member) is not None
    )


def has_enumerator(enum: str, name: str) -> SeenBy:
    """BTF has `name` in `enum`."""
    return SeenBy(Wanted(enums=frozenset({enum})), lambda facts: name in facts.enums.get(enum, {}))


def has_file(path: str) -> SeenBy:
    """The control file `path` exists."""
    return SeenBy(Wanted(files=frozenset({path})), lambda facts: path in facts.files)


def has_param(function: str, position: int, type_text: str) -> SeenBy:
    """The BTF prototype of `function` has a parameter of this type at `position`."""

    def seen(facts: KernelFacts) -> bool:
        found = facts.functions.get(function)
        params = found.params if found is not None else None
        return params is not None and len(params) > position and params[position][1] == type_text

    return SeenBy(Wanted(functions=frozenset({function})), seen)


def has_return(function: str, type_text: str) -> SeenBy:
    """The BTF prototype of `function` returns this type."""

    def seen(facts: KernelFacts) -> bool:
        found = facts.functions.get(function)
        return found is not None and found.returns == type_text

    return SeenBy(Wanted(functions=frozenset({function})), seen)


def both(one: SeenBy, other: SeenBy) -> SeenBy:
    """Both predicates hold."""
    return SeenBy(one.wanted | other.wanted, lambda facts: one(facts) and other(facts))


def either(one: SeenBy, other: SeenBy) -> SeenBy:
    """One of the predicates holds, or both: a static function may be inlined."""
    return SeenBy(one.wanted | other.wanted, lambda facts: one(facts) or other(facts))


def lacks(seen_by: SeenBy) -> SeenBy:
    """The predicate does not hold: what the change removed is gone."""
    return SeenBy(seen_by.wanted, lambda facts: not seen_by(facts))


def every_kernel() -> SeenBy:
    """Older than BTF, so every kernel that can be attached to has it."""
    return SeenBy(Wanted(), lambda facts: True)


@dataclass(frozen=True)
class Defined:
    """A constant that the kernel only defines, so that no BTF tells it: its value and header."""

    value: int
    header: str


DEFINED = {
    "VM_LOCKED": Defined(1 << 13, "include/linux/mm.h"),
    "MEMCG_RECLAIM_PROACTIVE": Defined(1 << 2, "include/linux/swap.h"),
    "STABLE_FLAG": Defined(0x200, "mm/ksm.c"),
    "PAGE_MAPPING_KSM": Defined(3, "include/linux/page-flags.h"),
    "PTE_PFN_MASK": Defined((1 << 52) - (1 << 12), "arch/x86/include/asm/pgtable_types.h"),
    "BUS_MCEERR_AR": Defined(4, "include/uapi/asm-generic/siginfo.h"),
    "BUS_MCEERR_AO": Defined(5, "include/uapi/asm-generic/siginfo.h"),
    "VM_SHARED": Defined(1 << 3, "include/linux/mm.h"),
    "PAGE_PRESENT": Defined(1 << 0, "_PAGE_PRESENT of arch/x86/include/asm/pgtable_types.h"),
    "PAGE_RW": Defined(1 << 1, "_PAGE_RW of arch/x86/include/asm/pgtable_types.h"),
    "CLONE_VM": Defined(1 << 8, "include/uapi/linux/sched.h"),
    "NR_MM_COUNTERS": Defined(4, "include/linux/mm_types_task.h"),
    "ENOMEM": Defined(12, "include/uapi/asm-generic/errno-base.h"),
    "EAGAIN": Defined(11, "include/uapi/asm-generic/errno-base.h"),
}


def table(rows: Iterable[Change]) -> dict[str, Change]:
    """Index rows by key; a key that stands twice is an error of the table."""
    indexed: dict[str, Change] = {}
    for row in rows:
        if row.key in indexed:
            raise ValueError(f"change {row.key!r} stands twice")
        indexed[row.key] = row
    return indexed


# Both functions are static: where they are inlined, what came a little later tells.
KILLS_ACCESSING_PROCESS = either(
    has_function("kill_accessing_process"), has_enumerator("mf_flags", "MF_UNPOISON")
)
COLLECTS_KSM = either(has_function("collect_procs_ksm"), has_file("/sys/kernel/mm/ksm/smart_scan"))

CHANGES = table(
    (
        Change(
            "folio_referenced",
            commit="b3ac04132c4b",
            subject="mm/rmap: Turn page_referenced() into folio_referenced()",
            since="v5.18",
            seen_by=has_function("folio_referenced"),
        ),
        Change(
            "shrink_folio_list",
            commit="49fd9b6df54e",
            subject="mm/vmscan: fix a lot of comments",
            since="v6.1",
            seen_by=has_function("shrink_folio_list"),
        ),
        Change(
            "memcg rstat",
            commit="",
            subject="mm: memcontrol: switch to rstat",
            since="v5.13",
            seen_by=has_function("mem_cgroup_css_rstat_flush"),
        ),
        Change(
            "try_to_migrate",
            commit="a98a2f0c8ce1",
            subject="mm/rmap: split migration into its own function",
            since="v5.14",
            seen_by=has_function("try_to_migrate"),
        ),
        Change(
            "__rmap_walk_file",
            commit="",
            subject="mm: refactor rmap_walk_file() to separate out traversal logic",
            since="after v6.12",
            seen_by=has_function("__rmap_walk_file"),
        ),
        Change(
            "try_to_unmap_poisoned_hugetlb_one",
            commit="",
            subject="mm/rmap: add try_to_unmap_poisoned_hugetlb_one",
            since="after v6.12",
            seen_by=has_function("try_to_unmap_poisoned_hugetlb_one"),
        ),
        Change(
            "ksm_walk_by_index",
            commit="",
            subject="rmap_walk_ksm() searches an anon_vma's tree for the page's own index alone",
            since="v7.0 or later",
            seen_by=has_member("ksm_rmap_item", "linear_page_index"),
        ),
        # What follows alters meaning, and is applied in `semantics.py`. Where a change leaves no
        # trace of its own, a neighbour of the same release is asked, and the row says so.
        Change(
            "ksm",
            commit="31dbd01f3143",
            subject="ksm: Kernel SamePage Merging",
            since="v2.6.32",
            seen_by=every_kernel(),
        ),
        Change(
            "memory_failure",
            commit="6a46079cf57a",
            subject="HWPOISON: The high level memory error handler in the VM v7",
            since="v2.6.32",
            seen_by=every_kernel(),
        ),
        Change(
            "hwpoison_injectors",
            commit="db16826367fe",
            subject="Merge branch 'hwpoison' of git://git.kernel.org/pub/scm/linux/kernel/git/ak/"
            "linux-mce-2.6",
            since="v2.6.32",
            seen_by=every_kernel(),
        ),
        Change(
            "page_dup_rmap_plain",
            commit="21333b2b66b8",
            subject="ksm: no debug in page_dup_rmap()",
            since="v2.6.32",
            seen_by=every_kernel(),
        ),
        Change(
            "page_mapping_flags",
            commit="3ca7b3c5b64d",
            subject="mm: define PAGE_MAPPING_FLAGS",
            since="v2.6.33",
            seen_by=every_kernel(),
        ),
        Change(
            "ksm_swappable",
            commit="5ad6468801d2",
            subject="ksm: let shared pages be swappable",
            since="v2.6.33",
            seen_by=every_kernel(),
        ),
        Change(
            "ksm_anon_vma",
            commit="db114b83ab60",
            subject="ksm: hold anon_vma in rmap_item",
            since="v2.6.33",
            seen_by=every_kernel(),
        ),
        Change(
            "ksm_migration",
            commit="e9995ef978a7",
            subject="ksm: rmap_walk to remove_migation_ptes",
            since="v2.6.33",
            seen_by=every_kernel(),
        ),
        Change(
            "anon_vma_chains",
            commit="5beb49305251",
            subject="mm: change anon_vma linking to fix multi-process server scalability issue",
            since="v2.6.34",
            seen_by=has_member("anon_vma_chain", "same_vma"),
        ),
        Change(
            "do_wp_page_moves",
            commit="c44b674323f4",
            subject="rmap: move exclusively owned pages to own anon_vma in do_wp_page()",
            since="v2.6.34",
            seen_by=every_kernel(),
        ),
        Change(
            "used_once",
            commit="645747462435",
            subject="vmscan: detect mapped file pages used only once",
            since="v2.6.34",
            seen_by=every_kernel(),
        ),
        Change(
            "anon_vma_root",
            commit="",
            subject="ksm_might_need_to_copy() compares the roots of two anon_vmas",
            since="v2.6.36",
            seen_by=has_member("anon_vma", "root"),
        ),
        Change(
            "tmpfs_used_once",
            commit="2e30244a7cc1",
            subject="vmscan,tmpfs: treat used once pages on tmpfs as used once",
            since="v2.6.37",
            seen_by=every_kernel(),
        ),
        Change(
            "thp",
            commit="71e3aac0724f",
            subject="thp: transparent hugepage core",
            since="v2.6.38",
            seen_by=every_kernel(),
        ),
        Change(
            "shared_file_pages_activate",
            commit="34dbc67a644f",
            subject="vmscan: promote shared file mapped pages",
            since="v3.3",
            seen_by=every_kernel(),
        ),
        Change(
            "executable_pages_activate",
            commit="c909e99364c8",
            subject="vmscan: activate executable pages after first usage",
            since="v3.3",
            seen_by=every_kernel(),
        ),
        Change(
            "anon_interval_tree",
            commit="bf181b9f9d8d",
            subject="mm anon rmap: replace same_anon_vma linked list with an interval tree.",
            since="v3.7",
            seen_by=has_member("anon_vma_chain", "rb"),
        ),
        Change(
            "anon_vma_reuse",
            commit="7a3ef208e662",
            subject="mm: prevent endless growth of anon_vma hierarchy",
            since="v3.19",
            seen_by=has_member("anon_vma", "parent"),
        ),
        Change(
            "movable_mapping_bit",
            commit="bda807d44454",
            subject="mm: migrate: support non-lru movable page migration",
            since="v4.8",
            seen_by=every_kernel(),
        ),
        Change(
            "ksm_chains",
            commit="2c653d0ee2ae",
            subject="ksm: introduce ksm_max_page_sharing per page deduplication limit",
            since="v4.13",
            seen_by=has_file("/sys/kernel/mm/ksm/max_page_sharing"),
        ),
        Change(
            "anon_used_once",
            commit="b518154e59aa",
            subject="mm/vmscan: protect the workingset on anonymous LRU",
            since="v5.9",
            seen_by=has_enumerator("node_stat_item", "WORKINGSET_REFAULT_ANON"),
        ),
        Change(
            "cow_by_page_count",
            commit="09854ba94c6a",
            subject="mm: do_wp_page() simplification",
            since="v5.9",
            # No trace of its own; WORKINGSET_REFAULT_ANON came with the same release.
            seen_by=has_enumerator("node_stat_item", "WORKINGSET_REFAULT_ANON"),
        ),
        Change(
            "free_page_off_buddy",
            commit="a8b2c2ce89d4",
            subject="mm,hwpoison: take free pages off the buddy freelists",
            since="v5.11",
            seen_by=lacks(has_enumerator("mf_action_page_type", "MF_MSG_BUDDY_2ND")),
        ),
        Change(
            "action_required_and_early_kill",
            commit="30c9cf492704",
            subject="mm,hwpoison: send SIGBUS to PF_MCE_EARLY processes on action required events",
            since="v5.13",
            # No trace of its own; kill_accessing_process() came one release later.
            seen_by=KILLS_ACCESSING_PROCESS,
        ),
        Change(
            "poisoned_again_is_an_error",
            commit="47af12bae17f",
            subject="mm,hwpoison: return -EHWPOISON to denote that the page has already been "
            "poisoned",
            since="v5.13",
            # No trace of its own; kill_accessing_process() came one release later.
            seen_by=KILLS_ACCESSING_PROCESS,
        ),
        Change(
            "mremap_dontunmap_unlinks",
            commit="",
            subject="mm: mremap: unlink anon_vmas when mremap with MREMAP_DONTUNMAP success",
            since="v5.13",
            # No trace of its own; kill_accessing_process() came one release later.
            seen_by=KILLS_ACCESSING_PROCESS,
        ),
        Change(
            "kill_accessing_process",
            commit="a3f5d80ea401",
            subject="mm,hwpoison: send SIGBUS with error virutal address",
            since="v5.14",
            seen_by=KILLS_ACCESSING_PROCESS,
        ),
        Change(
            "unmap_failure_kills",
            commit="",
            subject="hwpoison_user_mappings() kills when it could not unmap, for a clean page too",
            since="after v5.10",
            # No trace of its own; kill_accessing_process() is as young.
            seen_by=KILLS_ACCESSING_PROCESS,
        ),
        Change(
            "unhandlable_pages_ignored",
            commit="",
            subject="get_hwpoison_page() refuses pages that it cannot handle",
            since="v5.14",
            # No trace of its own; kill_accessing_process() came with the same release.
            seen_by=KILLS_ACCESSING_PROCESS,
        ),
        Change(
            "locked_pages_activate",
            commit="",
            subject="mm/thp: shrink_page_list() avoid splitting VM_LOCKED THP",
            since="v5.18",
            # folio_referenced_one() can restore a missed mlock since mlock_folio() exists.
            seen_by=has_function("mlock_folio"),
        ),
        Change(
            "rmap_try_lock",
            commit="6d4675e60135",
            subject="mm: don't be stuck to rmap lock on reclaim path",
            since="v5.19",
            seen_by=has_member("rmap_walk_control", "try_lock"),
        ),
        Change(
            "anon_exclusive",
            commit="6c287605fd56",
            subject="mm: remember exclusively mapped anonymous pages with PG_anon_exclusive",
            since="v5.19",
            seen_by=has_enumerator("pageflags", "PG_anon_exclusive"),
        ),
        Change(
            "anon_vma_active_vmas",
            commit="2555283eb40d",
            subject="mm/rmap: Fix anon_vma->degree ambiguity leading to double-reuse",
            since="v6.0",
            seen_by=has_member("anon_vma", "num_active_vmas"),
        ),
        Change(
            "unpoison_refused",
            commit="67f22ba7750f",
            subject="mm/memory-failure: disable unpoison once hw error happens",
            since="v6.0",
            seen_by=has_enumerator("mf_flags", "MF_SW_SIMULATED"),
        ),
        Change(
            "mglru",
            commit="018ee47f1489",
            subject="mm: multi-gen LRU: exploit locality in rmap",
            since="v6.1",
            seen_by=has_function("lru_gen_look_around"),
        ),
        Change(
            "page_double_map_gone",
            commit="cb67f4282bf9",
            subject="mm,thp,rmap: simplify compound page mapcount handling",
            since="v6.2",
            seen_by=lacks(has_enumerator("pageflags", "PG_double_map")),
        ),
        Change(
            "ksm_copy_poisoned",
            commit="6b970599e807",
            subject="mm: hwpoison: support recovery from ksm_might_need_to_copy()",
            since="v6.2",
            # No trace of its own; the next release but one let memory_failure() handle KSM.
            seen_by=COLLECTS_KSM,
        ),
        Change(
            "vma_has_recency",
            commit="8788f6781486",
            subject="mm: add vma_has_recency()",
            since="v6.3",
            # Inlined everywhere; struct lru_gen_struct got its new name in the same release.
            seen_by=has_member("lru_gen_folio", "max_seq"),
        ),
        Change(
            "hwpoison_ksm",
            commit="4248d0083ec5",
            subject="mm: ksm: support hwpoison for ksm page",
            since="v6.4",
            seen_by=COLLECTS_KSM,
        ),
        Change(
            "ksm_smart_scan",
            commit="5e924ff54d08",
            subject='mm/ksm: add "smart" page scanning mode',
            since="v6.7",
            seen_by=has_file("/sys/kernel/mm/ksm/smart_scan"),
        ),
        Change(
            "locked_large_folios",
            commit="1acbc3f93614",
            subject="mm: handle large folio when large folio in VM_LOCKED VMA range",
            since="v6.7",
            # No trace of its own; KSM's smart scan came with the same release.
            seen_by=has_file("/sys/kernel/mm/ksm/smart_scan"),
        ),
        Change(
            "folio_move_anon_rmap",
            commit="",
            subject="mm/rmap: convert page_move_anon_rmap() to folio_move_anon_rmap()",
            since="v6.7",
            seen_by=has_function("folio_move_anon_rmap"),
        ),
        Change(
            "large_folios_not_reused",
            commit="",
            subject="do_wp_page() copies every large folio",
            since="v6.8",
            # wp_can_reuse_anon_folio() is inlined; the folio rmap functions came with it.
            seen_by=has_function("folio_move_anon_rmap"),
        ),
        Change(
            "pageout_ignores_references",
            commit="2864f3d0f583",
            subject="mm: madvise: pageout: ignore references rather than clearing young",
            since="v6.9",
            # No trace of its own; the next release got the mapcount of large folios.
            seen_by=has_member("folio", "_large_mapcount"),
        ),
        Change(
            "large_mapcount",
            commit="05c5323b2a34",
            subject="mm: track mapcount of large folios in single value",
            since="v6.10",
            seen_by=has_member("folio", "_large_mapcount"),
        ),
        Change(
            "ksm_copy_large_same",
            commit="",
            subject="ksm_might_need_to_copy() returns a large folio as it is",
            since="after v6.1",
            # No trace of its own; the mapcount of large folios is as young.
            seen_by=has_member("folio", "_large_mapcount"),
        ),
        Change(
            "ksm_checksum_first",
            commit="d58a361b0350",
            subject="mm/ksm: don't waste time searching stable tree for fast changing page",
            since="v6.11",
            # No trace of its own; MF_MSG_ALREADY_POISONED came with the same release.
            seen_by=has_enumerator("mf_action_page_type", "MF_MSG_ALREADY_POISONED"),
        ),
        Change(
            "unsplit_thp_kills",
            commit="1a3798dececa",
            subject="mm/memory-failure: send SIGBUS in the event of thp split fail",
            since="v6.11",
            # No trace of its own; MF_MSG_ALREADY_POISONED came with the same series.
            seen_by=has_enumerator("mf_action_page_type", "MF_MSG_ALREADY_POISONED"),
        ),
        Change(
            "already_poisoned_event",
            commit="b8b9488d50b7",
            subject="mm/memory-failure: improve memory failure action_result messages",
            since="v6.11",
            seen_by=has_enumerator("mf_action_page_type", "MF_MSG_ALREADY_POISONED"),
        ),
        Change(
            "madvise_action_required",
            commit="66802526298e",
            subject="mm/madvise: add MF_ACTION_REQUIRED to madvise(MADV_HWPOISON)",
            since="v6.11",
            # No trace of its own; MF_MSG_ALREADY_POISONED came with the same series.
            seen_by=has_enumerator("mf_action_page_type", "MF_MSG_ALREADY_POISONED"),
        ),
        Change(
            "unmap_failure_sigbus",
            commit="aa298fdf535d",
            subject="mm/memory-failure: try to send SIGBUS even if unmap failed",
            since="v6.11",
            seen_by=has_enumerator("mf_action_page_type", "MF_MSG_ALREADY_POISONED"),
        ),
        Change(
            "exiting_owner_skipped",
            commit="c495b97624d0",
            subject="mm: shrink skip folio mapped by an exiting process",
            since="v6.12",
            # No trace of its own; lru_gen_look_around() got its result in the same release.
            seen_by=has_return("lru_gen_look_around", "bool"),
        ),
        Change(
            "look_around_clears",
            commit="1d4832becdc2",
            subject="mm: multi-gen LRU: use {ptep,pmdp}_clear_young_notify()",
            since="v6.12",
            seen_by=has_return("lru_gen_look_around", "bool"),
        ),
        Change(
            "mglru_set_refs",
            commit="4d5d14a01e2c",
            subject="mm/mglru: rework workingset protection",
            since="v6.14",
            # The function is static; the mm ids came one release later.
            seen_by=either(has_function("lru_gen_set_refs"), has_member("folio", "_mm_ids")),
        ),
        Change(
            "mm_ids",
            commit="6af8cb80d3a9",
            subject="mm/rmap: basic MM owner tracking for large folios (!hugetlb)",
            since="v6.15",
            seen_by=has_member("folio", "_mm_ids"),
        ),
        Change(
            "large_folios_reused",
            commit="1da190f4d0a6",
            subject="mm: Copy-on-Write (COW) reuse support for PTE-mapped THP",
            since="v6.15",
            # do_wp_page() asks the mm ids, which came with the same series.
            seen_by=has_member("folio", "_mm_ids"),
        ),
        Change(
            "movable_page_flag",
            commit="",
            subject='mm: convert "movable" flag in page->mapping to a page flag',
            since="v6.17",
            seen_by=has_enumerator("pageflags", "PG_movable_ops"),
        ),
        Change(
            "folio_referenced_locks",
            commit="",
            subject="folio_referenced() takes the lock of every folio, anonymous ones too",
            since="v6.18 or later",
            # No trace of its own; the separate anon page offset is as young.
            seen_by=has_member("vm_area_struct", "__vm_anon_pgoff_lo"),
        ),
        Change(
            "reclaim_clean_gone",
            commit="",
            subject="mm: vmscan: remove the redundant FOLIOREF_RECLAIM_CLEAN logic",
            since="v6.19 or later",
            seen_by=both(
                has_enumerator("folio_references", "FOLIOREF_KEEP"),
                lacks(has_enumerator("folio_references", "FOLIOREF_RECLAIM_CLEAN")),
            ),
        ),
        Change(
            "kernel_pages_named",
            commit="",
            subject="memory_failure() reports kernel-owned pages as kernel pages",
            since="v7.0 or later",
            # No trace of its own; MF_MSG_PFN_MAP is as young.
            seen_by=has_enumerator("mf_action_page_type", "MF_MSG_PFN_MAP"),
        ),
        Change(
            "memory_failure_pfn_map",
            commit="",
            subject="memory_failure() handles frames without a struct page",
            since="v7.0 or later",
            seen_by=has_enumerator("mf_action_page_type", "MF_MSG_PFN_MAP"),
        ),
        Change(
            "anon_pgoff",
            commit="",
            subject="a VMA keeps a page offset of its own for anonymous pages",
            since="v7.0 or later",
            seen_by=has_member("vm_area_struct", "__vm_anon_pgoff_lo"),
        ),
    )
)

WANTED = functools.reduce(operator.or_, (change.seen_by.wanted for change in CHANGES.values()))
"""The facts that all rows together need."""
