"""
The reference check of reclaim: was this folio used, and what is done with it now.

The walk is folio_referenced() of mm/rmap.c (page_referenced() before v5.18), the decision
folio_check_references() of mm/vmscan.c (page_check_references() before v5.18).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product

from ..kernels.semantics import ExecActivates, LockedLarge, LockedReference, Mglru, Semantics

# Bits of vm_area_struct.vm_flags; the same numbers from v2.6.31 on (include/linux/mm.h).
VM_EXEC = 1 << 2
VM_SHARED = 1 << 3
VM_LOCKED = 1 << 13
VM_SEQ_READ = 1 << 15
VM_RAND_READ = 1 << 16

# What the walk returns when it gave up: the rmap lock is contended, or the owner is exiting.
GAVE_UP = -1


class Decision(Enum):
    """What reclaim does with the folio: enum folio_references (mm/vmscan.c)."""

    RECLAIM = "reclaim"
    RECLAIM_CLEAN = "reclaim if clean"
    KEEP = "keep"
    ACTIVATE = "activate"


@dataclass(frozen=True)
class ReferenceCheck:
    """
    What the decision depends on, as an observer sees it when the reference walk returns.

    ``referenced``: the walk's result, a number of VMAs; -1 is `GAVE_UP`.
    ``vm_flags``: the walk's flags, bits VM_*.
    ``page_referenced``: PG_referenced at that moment, not earlier: the walk itself may set it.
    ``swapbacked``: PG_swapbacked, so not on the file LRU. ``anon``: an anonymous page; only the
    oldest rules tell it from swapbacked.
    ``lru_gen``: MGLRU is on and not being switched. ``workingset``, ``refs``: PG_workingset and
    folio_lru_refs(), used by MGLRU alone.
    ``lumpy``: reclaim for an order above PAGE_ALLOC_COSTLY_ORDER, a bypass of the oldest rules.
    ``in_use``: page_mapping_inuse(), of the oldest rules.
    """

    referenced: int
    vm_flags: int = 0
    page_referenced: bool = False
    swapbacked: bool = False
    anon: bool = False
    lru_gen: bool = False
    workingset: bool = False
    refs: int = 0
    lumpy: bool = False
    in_use: bool = True


@dataclass(frozen=True)
class Outcome:
    """The decision, and PG_referenced and PG_workingset after it."""

    decision: Decision
    page_referenced: bool
    workingset: bool = False


def page_check_references(semantics: Semantics, check: ReferenceCheck) -> Outcome:
    """
    Return what reclaim decides about a folio, and the flags that it leaves.

    Source: folio_check_references(), mm/vmscan.c. ValueError if the walk cannot have given up
    on such a kernel.
    """
    if check.referenced < 0 and not gives_up(semantics):
        raise ValueError("the reference walk of this kernel never gives up")
    if not semantics.used_once:
        return _every_reference_activates(check)
    bail_out = _bail_out(semantics, check)
    if bail_out is not None:
        return bail_out
    if semantics.mglru is Mglru.SET_REFS and check.lru_gen:
        return lru_gen_set_refs(check) if check.referenced else _plain(check, Decision.RECLAIM)
    if check.referenced:
        return _referenced(semantics, check)
    return Outcome(_unreferenced(semantics, check), False, check.workingset)


def decision_key(check: ReferenceCheck, one: int = 1) -> int:
    """
    Return the index of a check in `decision_table`.

    Made of comparisons and sums alone, so the fields of `check` may as well be equally long
    integer arrays, and the result is then an array, of the type of `one`.
    """
    seen = (check.referenced >= 0) * one
    seen += (check.referenced > 0) * one
    seen += (check.referenced > 1) * one
    key = seen
    for bit in (
        (check.vm_flags & VM_LOCKED) != 0,
        (check.vm_flags & VM_EXEC) != 0,
        check.page_referenced,
        check.swapbacked,
        check.anon,
        check.lru_gen,
        check.workingset,
        check.refs > 1,
    ):
        key = key * 2 + bit * one
    return key


def decision_table(semantics: Semantics) -> tuple[Decision | None, ...]:
    """
    Return the decision for every check, to be indexed by `decision_key`: the rule as a column.

    None where such a kernel cannot get there. Lumpy reclaim is left out.
    """
    checks = sorted(all_checks(), key=decision_key)
    return tuple(
        page_check_references(semantics, check).decision
        if check.referenced >= 0 or gives_up(semantics)
        else None
        for check in checks
    )


def all_checks() -> list[ReferenceCheck]:
    """Return one check for each combination of inputs that `decision_key` tells apart."""
    flags = (0, VM_EXEC, VM_LOCKED, VM_LOCKED | VM_EXEC)
    bools = (False, True)
    return [
        ReferenceCheck(*values)
        for values in product((GAVE_UP, 0, 1, 2), flags, bools, bools, bools, bools, bools, (0, 2))
    ]


def gives_up(semantics: Semantics) -> bool:
    """Return whether the reference walk of a kernel can return `GAVE_UP`."""
    return semantics.contended_walk_gives_up or semantics.exiting_owner_gives_up


def _plain(check: ReferenceCheck, decision: Decision) -> Outcome:
    """Return the decision with the folio's flags as they were."""
    return Outcome(decision, check.page_referenced, check.workingset)


def _every_reference_activates(check: ReferenceCheck) -> Outcome:
    # Before Linux kernel commit 645747462435 ("vmscan: detect mapped file pages used only once")
    # (in v2.6.34), PG_referenced counted as a reference and any reference activated.
    referenced = check.referenced > 0 or check.page_referenced
    if check.lumpy or not referenced:
        return Outcome(Decision.RECLAIM, False)
    if check.in_use and not check.vm_flags & VM_LOCKED:
        return Outcome(Decision.ACTIVATE, False)
    return Outcome(Decision.RECLAIM_CLEAN, False)


def _bail_out(semantics: Semantics, check: ReferenceCheck) -> Outcome | None:
    """Return the outcome of what is decided before references are looked at, or None."""
    # Since Linux kernel commit 4d5d14a01e2c ("mm/mglru: rework workingset protection") (in
    # v6.14), PG_referenced is taken only after these exits.
    left = check.page_referenced and semantics.mglru is Mglru.SET_REFS
    if check.lumpy and not semantics.anon_used_once:
        return Outcome(Decision.RECLAIM, left, check.workingset)
    if check.vm_flags & VM_LOCKED:
        activates = semantics.locked is LockedReference.ACTIVATE
        decision = Decision.ACTIVATE if activates else Decision.RECLAIM
        return Outcome(decision, left, check.workingset)
    if check.referenced == GAVE_UP:
        return Outcome(Decision.KEEP, left, check.workingset)
    return None


def _referenced(semantics: Semantics, check: ReferenceCheck) -> Outcome:
    # Since Linux kernel commit b518154e59aa ("mm/vmscan: protect the workingset on anonymous
    # LRU") (in v5.9), anonymous pages prove themselves on the inactive list, as file pages do.
    if check.anon and not semantics.anon_used_once:
        return Outcome(Decision.ACTIVATE, False, check.workingset)
    activates = (
        check.page_referenced
        or (semantics.shared_activates and check.referenced > 1)
        or exec_activates(semantics, check)
    )
    return Outcome(Decision.ACTIVATE if activates else Decision.KEEP, True, check.workingset)


def exec_activates(semantics: Semantics, check: ReferenceCheck) -> bool:
    """Return whether one reference through an executable VMA is enough to activate."""
    if not check.vm_flags & VM_EXEC or semantics.exec_activates is ExecActivates.NEVER:
        return False
    return semantics.exec_activates is ExecActivates.ANY or not check.swapbacked


def _unreferenced(semantics: Semantics, check: ReferenceCheck) -> Decision:
    if not check.page_referenced or not semantics.reclaim_clean:
        return Decision.RECLAIM
    if check.swapbacked and semantics.clean_only_file:
        return Decision.RECLAIM
    return Decision.RECLAIM_CLEAN


def lru_gen_set_refs(check: ReferenceCheck) -> Outcome:
    """
    Return what MGLRU decides about a folio that the walk found referenced.

    Source: lru_gen_set_refs(), mm/vmscan.c; since commit 4d5d14a01e2c (in v6.14).
    """
    if check.page_referenced or check.workingset:
        if check.refs > 1:
            return Outcome(Decision.ACTIVATE, False, True)
        return Outcome(Decision.ACTIVATE, True, check.workingset)
    if check.vm_flags & VM_EXEC and not check.swapbacked:
        return Outcome(Decision.ACTIVATE, False, True)
    return Outcome(Decision.KEEP, True, False)


def skips_check(semantics: Semantics, lru_gen: bool, mapped: bool, page_referenced: bool) -> bool:
    """
    Return whether eviction keeps a folio without asking, and without counting nr_ref_keep.

    Source: shrink_folio_list(), mm/vmscan.c: MGLRU before commit 4d5d14a01e2c (in v6.14).
    """
    early = semantics.mglru in (Mglru.LOOK_AROUND_MARKS, Mglru.LOOK_AROUND_CLEARS)
    return early and lru_gen and mapped and page_referenced


def marked_by_look_around(semantics: Semantics, lru_gen: bool, young_pte: bool) -> bool:
    """
    Return whether the walk itself sets PG_referenced on the folio that it checks.

    True for a young PTE (not a PMD) under the first MGLRU: lru_gen_look_around(), mm/vmscan.c;
    gone with commit 1d4832becdc2 (in v6.12), which clears the folio's own PTE first.
    """
    return semantics.mglru is Mglru.LOOK_AROUND_MARKS and lru_gen and young_pte


class Caller(Enum):
    """Who has a list of folios reclaimed."""

    LRU = "reclaim from the LRU lists"
    CLEAN_PAGES = "reclaim_clean_pages_from_list()"
    PAGEOUT = "MADV_PAGEOUT, or DAMON's pageout"


def ignores_references(semantics: Semantics, caller: Caller) -> bool:
    """Return whether shrink_folio_list() skips the reference check for `caller`."""
    # Since Linux kernel commit 2864f3d0f583 ("mm: madvise: pageout: ignore references rather
    # than clearing young") (in v6.9), reclaim_pages() reclaims whatever it is given.
    if caller is Caller.PAGEOUT:
        return semantics.pageout_ignores_references
    return caller is Caller.CLEAN_PAGES


@dataclass(frozen=True)
class Counted:
    """Counts in base pages of struct reclaim_stat: one exact, one a lower bound."""

    nr_ref_keep: int
    nr_activate_at_least: int


def reclaim_stat(decided: Iterable[tuple[Decision, int, bool]]) -> Counted:
    """
    Return what the decisions of one shrink_folio_list() call add to its struct reclaim_stat.

    ``decided``: (decision, base pages of the folio, PG_mlocked after the walk). Activations that
    have another reason come on top; an mlocked folio is not activated and not counted.
    """
    decided = tuple(decided)
    keep = sum(pages for decision, pages, _ in decided if decision is Decision.KEEP)
    activate = sum(
        pages
        for decision, pages, mlocked in decided
        if decision is Decision.ACTIVATE and not mlocked
    )
    return Counted(keep, activate)


@dataclass(frozen=True)
class Visit:
    """
    One VMA as a reference walk meets it.

    ``maps``: base pages of the folio that it maps, 0 if none. ``young``: one of its PTEs was
    used since the last look. ``pmd``: it maps the folio by one PMD. ``outside_memcg``,
    ``noreuse``: see `invalid_folio_referenced_vma`. ``exiting``: its mm has no users left, or was
    reaped by the OOM killer.
    """

    maps: int = 1
    young: bool = False
    vm_flags: int = 0
    pmd: bool = False
    outside_memcg: bool = False
    noreuse: bool = False
    exiting: bool = False


@dataclass(frozen=True)
class WalkedFolio:
    """
    The folio of a walk: base pages, and whether it is anonymous and swap-backed.

    ``shared``: the kernel takes it to be mapped by more than one mm.
    """

    pages: int = 1
    swapbacked_anon: bool = False
    shared: bool = False


@dataclass(frozen=True)
class ReferenceWalk:
    """The walk's result and flags, as in `ReferenceCheck`, and how many VMAs it entered."""

    referenced: int
    vm_flags: int
    entered: int


def invalid_folio_referenced_vma(
    semantics: Semantics, vm_flags: int, outside_memcg: bool = False, noreuse: bool = False
) -> bool:
    """
    Return whether the reference walk passes over a VMA without entering it.

    ``outside_memcg``: the reclaim is for a memcg that the VMA's mm does not belong to.
    ``noreuse``: its file was opened for POSIX_FADV_NOREUSE. Source: mm/rmap.c.
    """
    # Since Linux kernel commit 8788f6781486 ("mm: add vma_has_recency()") (in v6.3), a VMA whose
    # accesses say nothing about recency is passed over, and its young bits stay.
    no_recency = noreuse or bool(vm_flags & (VM_SEQ_READ | VM_RAND_READ))
    return outside_memcg or (semantics.recency_filter and no_recency)


def folio_referenced(
    semantics: Semantics, folio: WalkedFolio, visits: Sequence[Visit]
) -> ReferenceWalk:
    """
    Return what the uncontended reference walk over these VMAs, in this order, comes to.

    Source: folio_referenced() and folio_referenced_one(), mm/rmap.c. The folio's mapcount is
    taken to be what the visits map; mappings that a filter hides keep the walk from ending early.
    """
    mapcount = sum(1 if visit.pmd else visit.maps for visit in visits)
    walk = ReferenceWalk(0, 0, 0)
    for visit in visits if mapcount else ():
        if invalid_folio_referenced_vma(
            semantics, visit.vm_flags, visit.outside_memcg, visit.noreuse
        ):
            continue
        walk, stop = _folio_referenced_one(semantics, folio, visit, walk)
        mapcount -= 1 if visit.pmd else visit.maps
        if stop or not mapcount:
            break
    return walk


def _folio_referenced_one(
    semantics: Semantics, folio: WalkedFolio, visit: Visit, walk: ReferenceWalk
) -> tuple[ReferenceWalk, bool]:
    """Return the walk after one more VMA, and whether it ends there."""
    walk = replace(walk, entered=walk.entered + 1)
    if not visit.maps:
        return walk, False
    if visit.vm_flags & VM_LOCKED:
        locked = _meets_locked(semantics, folio, visit)
        if locked is _Locked.STOP:
            return replace(walk, vm_flags=walk.vm_flags | VM_LOCKED), True
        if locked is _Locked.SKIP:
            return walk, False
    private = folio.swapbacked_anon and not folio.shared
    if visit.exiting and private and semantics.exiting_owner_gives_up:
        return replace(walk, referenced=GAVE_UP), True
    sequential = bool(visit.vm_flags & VM_SEQ_READ) and not visit.pmd
    if not visit.young or sequential:
        return walk, False
    flags = visit.vm_flags
    if semantics.locked is LockedReference.ACTIVATE:
        flags &= ~VM_LOCKED
    return replace(walk, referenced=walk.referenced + 1, vm_flags=walk.vm_flags | flags), False


class _Locked(Enum):
    STOP = 0
    SKIP = 1
    COUNT = 2


def _meets_locked(semantics: Semantics, folio: WalkedFolio, visit: Visit) -> _Locked:
    """Return what a VM_LOCKED VMA that maps a part of the folio does to the walk."""
    if folio.pages == 1 or visit.pmd or semantics.locked_large is LockedLarge.STOPS:
        return _Locked.STOP
    if semantics.locked_large is LockedLarge.IGNORED:
        return _Locked.COUNT
    # Since Linux kernel commit 1acbc3f93614 ("mm: handle large folio when large folio in
    # VM_LOCKED VMA range") (in v6.7), only a VMA that holds the whole folio mlocks it.
    return _Locked.STOP if visit.maps == folio.pages else _Locked.SKIP


def without_walk(
    semantics: Semantics, is_locked: bool, lock_taken: bool, anon_not_ksm: bool
) -> int | None:
    """
    Return the result of folio_referenced() on a mapped folio that it cannot lock, None if it walks.

    Reclaim holds the folio's lock (``is_locked``), shrink_active_list() does not and tries it;
    anonymous folios outside KSM went without the lock before `always_trylock`.
    """
    needs_lock = not is_locked and (semantics.always_trylock or not anon_not_ksm)
    return 1 if needs_lock and not lock_taken else None
