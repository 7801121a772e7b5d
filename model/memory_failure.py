"""
Memory failure: what a poisoned page is classified as, what is done, and who gets which signal.

Source: mm/memory-failure.c (memory_failure(), identify_page_state(), hwpoison_user_mappings(),
collect_procs(), task_early_kill(), kill_proc(), kill_accessing_process()), and for the injectors
mm/madvise.c and mm/hwpoison-inject.c. The names of types and results are the kernel's
enumerators; their numbers differ between kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product

from ..kernels.semantics import KernelPage, Semantics

EBUSY, ENXIO, EHWPOISON = 16, 6, 133
PAGE_SHIFT, HUGE_PAGE_SHIFT = 12, 21  # x86-64


class Kind(Enum):
    """What a page is, before anything is done about it."""

    FREE = "free, in the buddy allocator"
    HIGH_ORDER = "part of a kernel's high-order allocation"
    SLAB = "slab"
    RESERVED = "reserved"
    ANON = "anonymous"
    FILE = "page cache"
    KSM = "merged by KSM"
    HUGETLB = "hugetlb, in use"
    DAX = "DAX"
    NO_STRUCT_PAGE = "a frame without a struct page"


KERNEL_KINDS = (Kind.SLAB, Kind.RESERVED)


class Type(Enum):
    """enum mf_action_page_type (include/linux/mm.h), as far as the model gets there."""

    KERNEL = "MF_MSG_KERNEL"
    KERNEL_HIGH_ORDER = "MF_MSG_KERNEL_HIGH_ORDER"
    SLAB = "MF_MSG_SLAB"
    HUGE = "MF_MSG_HUGE"
    UNMAP_FAILED = "MF_MSG_UNMAP_FAILED"
    DIRTY_SWAPCACHE = "MF_MSG_DIRTY_SWAPCACHE"
    CLEAN_SWAPCACHE = "MF_MSG_CLEAN_SWAPCACHE"
    DIRTY_MLOCKED_LRU = "MF_MSG_DIRTY_MLOCKED_LRU"
    CLEAN_MLOCKED_LRU = "MF_MSG_CLEAN_MLOCKED_LRU"
    DIRTY_UNEVICTABLE_LRU = "MF_MSG_DIRTY_UNEVICTABLE_LRU"
    CLEAN_UNEVICTABLE_LRU = "MF_MSG_CLEAN_UNEVICTABLE_LRU"
    DIRTY_LRU = "MF_MSG_DIRTY_LRU"
    CLEAN_LRU = "MF_MSG_CLEAN_LRU"
    TRUNCATED_LRU = "MF_MSG_TRUNCATED_LRU"
    BUDDY = "MF_MSG_BUDDY"
    DAX = "MF_MSG_DAX"
    UNSPLIT_THP = "MF_MSG_UNSPLIT_THP"
    ALREADY_POISONED = "MF_MSG_ALREADY_POISONED"
    GET_HWPOISON = "MF_MSG_GET_HWPOISON"
    PFN_MAP = "MF_MSG_PFN_MAP"
    UNKNOWN = "MF_MSG_UNKNOWN"


class Result(Enum):
    """enum mf_result, with its numbers, the same in every kernel (mm/memory-failure.c)."""

    IGNORED = 0
    FAILED = 1
    DELAYED = 2
    RECOVERED = 3


class Injector(Enum):
    """Who reports the failure."""

    MADVISE = "madvise(MADV_HWPOISON)"
    CORRUPT_PFN = "hwpoison/corrupt-pfn"
    ACTION_OPTIONAL = "machine check, action optional"
    ACTION_REQUIRED = "machine check, action required"


class Flag(Enum):
    """enum mf_flags (include/linux/mm.h), by name."""

    COUNT_INCREASED = "MF_COUNT_INCREASED"
    ACTION_REQUIRED = "MF_ACTION_REQUIRED"
    MUST_KILL = "MF_MUST_KILL"
    SW_SIMULATED = "MF_SW_SIMULATED"


class Signal(Enum):
    """What a process gets: the signal and its si_code."""

    SIGBUS_AR = "SIGBUS BUS_MCEERR_AR"
    SIGBUS_AO = "SIGBUS BUS_MCEERR_AO"
    SIGKILL = "SIGKILL"


class Policy(Enum):
    """PR_MCE_KILL of a process."""

    DEFAULT = "PR_MCE_KILL_DEFAULT"
    EARLY = "PR_MCE_KILL_EARLY"
    LATE = "PR_MCE_KILL_LATE"


@dataclass(frozen=True)
class PoisonedPage:
    """
    The page, and what will go wrong with it.

    ``dirty``: it or a PTE of it. ``lru``: on an LRU list. ``splits``: if part of a THP, that can be
    split. ``unmaps``: every PTE can be removed. ``truncated``: it lost its mapping meanwhile.
    ``extra_references``: something else still holds it after the action. ``poisoned``: it already
    was.
    """

    kind: Kind
    dirty: bool = True
    mapped: bool = True
    swapcache: bool = False
    mlocked: bool = False
    unevictable: bool = False
    lru: bool = True
    thp: bool = False
    splits: bool = True
    unmaps: bool = True
    truncated: bool = False
    extra_references: bool = False
    poisoned: bool = False


@dataclass(frozen=True)
class Handling:
    """
    What memory_failure() did.

    ``type`` and ``result``: of its event, None if it reports nothing. ``returns``: 0 or a
    negative errno. ``unmapped``: no process maps the page any more. ``kills``: collected processes
    are signalled, see `signals`. ``fsync_eio``: the file's next fsync() fails with EIO.
    """

    type: Type | None
    result: Result | None
    returns: int
    unmapped: bool = False
    kills: bool = False
    fsync_eio: bool = False


def injector_flags(semantics: Semantics, injector: Injector) -> frozenset[Flag]:
    """Return the flags that memory_failure() is called with. ValueError if there is no such way."""
    if not semantics.memory_failure:
        raise ValueError("this kernel has no memory_failure()")
    if injector is Injector.ACTION_REQUIRED:
        return frozenset({Flag.ACTION_REQUIRED})
    if injector is Injector.ACTION_OPTIONAL:
        return frozenset()
    if not semantics.hwpoison_injectors:
        raise ValueError(f"this kernel has no {injector.value}")
    flags = {Flag.SW_SIMULATED} if semantics.simulated_flag else set()
    if injector is Injector.MADVISE:
        flags.add(Flag.COUNT_INCREASED)
        # Since Linux kernel commit 66802526298e ("mm/madvise: add MF_ACTION_REQUIRED to
        # madvise(MADV_HWPOISON)") (in v6.11), the injector acts as if it had read the page.
        if semantics.madvise_action_required:
            flags.add(Flag.ACTION_REQUIRED)
    return frozenset(flags)


def memory_failure(
    semantics: Semantics, page: PoisonedPage, flags: frozenset[Flag] = frozenset()
) -> Handling:
    """Return what is done about a page, and what is reported of it."""
    special = _without_mappings(semantics, page, flags)
    if special is not None:
        return special
    if page.thp and not page.splits:
        return _unsplit_thp(semantics, page)
    if page.kind is Kind.KSM and not semantics.hwpoison_ksm:
        return Handling(Type.UNMAP_FAILED, Result.IGNORED, -EBUSY)
    if page.mapped and not page.unmaps:
        return _unmap_failed(semantics, page, flags)
    kills = page.mapped and forcekill(semantics, page, flags)
    if page.truncated and page.lru and not page.swapcache:
        return Handling(Type.TRUNCATED_LRU, Result.IGNORED, -EBUSY, page.mapped, kills)
    type_, result = identify_page_state(page)
    eio = page.kind is Kind.FILE and page.dirty
    return Handling(type_, result, returned(result), page.mapped, kills, eio)


def returned(result: Result) -> int:
    """Return the value that memory_failure() returns with a result: 0 or -EBUSY."""
    return 0 if result in (Result.DELAYED, Result.RECOVERED) else -EBUSY


def _reported(type_: Type, result: Result) -> Handling:
    return Handling(type_, result, returned(result))


def _without_mappings(
    semantics: Semantics, page: PoisonedPage, flags: frozenset[Flag]
) -> Handling | None:
    """Return the handling of what never gets to the processes that map it, or None."""
    if page.kind is Kind.NO_STRUCT_PAGE:
        mapped = _reported(Type.PFN_MAP, Result.RECOVERED)
        return mapped if semantics.pfn_map else Handling(None, None, -ENXIO)
    if page.poisoned:
        return _poisoned_again(semantics)
    if page.kind is Kind.FREE:
        # Since Linux kernel commit a8b2c2ce89d4 ("mm,hwpoison: take free pages off the buddy
        # freelists") (in v5.11), the page cannot be allocated any more.
        result = Result.RECOVERED if semantics.buddy_recovered else Result.DELAYED
        return _reported(Type.BUDDY, result)
    if page.kind is Kind.HIGH_ORDER:
        return _reported(Type.KERNEL_HIGH_ORDER, Result.IGNORED)
    if page.kind in KERNEL_KINDS:
        return _reported(*_kernel_page(semantics, page, flags))
    if page.kind is Kind.DAX:
        return Handling(Type.DAX, Result.RECOVERED, 0, page.mapped, page.mapped)
    return None


def _poisoned_again(semantics: Semantics) -> Handling:
    returns = -EHWPOISON if semantics.poisoned_again_is_error else 0
    if not semantics.poisoned_again_event:
        return Handling(None, None, returns)
    return Handling(Type.ALREADY_POISONED, Result.FAILED, returns)


def _kernel_page(
    semantics: Semantics, page: PoisonedPage, flags: frozenset[Flag]
) -> tuple[Type, Result]:
    rule = semantics.kernel_page
    if rule is KernelPage.FAILED:
        return (Type.SLAB if page.kind is Kind.SLAB else Type.KERNEL), Result.FAILED
    if rule is KernelPage.KERNEL or Flag.COUNT_INCREASED in flags:
        return Type.KERNEL, Result.IGNORED
    unknown = rule is KernelPage.UNKNOWN
    return (Type.UNKNOWN if unknown else Type.GET_HWPOISON), Result.IGNORED


def _unsplit_thp(semantics: Semantics, page: PoisonedPage) -> Handling:
    # Since Linux kernel commit 1a3798dececa ("mm/memory-failure: send SIGBUS in the event of thp
    # split fail") (in v6.11), the processes are told at once.
    if semantics.unsplit_thp_kills:
        return Handling(Type.UNSPLIT_THP, Result.FAILED, -EBUSY, False, page.mapped)
    return Handling(Type.UNSPLIT_THP, Result.IGNORED, -EBUSY)


def _unmap_failed(semantics: Semantics, page: PoisonedPage, flags: frozenset[Flag]) -> Handling:
    result = Result.FAILED if semantics.unmap_failure_sigbus else Result.IGNORED
    kills = forcekill(semantics, page, flags)
    return Handling(Type.UNMAP_FAILED, result, -EBUSY, False, kills)


def forcekill(semantics: Semantics, page: PoisonedPage, flags: frozenset[Flag]) -> bool:
    """Return whether the collected processes are signalled, rather than let go."""
    failed = semantics.unmap_failure_kills and not page.unmaps
    return page.dirty or Flag.MUST_KILL in flags or failed


def identify_page_state(page: PoisonedPage) -> tuple[Type, Result]:
    """
    Return the class of a page after its unmapping, and the result of the action for it.

    The first row of the table that the page's flags fit (error_states[], mm/memory-failure.c).
    Unmapping clears PG_mlocked, so a mapped mlocked page is classified by what else it is.
    """
    if page.kind is Kind.HUGETLB:
        return Type.HUGE, Result.RECOVERED
    for flag, dirty, clean in (
        (page.swapcache, Type.DIRTY_SWAPCACHE, Type.CLEAN_SWAPCACHE),
        (page.mlocked and not page.mapped, Type.DIRTY_MLOCKED_LRU, Type.CLEAN_MLOCKED_LRU),
        (page.unevictable, Type.DIRTY_UNEVICTABLE_LRU, Type.CLEAN_UNEVICTABLE_LRU),
        (page.lru, Type.DIRTY_LRU, Type.CLEAN_LRU),
    ):
        if flag:
            type_ = dirty if page.dirty else clean
            return type_, _acted(page, type_)
    return Type.UNKNOWN, Result.FAILED


def _acted(page: PoisonedPage, type_: Type) -> Result:
    """Return the result of the action: references that are left turn it into a failure."""
    if page.extra_references:
        return Result.FAILED
    return Result.DELAYED if type_ is Type.DIRTY_SWAPCACHE else Result.RECOVERED


# Who gets which signal.


@dataclass(frozen=True)
class Task:
    """
    A process. ``maps``: it maps the page. ``covers``: a VMA of it covers the file's offset.

    ``current``: it is the one that reported the failure, by madvise() or by touching the page.
    """

    pid: int
    maps: bool = True
    covers: bool = True
    policy: Policy = Policy.DEFAULT
    current: bool = False


def task_early_kill(
    semantics: Semantics, task: Task, action_required: bool, early_kill: bool = False
) -> bool:
    """
    Return whether a process is collected. ``early_kill``: vm.memory_failure_early_kill.

    Threads count as their process: the first one with a policy decides.
    """
    if action_required and task.current:
        return True
    # Since Linux kernel commit 30c9cf492704 ("mm,hwpoison: send SIGBUS to PF_MCE_EARLY processes
    # on action required events") (in v5.13), the others get a chance too.
    if action_required and not semantics.action_required_for_others:
        return False
    return early_kill if task.policy is Policy.DEFAULT else task.policy is Policy.EARLY


def collect_procs(
    semantics: Semantics,
    page: PoisonedPage,
    tasks: Iterable[Task],
    flags: frozenset[Flag],
    early_kill: bool = False,
) -> tuple[Task, ...]:
    """Return the processes that are to hear of the failure, before they are signalled."""
    required = Flag.ACTION_REQUIRED in flags
    return tuple(
        task
        for task in tasks
        if (task.covers if page.kind is Kind.FILE else task.maps)
        and task_early_kill(semantics, task, required, early_kill)
    )


def signals(
    semantics: Semantics,
    page: PoisonedPage,
    tasks: Iterable[Task],
    flags: frozenset[Flag],
    early_kill: bool = False,
) -> dict[int, Signal]:
    """Return the signal that each process gets while the failure is handled, by pid."""
    tasks = tuple(tasks)
    if page.kind is Kind.DAX:  # mf_generic_kill_procs(): the data is gone, nobody can go on
        flags = flags | {Flag.ACTION_REQUIRED, Flag.MUST_KILL}
    if page.poisoned:
        return _kill_accessing_process(semantics, tasks, flags)
    if not memory_failure(semantics, page, flags).kills:
        return {}
    collected = collect_procs(semantics, page, tasks, flags, early_kill)
    return {task.pid: _kill_proc(semantics, page, task, flags) for task in collected}


def _kill_proc(
    semantics: Semantics, page: PoisonedPage, task: Task, flags: frozenset[Flag]
) -> Signal:
    # Since Linux kernel commit aa298fdf535d ("mm/memory-failure: try to send SIGBUS even if unmap
    # failed") (in v6.11), a page that stays mapped is no reason for SIGKILL.
    split = page.splits or not page.thp
    if split and not page.unmaps and not semantics.unmap_failure_sigbus:
        return Signal.SIGKILL
    if Flag.ACTION_REQUIRED in flags and task.current:
        return Signal.SIGBUS_AR
    return Signal.SIGBUS_AO


def _kill_accessing_process(
    semantics: Semantics, tasks: tuple[Task, ...], flags: frozenset[Flag]
) -> dict[int, Signal]:
    """A page that was poisoned before: only who touched it just now is told, since v5.14."""
    if not semantics.kill_accessing_process or Flag.ACTION_REQUIRED not in flags:
        return {}
    return {task.pid: Signal.SIGBUS_AR for task in tasks if task.current and task.maps}


def touch_later(page: PoisonedPage, handling: Handling) -> Signal | None:
    """
    Return what a process gets that touches the page after it was handled: the late kill.

    None where the data is read again (a clean page of a file) or the page stayed mapped.
    """
    lost = page.dirty or page.kind is not Kind.FILE
    return Signal.SIGBUS_AR if handling.unmapped and lost else None


def si_addr_lsb(page: PoisonedPage) -> int:
    """Return si_addr_lsb of the SIGBUS: log2 of the bytes that are lost."""
    return HUGE_PAGE_SHIFT if page.kind is Kind.HUGETLB else PAGE_SHIFT


def outcomes(semantics: Semantics) -> frozenset[tuple[Type, Result, int]]:
    """Return which page types, results and returned values `memory_failure` can report together."""
    return frozenset(
        (done.type, done.result, done.returns)
        for page in _any_page()
        for flags in (frozenset[Flag](), frozenset({Flag.COUNT_INCREASED}))
        for done in (memory_failure(semantics, page, flags),)
        if done.type is not None and done.result is not None
    )


def _any_page() -> Iterator[PoisonedPage]:
    """Yield pages in every state that decides on the outcome."""
    states = ("dirty", "mapped", "swapcache", "mlocked", "unevictable", "lru")
    for kind, values in product(Kind, product((False, True), repeat=len(states))):
        page = PoisonedPage(kind, **dict(zip(states, values, strict=True)))
        yield page
        yield replace(page, unmaps=False)
        yield replace(page, thp=True, splits=False)
        yield replace(page, truncated=True)
        yield replace(page, extra_references=True)
        yield replace(page, poisoned=True)
