"""What a stream of pages used once does to a working set."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rmapwatch.kernels.semantics import PRESETS, after, before
from rmapwatch.model import lru
from rmapwatch.model.lru import Stream, survive

OLD, NEW = before("used_once"), after("used_once")


def test_the_working_set_survives_since_the_commit() -> None:
    load = Stream()
    old, new = survive(OLD, load), survive(NEW, load)
    assert new.survivors == tuple(range(load.working_set))
    assert new.activated_stream == 0
    assert old.survivors == ()
    assert old.activated_stream > load.rounds * load.stream // 2
    assert sum(new.refaults[load.rounds // 2 :]) == 0
    assert sum(old.refaults[load.rounds // 2 :]) > load.working_set


def test_the_figures_of_the_docs() -> None:
    """docs/model.md shows them; they move when a page is aged in another way."""
    old = survive(OLD, Stream())
    assert (sum(old.refaults[8:]), old.activated_stream) == (877, 9371)


def test_a_deactivated_page_that_is_not_used_again_goes_at_the_next_look() -> None:
    lists = lru._Lists(free=0, active=OrderedDict({1: False}), young={1})
    lru._shrink_active_list(lists)
    assert (list(lists.active), list(lists.inactive), lists.young) == ([], [1], set())
    lru._shrink_inactive_page(NEW, lists, 1)
    assert (list(lists.inactive), lists.free) == ([], 1)


@pytest.mark.parametrize("kernel", ["v5.10", "v6.1", "v6.12", "v7.3"])
def test_kernels_since_keep_it_as_well(kernel: str) -> None:
    assert survive(PRESETS[kernel], Stream()) == survive(NEW, Stream())


def test_without_a_stream_nothing_is_lost() -> None:
    for semantics in (OLD, NEW):
        found = survive(semantics, Stream(stream=0))
        assert len(found.survivors) == 300
        assert sum(found.refaults) == 0


@settings(max_examples=30)
@given(st.integers(1, 80), st.integers(0, 120), st.integers(1, 5))
def test_the_figures_fit_together(working_set: int, stream: int, rounds: int) -> None:
    load = Stream(memory=100, working_set=working_set, stream=stream, rounds=rounds)
    for semantics in (OLD, NEW):
        found = survive(semantics, load)
        assert len(found.resident) == len(found.refaults) == rounds
        # read again in a round is at least what was missing when it began
        for present, missed in zip(found.resident, found.refaults, strict=True):
            assert missed >= working_set - present
        assert set(found.survivors) <= set(range(working_set))
        assert found.activated_stream <= stream * rounds
