"""The reference check against the tables that were verified on the lab kernels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rmapwatch.kernels.semantics import PRESETS, after, before
from rmapwatch.model import references as r
from rmapwatch.model.references import (
    GAVE_UP,
    VM_EXEC,
    VM_LOCKED,
    VM_RAND_READ,
    VM_SEQ_READ,
    Decision,
    Outcome,
    ReferenceCheck,
    Visit,
    WalkedFolio,
    folio_referenced,
    page_check_references,
)

RECLAIM, CLEAN, KEEP, ACTIVATE = (
    Decision.RECLAIM,
    Decision.RECLAIM_CLEAN,
    Decision.KEEP,
    Decision.ACTIVATE,
)
SMALL = WalkedFolio()


def decide(kernel: str, check: ReferenceCheck) -> Decision:
    return page_check_references(PRESETS[kernel], check).decision


def classic_checks() -> Iterable[ReferenceCheck]:
    for n, flags, referenced, swapbacked in product(
        (0, 1, 2, 7), (0, VM_EXEC, VM_LOCKED, VM_LOCKED | VM_EXEC), (False, True), (False, True)
    ):
        yield ReferenceCheck(n, flags, referenced, swapbacked, anon=swapbacked)


def test_5_10_decides_as_its_source_says() -> None:
    for c in classic_checks():
        if c.vm_flags & VM_LOCKED:
            expected = RECLAIM
        elif c.referenced:
            activate = c.page_referenced or c.referenced > 1
            activate = activate or (bool(c.vm_flags & VM_EXEC) and not c.swapbacked)
            expected = ACTIVATE if activate else KEEP
        else:
            expected = CLEAN if c.page_referenced and not c.swapbacked else RECLAIM
        assert decide("v5.10", c) is expected, c


@pytest.mark.parametrize("kernel", ["v6.1", "v6.12"])
@pytest.mark.parametrize("lru_gen", [False, True])
def test_6_1_and_6_12_differ_from_5_10_in_mlock_and_bail_out_alone(
    kernel: str, lru_gen: bool
) -> None:
    for c in classic_checks():
        expected = ACTIVATE if c.vm_flags & VM_LOCKED else decide("v5.10", c)
        assert decide(kernel, replace(c, lru_gen=lru_gen)) is expected, c
        gave_up = replace(c, referenced=GAVE_UP)
        assert decide(kernel, gave_up) is (ACTIVATE if c.vm_flags & VM_LOCKED else KEEP)


def test_7_3_classic_has_no_reclaim_clean() -> None:
    for c in classic_checks():
        expected = decide("v6.12", c)
        assert decide("v7.3", c) is (RECLAIM if expected is CLEAN else expected), c


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (ReferenceCheck(0, 0, True), Outcome(RECLAIM, True)),
        (ReferenceCheck(0, 0, False, workingset=True), Outcome(RECLAIM, False, True)),
        (ReferenceCheck(1), Outcome(KEEP, True)),
        (ReferenceCheck(9), Outcome(KEEP, True)),
        (ReferenceCheck(1, VM_EXEC), Outcome(ACTIVATE, False, True)),
        (ReferenceCheck(1, VM_EXEC, swapbacked=True), Outcome(KEEP, True)),
        (ReferenceCheck(1, 0, True), Outcome(ACTIVATE, True)),
        (ReferenceCheck(1, 0, True, refs=2), Outcome(ACTIVATE, False, True)),
        (ReferenceCheck(1, workingset=True), Outcome(ACTIVATE, True, True)),
        (ReferenceCheck(1, VM_LOCKED), Outcome(ACTIVATE, False)),
        (ReferenceCheck(GAVE_UP, 0, True), Outcome(KEEP, True)),
    ],
)
def test_7_3_mglru(check: ReferenceCheck, expected: Outcome) -> None:
    assert page_check_references(PRESETS["v7.3"], replace(check, lru_gen=True)) == expected


@pytest.mark.parametrize("kernel", ["v5.10", "v6.1", "v6.12"])
def test_the_mark_is_taken_even_when_mlock_decides_but_not_on_7_3(kernel: str) -> None:
    check = ReferenceCheck(1, VM_LOCKED, page_referenced=True)
    assert not page_check_references(PRESETS[kernel], check).page_referenced
    assert page_check_references(PRESETS["v7.3"], check).page_referenced


def test_before_the_commit_any_reference_to_a_page_in_use_activates() -> None:
    old = before("used_once")
    for n, referenced in product((0, 1, 2), (False, True)):
        check = ReferenceCheck(n, page_referenced=referenced)
        seen = n > 0 or referenced
        assert page_check_references(old, check).decision is (ACTIVATE if seen else RECLAIM)
        unused = replace(check, in_use=False)
        assert page_check_references(old, unused).decision is (CLEAN if seen else RECLAIM)
        locked = replace(check, vm_flags=VM_LOCKED)
        assert page_check_references(old, locked).decision is (CLEAN if seen else RECLAIM)
        lumpy = replace(check, lumpy=True)
        assert page_check_references(old, lumpy).decision is RECLAIM


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (ReferenceCheck(1), Outcome(KEEP, True)),
        (ReferenceCheck(5), Outcome(KEEP, True)),
        (ReferenceCheck(1, VM_EXEC), Outcome(KEEP, True)),
        (ReferenceCheck(1, 0, True), Outcome(ACTIVATE, True)),
        (ReferenceCheck(1, anon=True, swapbacked=True), Outcome(ACTIVATE, False)),
        (ReferenceCheck(0), Outcome(RECLAIM, False)),
        (ReferenceCheck(0, 0, True), Outcome(CLEAN, False)),
        (ReferenceCheck(0, 0, True, swapbacked=True), Outcome(CLEAN, False)),
        (ReferenceCheck(1, VM_LOCKED, True), Outcome(RECLAIM, False)),
        (ReferenceCheck(1, 0, True, lumpy=True), Outcome(RECLAIM, False)),
    ],
)
def test_after_the_commit_a_page_must_be_used_twice(
    check: ReferenceCheck, expected: Outcome
) -> None:
    assert page_check_references(after("used_once"), check) == expected


def test_shared_and_executable_pages_need_one_look_since_3_3() -> None:
    assert page_check_references(
        before("shared_file_pages_activate"), ReferenceCheck(2)
    ) == Outcome(KEEP, True)
    assert page_check_references(after("shared_file_pages_activate"), ReferenceCheck(2)) == Outcome(
        ACTIVATE, True
    )
    executable = ReferenceCheck(1, VM_EXEC)
    assert page_check_references(before("executable_pages_activate"), executable).decision is KEEP
    assert (
        page_check_references(after("executable_pages_activate"), executable).decision is ACTIVATE
    )


def test_giving_up_is_refused_where_no_walk_gives_up() -> None:
    with pytest.raises(ValueError, match="never gives up"):
        decide("v5.10", ReferenceCheck(GAVE_UP))


CHECKS = st.builds(
    ReferenceCheck,
    st.integers(GAVE_UP, 5),
    st.sampled_from((0, VM_EXEC, VM_LOCKED, VM_EXEC | VM_LOCKED)),
    *[st.booleans()] * 5,
    st.integers(0, 3),
)


@given(st.sampled_from(sorted(PRESETS)), CHECKS)
def test_the_column_form_is_the_rule(kernel: str, check: ReferenceCheck) -> None:
    semantics = PRESETS[kernel]
    column = r.decision_table(semantics)[r.decision_key(check)]
    if check.referenced == GAVE_UP and not r.gives_up(semantics):
        assert column is None
    else:
        assert column is page_check_references(semantics, check).decision


def test_the_key_of_columns_is_a_column() -> None:
    checks = r.all_checks()
    columns = ReferenceCheck(
        *(
            np.array([getattr(check, field.name) for check in checks])  # type: ignore[arg-type]
            for field in fields(ReferenceCheck)
        )
    )
    keys = r.decision_key(columns)
    assert list(keys) == [r.decision_key(check) for check in checks]  # type: ignore[call-overload]
    assert sorted(keys) == list(range(len(checks)))  # type: ignore[call-overload]


def test_counters_of_a_batch() -> None:
    decided = [(KEEP, 1, False), (KEEP, 512, False), (ACTIVATE, 4, False), (ACTIVATE, 1, True)]
    assert r.reclaim_stat([*decided, (RECLAIM, 7, False)]) == r.Counted(513, 4)


def test_mglru_before_7_3_keeps_marked_folios_without_asking() -> None:
    asked = {k: not r.skips_check(PRESETS[k], True, True, True) for k in PRESETS}
    assert [k for k, v in asked.items() if not v] == ["v6.1", "v6.12"]
    assert not r.skips_check(PRESETS["v6.1"], False, True, True)
    assert not r.skips_check(PRESETS["v6.1"], True, True, False)


def test_only_the_first_mglru_marks_what_it_looks_at() -> None:
    assert [k for k in PRESETS if r.marked_by_look_around(PRESETS[k], True, True)] == ["v6.1"]
    assert not r.marked_by_look_around(PRESETS["v6.1"], True, young_pte=False)


def test_pageout_runs_the_check_on_5_10_and_6_1_only() -> None:
    ignoring = [k for k in PRESETS if r.ignores_references(PRESETS[k], r.Caller.PAGEOUT)]
    assert ignoring == ["v6.12", "v7.3"]
    assert r.ignores_references(PRESETS["v5.10"], r.Caller.CLEAN_PAGES)
    assert not r.ignores_references(PRESETS["v7.3"], r.Caller.LRU)


def test_a_folio_that_cannot_be_locked_counts_as_referenced() -> None:
    for kernel in PRESETS:
        anon = r.without_walk(PRESETS[kernel], False, False, anon_not_ksm=True)
        assert anon == (1 if kernel == "v7.3" else None)
        assert r.without_walk(PRESETS[kernel], False, False, anon_not_ksm=False) == 1
        assert r.without_walk(PRESETS[kernel], True, False, anon_not_ksm=False) is None
        assert r.without_walk(PRESETS[kernel], False, True, anon_not_ksm=False) is None


# The walk.


def walk(kernel: str, *visits: Visit, folio: WalkedFolio = SMALL) -> tuple[int, int, int]:
    found = folio_referenced(PRESETS[kernel], folio, visits)
    return found.referenced, found.vm_flags, found.entered


@pytest.mark.parametrize("kernel", sorted(PRESETS))
def test_the_walk_counts_vmas_and_ends_at_the_last_mapping(kernel: str) -> None:
    useless, young, old = Visit(maps=0), Visit(young=True, vm_flags=VM_EXEC), Visit()
    assert walk(kernel, useless, young, useless, old, useless) == (1, VM_EXEC, 4)
    assert walk(kernel, useless) == (0, 0, 0)


@pytest.mark.parametrize("flag", [VM_SEQ_READ, VM_RAND_READ])
def test_vmas_without_recency_are_passed_over_since_6_3(flag: int) -> None:
    seq, plain = Visit(young=True, vm_flags=flag), Visit(young=True)
    counted = int(flag == VM_RAND_READ)
    for kernel in ("v5.10", "v6.1"):
        assert walk(kernel, seq, plain) == (1 + counted, flag * counted, 2)
    for kernel in ("v6.12", "v7.3"):
        # its mapping is never found, so the walk goes on to the end
        assert walk(kernel, seq, plain, Visit(maps=0)) == (1, 0, 2)
        assert walk(kernel, Visit(young=True, noreuse=True)) == (0, 0, 0)


def test_memcg_reclaim_passes_over_other_mms() -> None:
    for kernel in PRESETS:
        outside = Visit(young=True, outside_memcg=True)
        assert walk(kernel, outside, Visit(young=True), Visit(maps=0)) == (1, 0, 2)


def test_an_mlocked_vma_ends_the_walk() -> None:
    locked, young = Visit(young=True, vm_flags=VM_LOCKED), Visit(young=True)
    for kernel in PRESETS:
        assert walk(kernel, young, locked, young) == (1, VM_LOCKED, 2)
        # without a mapping it is just another useless VMA
        assert walk(kernel, Visit(maps=0, vm_flags=VM_LOCKED), young) == (1, 0, 2)


def test_an_mlocked_vma_and_a_part_of_a_large_folio() -> None:
    large = WalkedFolio(pages=16)
    part = Visit(maps=4, young=True, vm_flags=VM_LOCKED)
    rest = Visit(maps=12, young=True)
    assert walk("v5.10", part, rest, folio=large) == (0, VM_LOCKED, 1)
    assert walk("v6.1", part, rest, folio=large) == (2, 0, 2)
    assert walk("v6.12", part, rest, folio=large) == (1, 0, 2)
    whole = replace(part, maps=16)
    assert walk("v6.1", whole, rest, folio=large) == (2, 0, 2)
    assert walk("v6.12", whole, rest, folio=large) == (0, VM_LOCKED, 1)
    pmd = replace(whole, pmd=True)
    for kernel in PRESETS:
        assert walk(kernel, pmd, rest, folio=large) == (0, VM_LOCKED, 1)


def test_the_folio_of_an_exiting_process_is_left_alone_since_6_12() -> None:
    exiting = Visit(young=True, exiting=True)
    anon = WalkedFolio(swapbacked_anon=True)
    for kernel in ("v5.10", "v6.1"):
        assert walk(kernel, exiting, folio=anon) == (1, 0, 1)
    for kernel in ("v6.12", "v7.3"):
        assert walk(kernel, exiting, folio=anon) == (GAVE_UP, 0, 1)
        assert walk(kernel, exiting, Visit(), folio=replace(anon, shared=True)) == (1, 0, 2)
        assert walk(kernel, exiting, folio=SMALL) == (1, 0, 1)
