"""
The catalogue of the model's rules: for each its inputs, its function, and where the kernel has it.

Made for enumeration: the tables of docs/model-rules.md come from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from ..kernels.semantics import Linking, Mglru, Semantics
from . import cow, ksm, mapcount, mapping, references, rmap, scenarios
from . import memory_failure as mf
from .anon_vma import reusable
from .history import Exit, Operation, Remap, Unmap, Write, replay
from .mm_types import AnonVma, Vma

Values = Mapping[str, Any]  # what a row writes -> what the function gets


@dataclass(frozen=True)
class Rule:
    """
    One rule. ``function``, ``source``: the kernel's. ``inputs``: for each its possible values.

    ``outcome``: the text of the outcome, given semantics and one value of each input; None where
    such a kernel cannot get there. ``fields``: those of `Semantics` that the rule asks.
    """

    name: str
    function: str
    source: str
    summary: str
    inputs: Mapping[str, Values]
    outcome: Callable[..., str | None]
    fields: tuple[str, ...]

    def cases(self) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
        """Yield each combination of inputs: as written in a row, and as given to `outcome`."""
        for labels in product(*self.inputs.values()):
            yield (
                labels,
                {
                    _argument(name): values[label]
                    for (name, values), label in zip(self.inputs.items(), labels, strict=True)
                },
            )


def _argument(name: str) -> str:
    """Return the name of the parameter for an input: what precedes the first blank."""
    return name.split(" ")[0].lower()


YES_NO: Values = {"no": False, "yes": True}
_SEEN: Values = {"gave up": references.GAVE_UP, "0": 0, "1": 1, "2 or more": 2}
_LRU: Values = {"file": False, "anon": True}


def _check(
    semantics: Semantics,
    referenced: int,
    locked: bool,
    executable: bool,
    pg_referenced: bool,
    lru: bool,
    lru_gen: bool = False,
    workingset: bool = False,
) -> str | None:
    if referenced < 0 and not references.gives_up(semantics):
        return None
    flags = references.VM_LOCKED * locked | references.VM_EXEC * executable
    check = references.ReferenceCheck(
        referenced, flags, pg_referenced, lru, lru, lru_gen, workingset
    )
    return references.page_check_references(semantics, check).decision.value


def _check_mglru(semantics: Semantics, **inputs: Any) -> str | None:
    if semantics.mglru is Mglru.ABSENT:
        return None
    return _check(semantics, **inputs, lru_gen=True)


def _visit(semantics: Semantics, vma: references.Visit, folio: references.WalkedFolio) -> str:
    after_it = references.Visit(maps=1, young=True)
    alone = references.folio_referenced(semantics, folio, [vma, after_it])
    if alone.referenced == references.GAVE_UP:
        return "walk gives up"
    if alone.entered == 1 and alone.vm_flags & references.VM_LOCKED:
        return "walk stops, VM_LOCKED"
    counted = alone.referenced - 1
    entered = alone.entered - 1
    return ("entered, " if entered else "passed over, ") + ("counted" if counted else "not counted")


def _reusable(semantics: Semantics, own: bool, vmas: int, children: int) -> str | None:
    if semantics.linking is Linking.SHARED or (own and not vmas):
        return None
    anon_vma = AnonVma(0, num_children=children, num_active_vmas=vmas, degree=vmas + children)
    source = Vma(0, 0, 0, 1, 0, 0, None, anon_vma=anon_vma if own else AnonVma(1))
    return "taken" if reusable(semantics, anon_vma, source) else "passed over"


N = 5  # children of the storm's table


def _storm(semantics: Semantics, case: list[Operation], owner: int) -> str:
    machine = replay(semantics, [*scenarios.forked(N), *case])
    page = machine.page(owner)
    early, restore = (
        len(rmap.rmap_walk(machine, page, op).entered)
        for op in (rmap.Op.REFERENCE, rmap.Op.RESTORE)
    )
    return f"{early} / {restore}"


def _storm_case(semantics: Semantics, case: tuple[list[Operation], int]) -> str:
    return _storm(semantics, *case)


_CHILDREN = range(1, N + 1)
_STORM: Values = {
    "the parent's page, no child wrote": ([], 0),
    "the last two children wrote": ([Write(c, 0, 0) for c in (N - 1, N)], 0),
    "the first two children wrote": ([Write(c, 0, 0) for c in (1, 2)], 0),
    "every child wrote": ([Write(c, 0, 0) for c in _CHILDREN], 0),
    "a child's own copy": ([Write(3, 0, 0)], 3),
    "the parent's own new copy": ([Write(0, 0, 0)], 0),
    "a child unmapped the range": ([Unmap(2, 0)], 0),
    "a child exited": ([Exit(2)], 0),
    "the parent moved the range by mremap()": ([Remap(0, 0, 0x2000)], 0),
    "every child exited": ([Exit(c) for c in _CHILDREN], 0),
    "the third child wrote last, in place": (
        [*(Write(c, 0, 0) for c in (0, 1, 2, 4, 5)), Write(3, 0, 0)],
        3,
    ),
}


def _ksm_case(semantics: Semantics, scanned: bool, forks: int, op: rmap.Op) -> str:
    return str(scenarios.ksm_walks(semantics, 3, forks, scanned)[op])


def _wp(semantics: Semantics, page: cow.WpPage) -> str:
    return cow.do_wp_page(semantics, page).value


def _swap_in(semantics: Semantics, page: ksm.SwapInPage) -> str:
    return ksm.ksm_might_need_to_copy(semantics, page).value


def _merge(semantics: Semantics, passes: int, limit: int) -> str | None:
    if not semantics.ksm:
        return None
    found = ksm.merge(semantics, [0] * 6, passes, limit)
    return (
        f"{found.pages_shared} shared, {found.pages_sharing} sharing, "
        f"{found.stable_node_chains} chains"
    )


def _decode(semantics: Semantics, bits: int, pointer: int) -> str:
    return mapping.decode(semantics, pointer | bits).kind.value


def _thp(semantics: Semantics, state: str) -> str | None:
    """Return the stored counters of an anonymous folio of four pages."""
    if not semantics.thp:
        return None
    folio = mapcount.map_pmd(semantics, mapcount.new_folio(4), mm=0)
    if state != "one PMD":
        folio = mapcount.page_dup_rmap(semantics, folio, child=1)
    if state == "one split":
        folio = mapcount.split_pmd(semantics, folio, mm=1)
    if state == "both split":
        folio = mapcount.split_pmd(semantics, mapcount.split_pmd(semantics, folio, 1), 0)
    total = mapcount.folio_mapcount(semantics, folio)
    double = ", double map" if folio.double_map else ""
    kept = f", total {folio.total}" if folio.total else ""
    return f"{total}: entire {folio.entire}, page {folio.pages[0]}{double}{kept}"


_ANON = mf.PoisonedPage(mf.Kind.ANON)
_FILE = mf.PoisonedPage(mf.Kind.FILE)
_PAGES: Values = {
    "free": mf.PoisonedPage(mf.Kind.FREE),
    "part of a kernel's high-order allocation": mf.PoisonedPage(mf.Kind.HIGH_ORDER),
    "slab": mf.PoisonedPage(mf.Kind.SLAB),
    "reserved": mf.PoisonedPage(mf.Kind.RESERVED),
    "anonymous, dirty": _ANON,
    "anonymous, mlocked, mapped": replace(_ANON, mlocked=True),
    "anonymous, mlocked, not mapped": replace(_ANON, mlocked=True, mapped=False),
    "anonymous, unevictable": replace(_ANON, unevictable=True),
    "anonymous, not on an LRU list": replace(_ANON, lru=False),
    "swap cache, dirty": replace(_ANON, swapcache=True),
    "swap cache, clean": replace(_ANON, swapcache=True, dirty=False),
    "KSM": mf.PoisonedPage(mf.Kind.KSM),
    "page cache, dirty": _FILE,
    "page cache, clean": replace(_FILE, dirty=False),
    "page cache, truncated meanwhile": replace(_FILE, dirty=False, truncated=True),
    "part of a THP that cannot be split": replace(_ANON, thp=True, splits=False),
    "cannot be unmapped": replace(_ANON, unmaps=False),
    "something else still holds it": replace(_ANON, extra_references=True),
    "hugetlb, in use": mf.PoisonedPage(mf.Kind.HUGETLB),
    "DAX": mf.PoisonedPage(mf.Kind.DAX),
    "no struct page": mf.PoisonedPage(mf.Kind.NO_STRUCT_PAGE),
    "poisoned before": replace(_ANON, poisoned=True),
}


def _failure(semantics: Semantics, page: mf.PoisonedPage, injector: mf.Injector) -> str | None:
    if not semantics.hwpoison_injectors:
        return None
    done = mf.memory_failure(semantics, page, mf.injector_flags(semantics, injector))
    if done.type is None or done.result is None:
        return f"no event, returns {done.returns}"
    return f"{done.type.name} {done.result.name}"


def _signal(
    semantics: Semantics, injector: mf.Injector, page: mf.PoisonedPage, process: mf.Task
) -> str | None:
    if not semantics.hwpoison_injectors:
        return None
    flags = mf.injector_flags(semantics, injector)
    sent = mf.signals(semantics, page, [process], flags)
    return sent[process.pid].value if sent else "none"


_INJECTORS: Values = {injector.value: injector for injector in mf.Injector}
_WP: Values = {
    "one mapping, marked exclusive": cow.WpPage(exclusive=True),
    "one mapping, not marked": cow.WpPage(),
    "one mapping, in the swap cache": cow.WpPage(swapcache=True, references=2),
    "one mapping, in a per-CPU LRU batch": cow.WpPage(lru_cached=True, references=2),
    "one mapping, another reference": cow.WpPage(references=2),
    "two mappings": cow.WpPage(mapcount=2, references=2),
    "KSM": cow.WpPage(ksm=True),
    "page cache": cow.WpPage(anon=False),
    "of a large folio, one reference": cow.WpPage(large=True),
    "of a large folio that the mm owns": cow.WpPage(large=True, mm_owns_all=True),
}
_SWAP_IN: Values = {
    "KSM page with a stable node": ksm.SwapInPage(ksm=True),
    "the same, while unmerging": ksm.SwapInPage(ksm=True, unmerging=True),
    "no anon_vma": ksm.SwapInPage(has_anon_vma=False),
    "own anon_vma, own index": ksm.SwapInPage(),
    "anon_vma of a relative, own index": ksm.SwapInPage(same_anon_vma=False),
    "other root": ksm.SwapInPage(same_anon_vma=False, same_root=False),
    "other index": ksm.SwapInPage(same_index=False),
    "other index, not uptodate": ksm.SwapInPage(same_index=False, uptodate=False),
    "other index, poisoned": ksm.SwapInPage(same_index=False, poisoned=True),
    "other index, large folio": ksm.SwapInPage(same_index=False, large=True),
    "other index, no memory": ksm.SwapInPage(same_index=False, memory=False),
}
_VISITS: Values = {
    "young": references.Visit(young=True),
    "not young": references.Visit(),
    "young, does not map the folio": references.Visit(maps=0, young=True),
    "young, VM_SEQ_READ": references.Visit(young=True, vm_flags=references.VM_SEQ_READ),
    "young, VM_RAND_READ": references.Visit(young=True, vm_flags=references.VM_RAND_READ),
    "young, file opened for no reuse": references.Visit(young=True, noreuse=True),
    "young, outside the memcg": references.Visit(young=True, outside_memcg=True),
    "VM_LOCKED, maps all of it": references.Visit(maps=4, vm_flags=references.VM_LOCKED),
    "VM_LOCKED, young, maps a part": references.Visit(
        maps=2, young=True, vm_flags=references.VM_LOCKED
    ),
    "young, its mm is exiting": references.Visit(young=True, exiting=True),
}

RULES: tuple[Rule, ...] = (
    Rule(
        "The reference check",
        "folio_check_references(), before v5.18 page_check_references()",
        "mm/vmscan.c",
        "What reclaim does with a folio once the reference walk has looked at it; classic LRU.",
        {
            "referenced by VMAs": _SEEN,
            "locked (a VM_LOCKED VMA)": YES_NO,
            "executable (a VM_EXEC VMA)": YES_NO,
            "PG_referenced": YES_NO,
            "LRU": _LRU,
        },
        _check,
        (
            "used_once", "anon_used_once", "clean_only_file", "reclaim_clean", "shared_activates",
            "exec_activates", "locked", "contended_walk_gives_up",
        ),
    ),
    Rule(
        "The reference check under MGLRU",
        "folio_check_references(), lru_gen_set_refs()",
        "mm/vmscan.c",
        "The same with the multi-generational LRU switched on. The first MGLRU's walk sets "
        "PG_referenced itself on a young PTE, so look at the column as it is after the walk.",
        {
            "referenced by VMAs": _SEEN,
            "locked (a VM_LOCKED VMA)": YES_NO,
            "executable (a VM_EXEC VMA)": YES_NO,
            "PG_referenced": YES_NO,
            "LRU": _LRU,
            "workingset (PG_workingset)": YES_NO,
        },
        _check_mglru,
        ("mglru",),
    ),
    Rule(
        "The reference walk",
        "folio_referenced_one(), before v5.18 page_referenced_one()",
        "mm/rmap.c",
        "What one VMA does to the walk; the folio has four pages and is anonymous.",
        {"VMA": _VISITS, "folio": {"4 pages": references.WalkedFolio(4, swapbacked_anon=True)}},
        _visit,
        ("recency_filter", "locked_large", "exiting_owner_gives_up"),
    ),
    Rule(
        "The anon_vma of a child",
        "anon_vma_clone(), anon_vma_fork()",
        "mm/rmap.c",
        "Whether fork takes an anon_vma of the parent's chain, oldest first, for the child's own; "
        "if none is taken, a new one is made.",
        {
            "own (the parent's own)": YES_NO,
            "vmas (VMAs whose own it is)": {"0": 0, "1": 1},
            "children": {"0": 0, "1": 1, "2": 2},
        },
        _reusable,
        ("linking", "reuse"),
    ),
    Rule(
        "Walks of a fork storm",
        "rmap_walk_anon()",
        "mm/rmap.c",
        f"VMAs entered for a page by a walk that ends early (reference, unmap, migrate) / by a "
        f"restore walk. The parent touched the page, then forked {N} children.",
        {"case": _STORM},
        _storm_case,
        ("linking", "order", "cow"),
    ),
    Rule(
        "Copy on write",
        "do_wp_page()",
        "mm/memory.c",
        "What becomes of a write fault on a page of a private mapping.",
        {"page": _WP},
        _wp,
        ("cow", "large_reuse"),
    ),
    Rule(
        "Walks of a KSM page",
        "rmap_walk_ksm(), before v2.6.34 also page_referenced_ksm() and try_to_unmap_ksm()",
        "mm/ksm.c",
        "VMAs entered, for three sharers in one process that then forks.",
        {
            "forks": {"0": 0, "1": 1, "2": 2},
            "scanned (ksmd came since the fork)": YES_NO,
            "op (walk)": {op.name.lower(): op for op in scenarios.OPS},
        },
        _ksm_case,
        ("ksm_walk", "ksm_migration"),
    ),
    Rule(
        "Swap-in beside KSM",
        "ksm_might_need_to_copy()",
        "mm/ksm.c",
        "Whether a page found in the swap cache can be mapped here as it is.",
        {"page": _SWAP_IN},
        _swap_in,
        ("ksm_copy", "ksm_copy_poisoned", "ksm_copy_large_same"),
    ),
    Rule(
        "Merging",
        "cmp_and_merge_page(), stable_tree_append(), stable_tree_insert()",
        "mm/ksm.c",
        "Six equal pages, by full scans and by max_page_sharing.",
        {"passes": {"1": 1, "2": 2, "3": 3}, "limit (max_page_sharing)": {"2": 2, "3": 3, "9": 9}},
        _merge,
        ("ksm", "ksm_chains", "ksm_checksum_first", "ksm_smart_scan"),
    ),
    Rule(
        "page->mapping",
        "PAGE_MAPPING_FLAGS, since v6.17 FOLIO_MAPPING_FLAGS",
        "include/linux/page-flags.h",
        "What the two low bits mean.",
        {
            "bits": {"00": 0, "01": 1, "10": 2, "11": 3},
            "pointer": {"NULL": 0, "set": 0xFFFF888000100000},
        },
        _decode,
        ("mapping_bits",),
    ),
    Rule(
        "The mapcount of a huge page",
        "folio_mapcount(), before v5.18 total_mapcount()",
        "include/linux/mm.h, mm/rmap.c, mm/huge_memory.c",
        "Mapcount, and the counters that it is computed from, of an anonymous folio of four pages.",
        {"state": {name: name for name in ("one PMD", "two PMDs", "one split", "both split")}},
        _thp,
        ("thp", "large_mapcount"),
    ),
    Rule(
        "Memory failure: type and result",
        "memory_failure(), identify_page_state()",
        "mm/memory-failure.c",
        "What the event says of a page, by enumerators of mf_action_page_type and mf_result.",
        {
            "page": _PAGES,
            "injector": {"madvise": mf.Injector.MADVISE, "corrupt-pfn": mf.Injector.CORRUPT_PFN},
        },
        _failure,
        (
            "memory_failure", "hwpoison_injectors", "buddy_recovered", "poisoned_again_is_error",
            "poisoned_again_event", "kernel_page", "hwpoison_ksm", "unsplit_thp_kills",
            "unmap_failure_sigbus", "pfn_map",
        ),
    ),
    Rule(
        "Memory failure: signals",
        "task_early_kill(), collect_procs(), kill_proc(), kill_accessing_process()",
        "mm/memory-failure.c",
        "What a process gets that maps the page; vm.memory_failure_early_kill is 0.",
        {
            "injector": _INJECTORS,
            "page": {
                name: _PAGES[name]
                for name in (
                    "anonymous, dirty", "page cache, clean", "KSM", "cannot be unmapped",
                    "part of a THP that cannot be split", "poisoned before",
                )
            },
            "process": {
                "current": mf.Task(1, current=True),
                "PR_MCE_KILL_EARLY": mf.Task(1, policy=mf.Policy.EARLY),
                "another": mf.Task(1),
            },
        },
        _signal,
        (
            "action_required_for_others", "madvise_action_required", "kill_accessing_process",
            "unmap_failure_kills", "unmap_failure_sigbus", "unsplit_thp_kills", "hwpoison_ksm",
        ),
    ),
)  # fmt: skip
