"""
Semantics: what the rules of reverse mapping and reclaim are on one kernel.

The argument of the reference model. Each field is one behaviour that changed, its values named
after what they mean; the oldest rules (v2.6.31) are the defaults. `TIMELINE` says which change
of `changes.py` sets which field, so a kernel's semantics is the fold of the changes that its
facts show, and the semantics before and after any commit is a cut through the same table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

from ..errors import RmapwatchError
from .changes import CHANGES
from .facts import KernelFacts, Wanted


class Linking(Enum):
    """How VMAs are linked to the anon_vma of the pages they may map (mm/rmap.c)."""

    SHARED = "one anon_vma shared by a process and all its descendants"
    CHAINS = "a chain of anon_vmas per VMA; each child adds one of its own"


class Reuse(Enum):
    """Which anon_vma of its parent's chain a child takes for its own (anon_vma_clone())."""

    NEVER = "always a new one"
    DEGREE = "the oldest with degree < 2, never the parent's own"
    ACTIVE_VMAS = "the oldest with no VMA of its own and fewer than two children"


class VmaOrder(Enum):
    """The order in which a walk meets the VMAs of an anon_vma."""

    LIST = "order of insertion"
    INTERVAL_TREE = "ascending first page offset; among equals, order of insertion"


class Cow(Enum):
    """When do_wp_page() reuses a private anonymous page, and whether it moves the page."""

    SWAP_COUNT = "mapcount and swap count say one user; the page keeps its anon_vma"
    SWAP_COUNT_MOVE = "mapcount and swap count say one user; the page moves to the own anon_vma"
    PAGE_COUNT = "one reference to the page; the page keeps its anon_vma"
    EXCLUSIVE = "PG_anon_exclusive, or one reference to the folio, which then moves"


class LargeReuse(Enum):
    """When do_wp_page() reuses a page of a large folio that is not marked exclusive."""

    ONE_REFERENCE = "as for a small folio"
    NEVER = "never"
    MM_IDS = "when the mm ids say that one mm owns every mapping and every reference"


class ExecActivates(Enum):
    """Whether one reference through an executable VMA activates a page."""

    NEVER = "no"
    ANY = "yes"
    FILE = "if the page is on the file LRU"


class LockedReference(Enum):
    """What a reference check decides when it met a VM_LOCKED VMA."""

    RECLAIM = "reclaim: try_to_unmap() will mlock the page and fail"
    ACTIVATE = "activate: the walk has mlocked the folio already"


class LockedLarge(Enum):
    """What a VM_LOCKED VMA means to the reference walk of a PTE-mapped large folio."""

    STOPS = "as for a small page: the walk stops"
    IGNORED = "nothing: its PTEs count as any others"
    WHOLE = "the walk stops if the VMA maps the whole folio, otherwise skips the VMA's PTEs"


class Mglru(Enum):
    """What the multi-generational LRU does with a young PTE and a referenced folio."""

    ABSENT = "no MGLRU"
    LOOK_AROUND_MARKS = "the look-around marks the folio itself referenced: activated at once"
    LOOK_AROUND_CLEARS = "the look-around leaves the folio unmarked: kept at first sight"
    SET_REFS = "lru_gen_set_refs() decides from PG_referenced, PG_workingset and LRU_REFS"


class MappingBits(Enum):
    """What the two low bits of page->mapping mean (include/linux/page-flags.h)."""

    ANON = "bit 0 anon; KSM is anon without a pointer"
    ANON_KSM = "bit 0 anon, bit 1 KSM, always with bit 0"
    ANON_MOVABLE = "bit 0 anon, bit 1 movable, both KSM"
    ANON_ANON_KSM = "bit 0 anon, both KSM; bit 1 alone is never valid"


class LargeMapcount(Enum):
    """Where the mapcount of a large folio is kept."""

    DOUBLE_MAP = "compound counter and a counter per page; both count what PG_double_map corrects"
    PER_PAGE = "compound counter and a counter per page"
    TOTAL = "one total beside the compound counter and the counters per page"
    MM_IDS = "as TOTAL, and a count for each of up to two mms"


class KsmWalk(Enum):
    """How the reverse map of a KSM page is walked (mm/ksm.c)."""

    NONE = "not at all: KSM pages are not swappable"
    ITEMS = "each rmap_item's own mm and address, nothing else"
    TWO_PASSES = "the VMAs of each rmap_item's anon_vma: first its own mm, then the others"


class KsmCopy(Enum):
    """When a swapped-in page is this VMA's own, so that it need not be copied."""

    NEVER_ASKED = "KSM pages are not swappable"
    ANON_VMA = "same anon_vma and index"
    ROOT = "same root anon_vma and index"


class KernelPage(Enum):
    """What memory_failure() reports for a page that belongs to the kernel."""

    FAILED = "its type; ignored, turned into failed by the references left"
    UNKNOWN = "unknown page, ignored (reserved by madvise: kernel)"
    GET_HWPOISON = "get hwpoison page, ignored (reserved by madvise: kernel)"
    KERNEL = "kernel page, ignored"


@dataclass(frozen=True)
class Semantics:
    """The rules of one kernel. The defaults are v2.6.31; `TIMELINE` names the commits."""

    # reclaim: page_check_references(), later folio_check_references() (mm/vmscan.c)
    used_once: bool = False  # a mapped file page must be found used twice to be activated
    anon_used_once: bool = False  # an anonymous page, too
    clean_only_file: bool = False  # RECLAIM_CLEAN is for the file LRU alone
    reclaim_clean: bool = True  # there is RECLAIM_CLEAN at all
    shared_activates: bool = False  # references through two VMAs activate at once
    exec_activates: ExecActivates = ExecActivates.NEVER
    locked: LockedReference = LockedReference.RECLAIM
    mglru: Mglru = Mglru.ABSENT
    pageout_ignores_references: bool = False  # MADV_PAGEOUT reclaims without the check
    # reclaim: the reference walk (mm/rmap.c)
    contended_walk_gives_up: bool = False  # a contended rmap lock ends the walk with -1
    exiting_owner_gives_up: bool = False  # so does a private folio of an exiting process
    recency_filter: bool = False  # VMAs read in sequence or at random are passed over
    locked_large: LockedLarge = LockedLarge.STOPS
    always_trylock: bool = False  # without the folio's lock, anonymous ones are not walked either
    # anon_vma and walks (mm/rmap.c)
    linking: Linking = Linking.SHARED
    reuse: Reuse = Reuse.NEVER
    order: VmaOrder = VmaOrder.LIST
    anon_pgoff: bool = False  # anonymous pages of a file mapping have an index of their own
    dontunmap_unlinks: bool = False  # MREMAP_DONTUNMAP unlinks the VMA left behind
    # copy on write (mm/memory.c)
    cow: Cow = Cow.SWAP_COUNT
    large_reuse: LargeReuse = LargeReuse.ONE_REFERENCE
    # KSM (mm/ksm.c)
    ksm: bool = False  # there is KSM
    ksm_walk: KsmWalk = KsmWalk.NONE
    ksm_migration: bool = False  # KSM pages can be migrated
    ksm_copy: KsmCopy = KsmCopy.NEVER_ASKED
    ksm_copy_poisoned: bool = False  # a poisoned source is an error, not a copy
    ksm_copy_large_same: bool = False  # a large folio is never copied
    ksm_chains: bool = False  # a stable node is full at max_page_sharing; more form a chain
    ksm_smart_scan: bool = False  # pages that do not merge are skipped
    ksm_checksum_first: bool = False  # an unknown checksum ends the search before the stable tree
    # page->mapping and mapcounts
    mapping_bits: MappingBits = MappingBits.ANON
    thp: bool = False  # there are huge pages without hugetlb
    large_mapcount: LargeMapcount = LargeMapcount.DOUBLE_MAP
    page_dup_rmap_checks: bool = True  # with CONFIG_DEBUG_VM, fork verifies anon_vma and index
    # memory failure (mm/memory-failure.c)
    memory_failure: bool = False  # there is memory_failure()
    hwpoison_injectors: bool = False  # and madvise and debugfs to call it
    buddy_recovered: bool = False  # a free page is taken out of the allocator
    poisoned_again_is_error: bool = False  # -EHWPOISON for a page poisoned before
    poisoned_again_event: bool = False  # and an event
    kill_accessing_process: bool = False  # and SIGBUS for who touched it
    kernel_page: KernelPage = KernelPage.FAILED
    hwpoison_ksm: bool = False  # KSM pages are unmapped, their owners told
    unsplit_thp_kills: bool = False  # owners of a THP that cannot be split are told
    unmap_failure_sigbus: bool = False  # a page that stays mapped means SIGBUS, not SIGKILL
    unmap_failure_kills: bool = False  # for a clean page too
    action_required_for_others: bool = False  # early kill holds beside action required
    madvise_action_required: bool = False  # MADV_HWPOISON acts as if it had read the page
    simulated_flag: bool = False  # injectors pass MF_SW_SIMULATED
    pfn_map: bool = False  # frames without a struct page are handled


@dataclass(frozen=True)
class Step:
    """A change of `changes.py` and the fields of `Semantics` that it sets."""

    change: str
    sets: Mapping[str, Any]


def _step(change: str, **sets: Any) -> Step:
    return Step(change, MappingProxyType(sets))


# In the order in which they went upstream.
TIMELINE: tuple[Step, ...] = (
    _step("ksm", ksm=True),
    _step("memory_failure", memory_failure=True),
    _step("hwpoison_injectors", hwpoison_injectors=True),
    _step("page_dup_rmap_plain", page_dup_rmap_checks=False),
    _step("page_mapping_flags", mapping_bits=MappingBits.ANON_KSM),
    _step("ksm_swappable", ksm_walk=KsmWalk.ITEMS, ksm_copy=KsmCopy.ANON_VMA),
    _step("ksm_anon_vma", ksm_walk=KsmWalk.TWO_PASSES),
    _step("ksm_migration", ksm_migration=True),
    _step("anon_vma_chains", linking=Linking.CHAINS),
    _step("do_wp_page_moves", cow=Cow.SWAP_COUNT_MOVE),
    _step("used_once", used_once=True),
    _step("anon_vma_root", ksm_copy=KsmCopy.ROOT),
    _step("tmpfs_used_once", clean_only_file=True),
    _step("thp", thp=True),
    _step("shared_file_pages_activate", shared_activates=True),
    _step("executable_pages_activate", exec_activates=ExecActivates.ANY),
    _step("anon_interval_tree", order=VmaOrder.INTERVAL_TREE),
    _step("anon_vma_reuse", reuse=Reuse.DEGREE),
    _step("movable_mapping_bit", mapping_bits=MappingBits.ANON_MOVABLE),
    _step("ksm_chains", ksm_chains=True),
    _step("anon_used_once", anon_used_once=True, exec_activates=ExecActivates.FILE),
    _step("cow_by_page_count", cow=Cow.PAGE_COUNT),
    _step("free_page_off_buddy", buddy_recovered=True),
    _step("action_required_and_early_kill", action_required_for_others=True),
    _step("poisoned_again_is_an_error", poisoned_again_is_error=True),
    _step("mremap_dontunmap_unlinks", dontunmap_unlinks=True),
    _step("kill_accessing_process", kill_accessing_process=True),
    _step("unmap_failure_kills", unmap_failure_kills=True),
    _step("unhandlable_pages_ignored", kernel_page=KernelPage.UNKNOWN),
    _step(
        "locked_pages_activate",
        locked=LockedReference.ACTIVATE,
        locked_large=LockedLarge.IGNORED,
    ),
    _step("rmap_try_lock", contended_walk_gives_up=True),
    _step("anon_exclusive", cow=Cow.EXCLUSIVE),
    _step("anon_vma_active_vmas", reuse=Reuse.ACTIVE_VMAS),
    _step("unpoison_refused", simulated_flag=True),
    _step("mglru", mglru=Mglru.LOOK_AROUND_MARKS),
    _step("page_double_map_gone", large_mapcount=LargeMapcount.PER_PAGE),
    _step("ksm_copy_poisoned", ksm_copy_poisoned=True),
    _step("vma_has_recency", recency_filter=True),
    _step("hwpoison_ksm", hwpoison_ksm=True),
    _step("ksm_smart_scan", ksm_smart_scan=True),
    _step("locked_large_folios", locked_large=LockedLarge.WHOLE),
    _step("large_folios_not_reused", large_reuse=LargeReuse.NEVER),
    _step("pageout_ignores_references", pageout_ignores_references=True),
    _step("large_mapcount", large_mapcount=LargeMapcount.TOTAL),
    _step("ksm_copy_large_same", ksm_copy_large_same=True),
    _step("ksm_checksum_first", ksm_checksum_first=True),
    _step("unsplit_thp_kills", unsplit_thp_kills=True),
    _step("already_poisoned_event", poisoned_again_event=True, kernel_page=KernelPage.GET_HWPOISON),
    _step("madvise_action_required", madvise_action_required=True),
    _step("unmap_failure_sigbus", unmap_failure_sigbus=True),
    _step("exiting_owner_skipped", exiting_owner_gives_up=True),
    _step("look_around_clears", mglru=Mglru.LOOK_AROUND_CLEARS),
    _step("mglru_set_refs", mglru=Mglru.SET_REFS),
    _step("mm_ids", large_mapcount=LargeMapcount.MM_IDS),
    _step("large_folios_reused", large_reuse=LargeReuse.MM_IDS),
    _step("movable_page_flag", mapping_bits=MappingBits.ANON_ANON_KSM),
    _step("folio_referenced_locks", always_trylock=True),
    _step("reclaim_clean_gone", reclaim_clean=False),
    _step("kernel_pages_named", kernel_page=KernelPage.KERNEL),
    _step("memory_failure_pfn_map", pfn_map=True),
    _step("anon_pgoff", anon_pgoff=True),
)


# What every kernel has, and facts show that were asked enough.
ALWAYS_THERE = Wanted(
    structs=frozenset({"anon_vma", "anon_vma_chain", "rmap_walk_control", "vm_area_struct"}),
    enums=frozenset({"node_stat_item", "pageflags"}),
)


def fold(changes: Iterable[str]) -> Semantics:
    """Return the semantics of a kernel that has exactly these changes, keys of `CHANGES`."""
    wanted = set(changes)
    result = Semantics()
    for step in TIMELINE:
        if step.change in wanted:
            result = dataclasses.replace(result, **step.sets)
    return result


def changes_of(facts: KernelFacts) -> frozenset[str]:
    """
    Return the keys of the changes that the kernel with these facts has.

    RmapwatchError if they were recorded before all was asked that is needed here: what is missing
    in facts reads as absent in the kernel, and would be a wrong answer without a word.
    """
    missing = sorted(ALWAYS_THERE.structs - set(facts.structs))
    missing += sorted(ALWAYS_THERE.enums - set(facts.enums))
    if missing:
        raise RmapwatchError(
            f"the facts of {facts.release}",
            f"they do not tell of {', '.join(missing)}, which every kernel has",
            "record the facts of this kernel again",
        )
    return frozenset(key for key, change in CHANGES.items() if change.seen_by(facts))


def semantics_of(facts: KernelFacts) -> Semantics:
    """Return the semantics of the kernel with these facts; raises as `changes_of`."""
    return fold(changes_of(facts))


def before(change: str) -> Semantics:
    """Return the semantics just before `change` went upstream. KeyError if it is not a step."""
    return fold(_until(change))


def after(change: str) -> Semantics:
    """Return the semantics just after `change` went upstream. KeyError if it is not a step."""
    return fold((*_until(change), change))


def _until(change: str) -> list[str]:
    keys = [step.change for step in TIMELINE]
    if change not in keys:
        raise KeyError(change)
    return keys[: keys.index(change)]


def changes_setting(*fields: str) -> list[str]:
    """Return the keys of the changes that set one of these fields, in upstream order."""
    return [step.change for step in TIMELINE if set(fields) & set(step.sets)]


# The release is named here alone. Each value is the last step that the release has; the lab's
# v5.10 is a stable kernel, and carries the later fix of the anon_vma's reuse.
PRESETS: Mapping[str, Semantics] = MappingProxyType(
    {
        "v2.6.31": Semantics(),
        "v2.6.32": after("page_dup_rmap_plain"),
        "v2.6.33": after("ksm_migration"),
        "v2.6.34": after("used_once"),
        "v5.10": dataclasses.replace(after("cow_by_page_count"), reuse=Reuse.ACTIVE_VMAS),
        "v6.1": after("mglru"),
        "v6.12": after("look_around_clears"),
        "v7.3": after("anon_pgoff"),
    }
)

# The ten commits that made today's reverse mapping, oldest first.
SEEDS: tuple[str, ...] = (
    "memory_failure",
    "hwpoison_injectors",
    "page_dup_rmap_plain",
    "page_mapping_flags",
    "ksm_swappable",
    "ksm_anon_vma",
    "ksm_migration",
    "anon_vma_chains",
    "do_wp_page_moves",
    "used_once",
)
