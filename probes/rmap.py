"""
Reverse-map walks and the reference check (mm/rmap.c, mm/ksm.c).

A walk is seen at `rmap_walk_anon`, `rmap_walk_file` and `rmap_walk_ksm`, never at `rmap_walk`:
its callers inline it, so its symbol exists and misses most walks. The function is the kind; the
callback in the walk's control, compared with the kernel's symbols, is the op.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .spec import Bit, Member, Op, ProbePoint, Source

if TYPE_CHECKING:
    from ..kernels.facts import KernelFacts

KINDS = ("anon", "file", "ksm")

LOOKS = ("look_first", "look_next")
"""The probe points that count what a walk looks at; of no use one without the other."""

LOOKED_KINDS = ("anon", "ksm")
"""The kinds whose walks go through the trees that those probes watch."""

_UNMAP_FLAGS = {
    "migrate": ("TTU_MIGRATION",),
    "split": ("TTU_SPLIT_FREEZE",),
    "munlock": ("TTU_MUNLOCK",),
}

OPS = (
    Op("reference", ("folio_referenced_one", "page_referenced_one")),
    Op("unmap", ("try_to_unmap_one", "try_to_unmap_poisoned_hugetlb_one"), _UNMAP_FLAGS),
    Op("migrate", ("try_to_migrate_one",), {"split": ("TTU_SPLIT_HUGE_PMD",)}),
    Op("restore", ("remove_migration_pte",)),
    Op("mkclean", ("page_mkclean_one",)),
    Op("munlock"),
    Op("split"),
    Op(
        "damon",
        (
            "damon_folio_young_one",
            "damon_folio_mkold_one",
            "__damon_pa_young",
            "__damon_pa_mkold",
        ),
    ),
    Op("idle", ("page_idle_clear_pte_refs_one",)),
    Op("other"),
)

_WALK_METRICS = (
    "rmapwatch_walks_total",
    "rmapwatch_walk_duration_seconds",
    "rmapwatch_walk_vmas",
    "rmapwatch_walk_ptes",
    "rmapwatch_walk_lock_bailouts_total",
)
_WALK_OVERHEAD = "One pair of programs per walk; reclaim of mapped memory makes one or two a page."


_VMA = {"vma": 1}
"""The arguments that all callbacks of walks have alike: (folio, vma, address, arg)."""

_TREE_OVERHEAD = "One program per VMA that a walk looks at, of use or not: only if asked for."


def _walk(kind: str, source_file: str, *sources: Source) -> ProbePoint:
    return ProbePoint(
        name=f"rmap_walk_{kind}",
        summary=f"Reverse-map walks over {kind} mappings: what for, how long, how many VMAs.",
        kernel_source=source_file,
        sources=sources,
        entry=f"walk_enter(&a, KIND_{kind.upper()})",
        exit=f"walk_exit(&a, KIND_{kind.upper()})",
        section="walk",
        metrics=_WALK_METRICS,
        overhead=_WALK_OVERHEAD,
        typed=True,
    )


def _step(op: str, *sources: Source) -> ProbePoint:
    return ProbePoint(
        name=f"step_{op}",
        summary=f"One VMA entered by a walk to {op.replace('_', ' ')}.",
        kernel_source="mm/rmap.c",
        sources=sources,
        entry="step(&a)",
        metrics=("rmapwatch_walk_vmas",),
        overhead="One program per VMA that a walk enters: the part that grows with sharing.",
        typed=True,
    )


def _look(name: str, *sources: Source) -> ProbePoint:
    return ProbePoint(
        name=f"look_{name}",
        summary="One VMA found in the tree of an anon_vma, whether the walk then enters it or not.",
        kernel_source="mm/interval_tree.c",
        sources=sources,
        exit="look(&a)",
        metrics=("rmapwatch_walk_vmas_looked_at_total",),
        overhead=_TREE_OVERHEAD,
        opt_in=True,
    )


POINTS = (
    _walk("anon", "mm/rmap.c", Source("rmap_walk_anon", {"folio": 0, "rwc": 1, "locked": 2})),
    _walk(
        "file",
        "mm/rmap.c",
        Source("rmap_walk_file", {"folio": 0, "rwc": 1, "locked": 2}),
        Source(
            "__rmap_walk_file",
            {"folio": 0, "mapping": 1, "index": 2, "rwc": 4, "locked": 5},
            change="__rmap_walk_file",
        ),
    ),
    _walk("ksm", "mm/ksm.c", Source("rmap_walk_ksm", {"folio": 0, "rwc": 1})),
    _step(
        "reference",
        Source("folio_referenced_one", _VMA, change="folio_referenced"),
        Source("page_referenced_one", _VMA),
    ),
    _step("unmap", Source("try_to_unmap_one", _VMA)),
    _step(
        "unmap_poisoned_hugetlb",
        Source(
            "try_to_unmap_poisoned_hugetlb_one",
            _VMA,
            change="try_to_unmap_poisoned_hugetlb_one",
        ),
    ),
    _step("migrate", Source("try_to_migrate_one", _VMA, change="try_to_migrate")),
    _step("restore", Source("remove_migration_pte", _VMA)),
    _step("mkclean", Source("page_mkclean_one", _VMA)),
    _look(
        "first",
        Source("anon_vma_interval_tree_iter_first"),
        Source("anon_rmap_tree_iter_first", change="anon_pgoff"),
    ),
    _look(
        "next",
        Source("anon_vma_interval_tree_iter_next"),
        Source("anon_rmap_tree_iter_next", change="anon_pgoff"),
    ),
    ProbePoint(
        name="reference_check",
        summary="Was this folio used lately? Result and inputs of the check that reclaim makes.",
        kernel_source="mm/rmap.c",
        sources=(
            Source(
                "folio_referenced",
                {"folio": 0, "is_locked": 1, "vm_flags": 3},
                change="folio_referenced",
            ),
            Source("page_referenced", {"folio": 0, "is_locked": 1, "vm_flags": 3}),
        ),
        exit="reference_exit(&a)",
        metrics=("rmapwatch_reference_results_total", "rmapwatch_reference_checks_total"),
        overhead="One program per check, at its return.",
    ),
)

MEMBERS = (
    Member("RWC_ONE", (("rmap_walk_control", "rmap_one"),)),
    Member("RWC_ARG", (("rmap_walk_control", "arg"),)),
    Member("RWC_CONTENDED", (("rmap_walk_control", "contended"),), optional=True),
    Member("RWC_INVALID_VMA", (("rmap_walk_control", "invalid_vma"),)),
    Member(
        "REFERENCED_MAPCOUNT",
        (("folio_referenced_arg", "mapcount"), ("page_referenced_arg", "mapcount")),
        optional=True,
    ),
    Member("FOLIO_FLAGS", (("folio", "flags"), ("page", "flags"))),
    Member("FOLIO_MAPPING", (("folio", "mapping"), ("page", "mapping"))),
    Member("FOLIO_INDEX", (("folio", "index"), ("page", "index"))),
    Member("FOLIO_MAPCOUNT", (("folio", "_mapcount"), ("page", "_mapcount"))),
    Member("LARGE_MAPCOUNT", (("folio", "_large_mapcount"),), optional=True),
    Member(
        "LARGE_NR_PAGES",
        (("folio", "_folio_nr_pages"), ("folio", "_nr_pages"), ("page", "compound_nr")),
        addend={"compound_nr": 64},  # it lies in the first tail page
        optional=True,
    ),
    Member("ANON_VMA_ROOT", (("anon_vma", "root"),)),
    Member("VMA_MM", (("vm_area_struct", "vm_mm"),)),
    Member("MM_OWNER", (("mm_struct", "owner"),), optional=True),  # CONFIG_MEMCG
)

BITS = (
    Bit("PG_HEAD", "pageflags", "PG_head"),
    Bit("PG_SWAPBACKED", "pageflags", "PG_swapbacked"),
)

# mm/memory.c and its kin keep `struct page` of a pfn at vmemmap_base + pfn * sizeof(struct page).
DATA_SYMBOLS = ("vmemmap_base",)
STRUCTS_FOR_SIZE = ("page",)


def steps_watched(attached: Iterable[str], facts: KernelFacts) -> int:
    """
    Return a bit per op whose VMAs are all counted when the functions `attached` are.

    Such an op has callbacks on this kernel, and each of them is watched.
    """
    watched = set(attached)
    bits = 0
    for number, op in enumerate(OPS):
        serving = (o for o in OPS if o is op or op.name in o.if_flags)
        callbacks = {c for o in serving for c in o.callbacks if c in facts.functions}
        if callbacks and callbacks <= watched:
            bits |= 1 << number
    return bits


def looks_watched(attached: Iterable[str]) -> int:
    """Return a bit per kind of walk whose looks are all counted when these probes are attached."""
    if not set(LOOKS) <= set(attached):
        return 0
    return sum(1 << KINDS.index(kind) for kind in LOOKED_KINDS)
