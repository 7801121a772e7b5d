"""do_wp_page(): reuse, copy and move, per kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rmapwatch.kernels.semantics import PRESETS, after, before
from rmapwatch.model.cow import CowOutcome, WpPage, do_wp_page, outcomes

REUSE, MOVE, COPY = CowOutcome.REUSE, CowOutcome.REUSE_AND_MOVE, CowOutcome.COPY
KERNELS = ["v2.6.33", "v2.6.34", "v5.10", "v6.1", "v6.12", "v7.3"]
ALONE = WpPage()  # the child exited: one mapping, nothing marks the page exclusive


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (ALONE, [REUSE, MOVE, REUSE, MOVE, MOVE, MOVE]),
        (replace(ALONE, exclusive=True), [REUSE, MOVE, REUSE, REUSE, REUSE, REUSE]),
        (WpPage(mapcount=2, references=2), [COPY] * 6),
        (WpPage(ksm=True), [COPY] * 6),
        (WpPage(anon=False), [COPY] * 6),
        (replace(ALONE, lockable=False), [COPY] * 6),
        # a swap slot of its own only
        (WpPage(swapcache=True, references=2), [REUSE, MOVE, COPY, MOVE, MOVE, MOVE]),
        (WpPage(swapcache=True, references=2, swap_users=1), [COPY] * 6),
        # a per-CPU batch holds a reference, a foreign one cannot be drained
        (WpPage(lru_cached=True, references=2), [REUSE, MOVE, COPY, MOVE, MOVE, MOVE]),
        (WpPage(references=2), [REUSE, MOVE, COPY, COPY, COPY, COPY]),
        (WpPage(large=True), [REUSE, MOVE, REUSE, MOVE, COPY, COPY]),
        (WpPage(large=True, mm_owns_all=True), [REUSE, MOVE, REUSE, MOVE, COPY, REUSE]),
    ],
)
def test_each_kernel(page: WpPage, expected: list[CowOutcome]) -> None:
    assert [do_wp_page(PRESETS[kernel], page) for kernel in KERNELS] == expected


def test_the_commit_adds_the_move() -> None:
    assert do_wp_page(before("do_wp_page_moves"), ALONE) is REUSE
    assert do_wp_page(after("do_wp_page_moves"), ALONE) is MOVE


def test_all_that_can_become_of_a_page() -> None:
    anon = [outcomes(PRESETS[kernel]) for kernel in ("v2.6.33", "v2.6.34", "v5.10", "v7.3")]
    assert anon == [{COPY, REUSE}, {COPY, MOVE}, {COPY, REUSE}, {COPY, REUSE, MOVE}]
    for semantics in PRESETS.values():
        assert outcomes(semantics, ksm=True) == outcomes(semantics, anon=False) == {COPY}
