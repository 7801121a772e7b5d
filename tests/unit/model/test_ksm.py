"""KSM: walks, swap-ins and merges as measured on the lab kernels."""

from __future__ import annotations

import pytest
from rmapwatch.kernels.semantics import PRESETS, after, before
from rmapwatch.model.history import (
    Advise,
    Exit,
    Fork,
    Map,
    Merge,
    Operation,
    Remap,
    Unmap,
    Write,
    replay,
)
from rmapwatch.model.ksm import (
    KsmCounters,
    SwapIn,
    SwapInPage,
    ksm_might_need_to_copy,
    merge,
    rmap_walk_ksm,
    skip_age,
)
from rmapwatch.model.references import VM_SEQ_READ
from rmapwatch.model.rmap import Op

LAB = ["v5.10", "v6.1", "v6.12", "v7.3"]
EARLY_EXIT = (Op.REFERENCE, Op.UNMAP, Op.MIGRATE)
K, F = 3, 4


def merged(*more: Operation) -> list[Operation]:
    """One process with K equal pages, merged; ksmd comes no more unless told to."""
    start: list[Operation] = [Map(0, 0, 0x100, K)]
    start += [Write(0, 0, k) for k in range(K)]
    return [*start, Merge(tuple((0, 0, k) for k in range(K))), *more]


def entered(semantics: object, ops: list[Operation], op: Op) -> int:
    machine = replay(semantics, ops)  # type: ignore[arg-type]
    return len(rmap_walk_ksm(machine, machine.page(0, K - 1), op).entered)


FORKS = [Fork(0, child) for child in range(1, F + 1)]


@pytest.mark.parametrize("kernel", LAB)
class TestCounts:
    def check(self, kernel: str, ops: list[Operation], early: int, restore: int) -> None:
        for op in EARLY_EXIT:
            assert entered(PRESETS[kernel], ops, op) == early, op
        assert entered(PRESETS[kernel], ops, Op.RESTORE) == restore

    def test_one_process(self, kernel: str) -> None:
        self.check(kernel, merged(), K, K)

    def test_forks_that_ksmd_has_not_seen(self, kernel: str) -> None:
        self.check(kernel, merged(*FORKS), K + K * F, K + K * F)

    def test_a_fork_that_ksmd_has_seen(self, kernel: str) -> None:
        again = Merge(tuple((1, 0, k) for k in range(K)))
        self.check(kernel, merged(Fork(0, 1), again), 2 * K, 3 * K)

    def test_unrelated_processes(self, kernel: str) -> None:
        ops: list[Operation] = [Map(process, 0, 0x100, K) for process in range(F)]
        ops += [Write(process, 0, K - 1) for process in range(F)]
        ops.append(Merge(tuple((process, 0, K - 1) for process in range(F))))
        self.check(kernel, ops, F, F)

    def test_a_copied_address_is_still_visited_an_unmapped_one_is_not(self, kernel: str) -> None:
        # the oldest item comes last, when every mapping has been found already
        self.check(kernel, merged(Write(0, 0, 0)), K - 1, K)
        machine = replay(PRESETS[kernel], merged(Write(0, 0, K - 1)))
        assert len(rmap_walk_ksm(machine, machine.page(0, 0), Op.UNMAP).entered) == K
        other: list[Operation] = [Map(1, 0, 0x100, 1), Write(1, 0, 0)]
        ops = [*merged()[:-1], *other, Merge(((0, 0, K - 1), (1, 0, 0)))]
        self.check(kernel, [*ops, Unmap(1, 0)], 1, 1)
        self.check(kernel, [*ops, Exit(1)], 1, 1)

    def test_the_newest_item_comes_first_and_the_own_mm_before_the_others(
        self, kernel: str
    ) -> None:
        machine = replay(PRESETS[kernel], merged(Fork(0, 1)))
        walk = rmap_walk_ksm(machine, machine.page(0, 0), Op.RESTORE)
        assert [vma.process for vma in walk.entered] == [0] * K + [1] * K

    def test_the_move_of_a_range_unmerges_it_first(self, kernel: str) -> None:
        machine = replay(PRESETS[kernel], merged(Remap(0, 0, 0x900)))
        assert not any(page.ksm for page in machine.every_page())

    def test_a_vma_without_recency(self, kernel: str) -> None:
        ops = merged(Fork(0, 1), Advise(1, 0, VM_SEQ_READ))
        skipped = 0 if kernel in ("v5.10", "v6.1") else K
        assert entered(PRESETS[kernel], ops, Op.REFERENCE) == 2 * K - skipped
        assert entered(PRESETS[kernel], ops, Op.UNMAP) == 2 * K


def test_the_second_pass_finds_what_fork_duplicated() -> None:
    ops = merged(*FORKS)
    assert entered(before("ksm_anon_vma"), ops, Op.UNMAP) == K
    assert entered(after("ksm_anon_vma"), ops, Op.UNMAP) == K + K * F
    assert entered(before("ksm_swappable"), ops, Op.UNMAP) == 0
    assert entered(before("ksm_migration"), ops, Op.RESTORE) == 0
    assert entered(after("ksm_migration"), ops, Op.RESTORE) == K + K * F


# ksm_might_need_to_copy


@pytest.mark.parametrize(
    ("page", "verdict"),
    [
        (SwapInPage(), SwapIn.SAME),
        (SwapInPage(ksm=True), SwapIn.SAME),
        (SwapInPage(ksm=True, same_root=False), SwapIn.SAME),
        (SwapInPage(ksm=True, unmerging=True), SwapIn.COPY),
        (SwapInPage(has_anon_vma=False), SwapIn.SAME),
        (SwapInPage(same_root=False), SwapIn.COPY),
        (SwapInPage(same_anon_vma=False), SwapIn.SAME),
        (SwapInPage(same_index=False), SwapIn.COPY),
        (SwapInPage(same_index=False, uptodate=False), SwapIn.SAME),
        (SwapInPage(same_index=False, memory=False), SwapIn.NO_MEMORY),
    ],
)
def test_what_a_swap_in_copies(page: SwapInPage, verdict: SwapIn) -> None:
    for kernel in LAB:
        assert ksm_might_need_to_copy(PRESETS[kernel], page) is verdict


def test_what_differs_between_kernels() -> None:
    relative = SwapInPage(same_anon_vma=False)
    assert ksm_might_need_to_copy(PRESETS["v2.6.34"], relative) is SwapIn.COPY
    poisoned = SwapInPage(same_index=False, poisoned=True)
    large = SwapInPage(same_index=False, large=True)
    for kernel in LAB:
        old = kernel in ("v5.10", "v6.1")
        assert ksm_might_need_to_copy(PRESETS[kernel], poisoned) is (
            SwapIn.COPY if old else SwapIn.POISONED
        )
        assert ksm_might_need_to_copy(PRESETS[kernel], large) is (
            SwapIn.COPY if old else SwapIn.SAME
        )
    assert ksm_might_need_to_copy(PRESETS["v2.6.32"], relative) is SwapIn.SAME


# ksmd


@pytest.mark.parametrize("kernel", LAB)
def test_six_equal_pages_and_room_for_two_in_a_node(kernel: str) -> None:
    found = merge(PRESETS[kernel], [7] * 6, passes=3, max_page_sharing=2)
    assert found == KsmCounters(
        pages_shared=3,
        pages_sharing=3,
        pages_unshared=0,
        stable_node_chains=1,
        stable_node_dups=3,
        pages_skipped=0,
    )


@pytest.mark.parametrize("kernel", LAB)
def test_merging_takes_two_passes_and_three_at_most(kernel: str) -> None:
    assert merge(PRESETS[kernel], [1] * 5, passes=1).pages_shared == 0
    two = merge(PRESETS[kernel], [1] * 5, passes=2)
    assert (two.pages_shared, two.pages_sharing) == (1, 4)


@pytest.mark.parametrize("kernel", LAB)
def test_a_page_that_comes_later_needs_one_more_scan_since_6_11(kernel: str) -> None:
    late = (0, 0, 2)
    third = merge(PRESETS[kernel], [1] * 3, passes=3, arrivals=late)
    assert third.pages_sharing == (2 if kernel in ("v5.10", "v6.1") else 1)
    assert merge(PRESETS[kernel], [1] * 3, passes=4, arrivals=late).pages_sharing == 2


@pytest.mark.parametrize("kernel", LAB)
def test_shared_and_sharing_are_the_stable_items(kernel: str) -> None:
    contents = [1, 2, 1, 3, 2, 1, 4]
    found = merge(PRESETS[kernel], contents, passes=3)
    assert found.pages_shared + found.pages_sharing == 5
    assert (found.pages_shared, found.pages_unshared) == (2, 2)


def test_before_chains_a_node_has_no_limit() -> None:
    old = merge(before("ksm_chains"), [1] * 9, passes=2, max_page_sharing=2)
    assert (old.pages_shared, old.pages_sharing, old.stable_node_chains) == (1, 8, 0)


def test_smart_scan_skips_pages_that_never_merge() -> None:
    assert merge(PRESETS["v6.1"], [1, 2], passes=20).pages_skipped == 0
    # visits 1-4 and 6; 5 is skipped (age 3), then 2 (age 5), 4 (age 8), 8 (age > 8)
    ages = {age: skip_age(age) for age in (3, 4, 5, 6, 8, 9, 200)}
    assert ages == {3: 1, 4: 2, 5: 2, 6: 4, 8: 4, 9: 8, 200: 8}
    assert merge(PRESETS["v6.12"], [1], passes=4).pages_skipped == 0
    assert merge(PRESETS["v6.12"], [1], passes=5).pages_skipped == 1
