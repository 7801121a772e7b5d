"""memory_failure(): page state to type, result and signals, as measured on the lab kernels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rmapwatch.kernels.semantics import PRESETS, after, before
from rmapwatch.model.memory_failure import (
    EBUSY,
    EHWPOISON,
    ENXIO,
    Flag,
    Injector,
    Kind,
    PoisonedPage,
    Policy,
    Result,
    Signal,
    Task,
    Type,
    collect_procs,
    injector_flags,
    memory_failure,
    si_addr_lsb,
    signals,
    touch_later,
)

LAB = ["v5.10", "v6.1", "v6.12", "v7.3"]
IGNORED, FAILED, DELAYED, RECOVERED = Result
ANON = PoisonedPage(Kind.ANON)
CLEAN_FILE = PoisonedPage(Kind.FILE, dirty=False)
Row = tuple[Type | None, Result | None, int]


def each(page: PoisonedPage, injector: Injector = Injector.CORRUPT_PFN) -> list[Row]:
    rows: list[Row] = []
    for kernel in LAB:
        semantics = PRESETS[kernel]
        handling = memory_failure(semantics, page, injector_flags(semantics, injector))
        rows.append((handling.type, handling.result, handling.returns))
    return rows


def same(type_: Type, result: Result, returns: int = 0) -> list[Row]:
    return [(type_, result, returns)] * 4


@pytest.mark.parametrize(
    ("page", "rows"),
    [
        (
            PoisonedPage(Kind.FREE),
            [(Type.BUDDY, DELAYED, 0)] + [(Type.BUDDY, RECOVERED, 0)] * 3,
        ),
        (
            replace(ANON, poisoned=True),
            [(None, None, 0), (None, None, -EHWPOISON)]
            + [(Type.ALREADY_POISONED, FAILED, -EHWPOISON)] * 2,
        ),
        (
            PoisonedPage(Kind.SLAB),
            [
                (Type.SLAB, FAILED, -EBUSY),
                (Type.UNKNOWN, IGNORED, -EBUSY),
                (Type.GET_HWPOISON, IGNORED, -EBUSY),
                (Type.KERNEL, IGNORED, -EBUSY),
            ],
        ),
        (
            PoisonedPage(Kind.KSM),
            [(Type.UNMAP_FAILED, IGNORED, -EBUSY)] * 2 + [(Type.DIRTY_LRU, RECOVERED, 0)] * 2,
        ),
        (
            replace(ANON, thp=True, splits=False),
            [(Type.UNSPLIT_THP, IGNORED, -EBUSY)] * 2 + [(Type.UNSPLIT_THP, FAILED, -EBUSY)] * 2,
        ),
        (replace(ANON, thp=True), same(Type.DIRTY_LRU, RECOVERED)),
        (ANON, same(Type.DIRTY_LRU, RECOVERED)),
        (replace(ANON, mlocked=True), same(Type.DIRTY_LRU, RECOVERED)),
        (replace(ANON, mlocked=True, mapped=False), same(Type.DIRTY_MLOCKED_LRU, RECOVERED)),
        (replace(ANON, unevictable=True), same(Type.DIRTY_UNEVICTABLE_LRU, RECOVERED)),
        (CLEAN_FILE, same(Type.CLEAN_LRU, RECOVERED)),
        (PoisonedPage(Kind.FILE), same(Type.DIRTY_LRU, RECOVERED)),
        (PoisonedPage(Kind.HUGETLB), same(Type.HUGE, RECOVERED)),
        (replace(ANON, swapcache=True), same(Type.DIRTY_SWAPCACHE, DELAYED)),
        (replace(ANON, swapcache=True, dirty=False), same(Type.CLEAN_SWAPCACHE, RECOVERED)),
        (
            replace(ANON, unmaps=False),
            [(Type.UNMAP_FAILED, IGNORED, -EBUSY)] * 2 + [(Type.UNMAP_FAILED, FAILED, -EBUSY)] * 2,
        ),
        (replace(CLEAN_FILE, truncated=True), same(Type.TRUNCATED_LRU, IGNORED, -EBUSY)),
        (replace(ANON, extra_references=True), same(Type.DIRTY_LRU, FAILED, -EBUSY)),
        (replace(ANON, lru=False), same(Type.UNKNOWN, FAILED, -EBUSY)),
        (PoisonedPage(Kind.HIGH_ORDER), same(Type.KERNEL_HIGH_ORDER, IGNORED, -EBUSY)),
        (PoisonedPage(Kind.DAX), same(Type.DAX, RECOVERED)),
        (
            PoisonedPage(Kind.NO_STRUCT_PAGE),
            [(None, None, -ENXIO)] * 3 + [(Type.PFN_MAP, RECOVERED, 0)],
        ),
    ],
)
def test_state_to_type_and_result(page: PoisonedPage, rows: list[Row]) -> None:
    assert each(page) == rows


def test_a_reserved_page_by_madvise() -> None:
    rows = each(PoisonedPage(Kind.RESERVED), Injector.MADVISE)
    assert rows == [(Type.KERNEL, FAILED, -EBUSY)] + [(Type.KERNEL, IGNORED, -EBUSY)] * 3


def test_a_dirty_file_page_fails_the_next_fsync() -> None:
    for kernel in LAB:
        assert memory_failure(PRESETS[kernel], PoisonedPage(Kind.FILE)).fsync_eio
        assert not memory_failure(PRESETS[kernel], CLEAN_FILE).fsync_eio
        assert not memory_failure(PRESETS[kernel], ANON).fsync_eio


# signals: pid 1 calls, 2 shares the page and wants early kills, 3 shares it and does not care

CALLER = Task(1, current=True)
EARLY = Task(2, policy=Policy.EARLY)
LATE = Task(3)
AR, AO, KILL = Signal.SIGBUS_AR, Signal.SIGBUS_AO, Signal.SIGKILL


def sent(
    kernel: str, page: PoisonedPage, injector: Injector, *tasks: Task, early_kill: bool = False
) -> dict[int, Signal]:
    semantics = PRESETS[kernel]
    flags = injector_flags(semantics, injector)
    return signals(semantics, page, tasks or (CALLER, EARLY, LATE), flags, early_kill)


@pytest.mark.parametrize("kernel", LAB)
class TestSignals:
    def test_madvise_tells_its_caller_at_once_on_6_12_and_newer(self, kernel: str) -> None:
        new = kernel in ("v6.12", "v7.3")
        assert sent(kernel, ANON, Injector.MADVISE) == ({1: AR, 2: AO} if new else {2: AO})

    def test_even_a_caller_with_early_kill_gets_ar_there(self, kernel: str) -> None:
        caller = replace(CALLER, policy=Policy.EARLY)
        new = kernel in ("v6.12", "v7.3")
        assert sent(kernel, ANON, Injector.MADVISE, caller) == {1: AR if new else AO}

    def test_corrupt_pfn_is_never_action_required(self, kernel: str) -> None:
        assert sent(kernel, ANON, Injector.CORRUPT_PFN) == {2: AO}
        everyone = {1: AO, 2: AO, 3: AO}
        assert sent(kernel, ANON, Injector.CORRUPT_PFN, early_kill=True) == everyone

    def test_a_policy_beats_the_sysctl(self, kernel: str) -> None:
        late = replace(LATE, policy=Policy.LATE)
        assert sent(kernel, ANON, Injector.CORRUPT_PFN, late, early_kill=True) == {}

    def test_action_required_on_5_10_is_for_current_alone(self, kernel: str) -> None:
        found = sent(kernel, ANON, Injector.ACTION_REQUIRED)
        assert found == ({1: AR} if kernel == "v5.10" else {1: AR, 2: AO})

    def test_a_clean_file_page_kills_nobody(self, kernel: str) -> None:
        for injector in Injector:
            assert sent(kernel, CLEAN_FILE, injector, early_kill=True) == {}

    def test_ksm_is_collected_since_6_4(self, kernel: str) -> None:
        found = sent(kernel, PoisonedPage(Kind.KSM), Injector.CORRUPT_PFN)
        assert found == ({} if kernel in ("v5.10", "v6.1") else {2: AO})

    def test_a_failed_unmap_kills_for_good_before_6_11(self, kernel: str) -> None:
        stuck = replace(ANON, unmaps=False)
        old = kernel in ("v5.10", "v6.1")
        assert sent(kernel, stuck, Injector.CORRUPT_PFN) == {2: KILL if old else AO}
        clean = replace(CLEAN_FILE, unmaps=False)
        expected = {"v5.10": {}, "v6.1": {2: KILL}}.get(kernel, {2: AO})
        assert sent(kernel, clean, Injector.CORRUPT_PFN) == expected

    def test_a_thp_that_cannot_be_split(self, kernel: str) -> None:
        whole = replace(ANON, thp=True, splits=False)
        old = kernel in ("v5.10", "v6.1")
        assert sent(kernel, whole, Injector.CORRUPT_PFN) == ({} if old else {2: AO})

    def test_a_page_poisoned_before(self, kernel: str) -> None:
        again = replace(ANON, poisoned=True)
        expected = {} if kernel == "v5.10" else {1: AR}
        assert sent(kernel, again, Injector.ACTION_REQUIRED) == expected
        assert sent(kernel, again, Injector.ACTION_OPTIONAL) == {}

    def test_who_is_collected(self, kernel: str) -> None:
        flags = frozenset({Flag.MUST_KILL})
        unmapped = replace(EARLY, maps=False)
        semantics = PRESETS[kernel]
        assert collect_procs(semantics, ANON, [unmapped], flags) == ()
        file = PoisonedPage(Kind.FILE)
        assert collect_procs(semantics, file, [unmapped], flags) == (unmapped,)
        assert collect_procs(semantics, file, [replace(unmapped, covers=False)], flags) == ()

    def test_must_kill_kills_for_a_clean_page(self, kernel: str) -> None:
        flags = frozenset({Flag.MUST_KILL})
        assert signals(PRESETS[kernel], CLEAN_FILE, [EARLY, LATE], flags) == {2: AO}

    def test_the_late_kill(self, kernel: str) -> None:
        handled = memory_failure(PRESETS[kernel], ANON)
        assert touch_later(ANON, handled) is AR
        assert touch_later(CLEAN_FILE, memory_failure(PRESETS[kernel], CLEAN_FILE)) is None
        stuck = replace(ANON, unmaps=False)
        assert touch_later(stuck, memory_failure(PRESETS[kernel], stuck)) is None


def test_what_the_injectors_pass() -> None:
    counted, simulated = Flag.COUNT_INCREASED, Flag.SW_SIMULATED
    madvise = [injector_flags(PRESETS[kernel], Injector.MADVISE) for kernel in LAB]
    required = {counted, simulated, Flag.ACTION_REQUIRED}
    assert madvise == [{counted}, {counted, simulated}, required, required]
    pfn = [injector_flags(PRESETS[kernel], Injector.CORRUPT_PFN) for kernel in LAB]
    assert pfn == [set(), {simulated}, {simulated}, {simulated}]


def test_before_the_commits_there_is_no_handler_and_no_injector() -> None:
    with pytest.raises(ValueError, match="no memory_failure"):
        injector_flags(before("memory_failure"), Injector.ACTION_OPTIONAL)
    assert injector_flags(after("memory_failure"), Injector.ACTION_OPTIONAL) == frozenset()
    with pytest.raises(ValueError, match="no madvise"):
        injector_flags(before("hwpoison_injectors"), Injector.MADVISE)


def test_how_much_is_lost() -> None:
    assert si_addr_lsb(PoisonedPage(Kind.HUGETLB)) == 21
    assert si_addr_lsb(ANON) == 12
