"""The seed's numbers, by simulation and in closed form."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rmapwatch.kernels.semantics import PRESETS, Semantics, after, before
from rmapwatch.model.fork_storm import Storm, StormCost, closed_form, simulate
from rmapwatch.model.history import Fork, Map, Operation, Write, replay
from rmapwatch.model.rmap import Op, rmap_walk

Answer = Callable[[Semantics, Storm], StormCost]
OLD, NEW = before("anon_vma_chains"), after("anon_vma_chains")


@pytest.mark.parametrize("answer", [simulate, closed_form])
def test_a_thousand_children_with_a_thousand_pages(answer: Answer) -> None:
    began = time.process_time()
    old, new = answer(OLD, Storm(1000, 1000)), answer(NEW, Storm(1000, 1000))
    assert time.process_time() - began < 2
    assert old.mean_linked == 1001
    assert new.mean_linked == Fraction(1000 * 1000 + 1000 * 1001, 1001000)
    assert old.pages == new.pages == 1001000
    # child k is the (k + 1)th in the list, the parent the first
    positions = sum(range(2, 1002)) + 1
    assert (old.mean_entered, new.mean_entered) == (Fraction(positions * 1000, 1001000), 1)


def test_a_million_processes_at_once() -> None:
    began = time.process_time()
    new = closed_form(NEW, Storm(1_000_000, 1000))
    assert time.process_time() - began < 0.1
    assert float(new.mean_linked) == pytest.approx(2, abs=1e-5)


@given(
    st.sampled_from(sorted(PRESETS)),
    st.integers(1, 12),
    st.integers(1, 50),
    st.integers(0, 12),
    st.booleans(),
)
def test_the_closed_form_is_the_simulation(
    kernel: str, children: int, pages: int, cowed: int, last: bool
) -> None:
    storm = Storm(children, pages, min(cowed, children), last)
    assert closed_form(PRESETS[kernel], storm) == simulate(PRESETS[kernel], storm)


@given(st.sampled_from(sorted(PRESETS)), st.integers(1, 6), st.integers(1, 4), st.integers(0, 6))
def test_one_page_stands_for_all(kernel: str, children: int, pages: int, cowed: int) -> None:
    """The same storm with every page replayed."""
    storm = Storm(children, pages, min(cowed, children))
    ops: list[Operation] = [Map(0, 0, 0x100, pages)]
    ops += [Write(0, 0, offset) for offset in range(pages)]
    ops += [Fork(0, child) for child in range(1, children + 1)]
    writers = range(children - storm.writers + 1, children + 1)
    ops += [Write(child, 0, offset) for child in writers for offset in range(pages)]
    machine = replay(PRESETS[kernel], ops)
    found = [
        (len(walk.linked), len(walk.entered))
        for walk in (rmap_walk(machine, page, Op.REFERENCE) for page in machine.every_page())
    ]
    cost = simulate(PRESETS[kernel], storm)
    assert len(found) == cost.pages
    assert Fraction(sum(linked for linked, _ in found), len(found)) == cost.mean_linked
    assert Fraction(sum(entered for _, entered in found), len(found)) == cost.mean_entered
