"""The small histories that the commands ask."""

from __future__ import annotations

import pytest
from rmapwatch.kernels.semantics import PRESETS, before
from rmapwatch.model.cow import CowOutcome
from rmapwatch.model.rmap import Op
from rmapwatch.model.scenarios import (
    LastSharer,
    chains_copied,
    ksm_walks,
    last_sharer,
    thp_history,
)

LAB = ["v5.10", "v6.1", "v6.12", "v7.3"]


@pytest.mark.parametrize("kernel", LAB)
def test_a_huge_page_from_map_to_exit(kernel: str) -> None:
    steps = thp_history(PRESETS[kernel], pages=8, children=3)
    assert [step.folio_mapcount for step in steps] == [1, 4, 3 + 8, 3 + 7, 1, 0]
    assert [step.page_mapcount for step in steps] == [1, 4, 4, 3, 1, 0]
    tracked = kernel == "v7.3"
    shared = [False, True, True, True, False, False]
    assert [step.maybe_shared for step in steps] == (shared if tracked else [None] * 6)
    assert any(step.double_map for step in steps) == (kernel in ("v5.10", "v6.1"))


@pytest.mark.parametrize("kernel", LAB)
def test_the_last_sharer(kernel: str) -> None:
    moved = LastSharer(CowOutcome.REUSE_AND_MOVE, 10, 1, 10, 1)
    stays = LastSharer(CowOutcome.REUSE, 10, 10, 10, 10)
    assert last_sharer(PRESETS[kernel], 9) == (stays if kernel == "v5.10" else moved)


@pytest.mark.parametrize("kernel", LAB)
def test_ksm_after_forks(kernel: str) -> None:
    for scanned, restore in ((False, 9), (True, 15)):
        walks = ksm_walks(PRESETS[kernel], sharers=3, forks=2, scanned=scanned)
        assert walks[Op.UNMAP] == walks[Op.REFERENCE] == 9
        assert walks[Op.RESTORE] == restore


@pytest.mark.parametrize("kernel", LAB)
def test_chains_grow_with_each_generation_that_lives(kernel: str) -> None:
    assert chains_copied(PRESETS[kernel], 7, alive=True) == [1, 2, 3, 4, 5, 6, 7]
    # An anon_vma whose only VMA has gone is taken again.
    assert chains_copied(PRESETS[kernel], 7, alive=False) == [1, 2, 3, 3, 3, 3, 3]


def test_chains_before_anon_vmas_were_taken_again() -> None:
    endless = chains_copied(before("anon_vma_reuse"), 7, alive=False)
    assert endless == [1, 2, 3, 4, 5, 6, 7]
    assert chains_copied(before("anon_vma_chains"), 3, alive=True) == [1, 1, 1]
