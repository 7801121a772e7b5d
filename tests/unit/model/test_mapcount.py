"""Mapcounts are conserved, wherever a kernel keeps them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rmapwatch.kernels.semantics import PRESETS, Semantics, after, before
from rmapwatch.model import mapcount as m
from rmapwatch.model.mapcount import Folio, new_folio

SEMANTICS = [after("thp"), *(PRESETS[k] for k in ("v5.10", "v6.1", "v6.12", "v7.3"))]
SEMANTICS.append(after("page_double_map_gone"))
Mapping = tuple[int, int | None]  # (mm, base page, or None for a PMD)


def drawn_folio(semantics: Semantics, data: st.DataObject) -> tuple[Folio, Counter[Mapping]]:
    """A folio after a random history, and the mappings that are really there."""
    pages = data.draw(st.sampled_from([1, 2, 4]))
    folio, truth = new_folio(pages, anon=data.draw(st.booleans())), Counter[Mapping]()
    if folio.large and data.draw(st.booleans()):
        folio, truth = m.map_pmd(semantics, folio, 0), Counter({(0, None): 1})
    for _ in range(data.draw(st.integers(0, 14))):
        folio = step(semantics, data, folio, truth)
    return folio, truth


def step(semantics: Semantics, data: st.DataObject, folio: Folio, truth: Counter[Mapping]) -> Folio:
    mm = data.draw(st.integers(0, 3))
    there = sorted(truth.elements(), key=str)
    if not there or data.draw(st.integers(0, 3)) == 0:
        page = data.draw(st.integers(0, len(folio.pages) - 1))
        truth[mm, page] += 1
        return m.map_pte(semantics, folio, page, mm)
    owner, page_or_pmd = data.draw(st.sampled_from(there))
    action = data.draw(st.sampled_from(["fork", "unmap", "split"]))
    if action == "fork":
        truth[mm, page_or_pmd] += 1
        return m.page_dup_rmap(semantics, folio, mm, page_or_pmd)
    truth[owner, page_or_pmd] -= 1
    if page_or_pmd is not None:
        return m.unmap_pte(semantics, folio, page_or_pmd, owner)
    if action == "unmap":
        return m.unmap_pmd(semantics, folio, owner)
    if folio.anon:
        truth.update((owner, page) for page in range(len(folio.pages)))
    return m.split_pmd(semantics, folio, owner)


@given(st.sampled_from(SEMANTICS), st.data())
def test_the_counters_say_what_is_mapped(semantics: Semantics, data: st.DataObject) -> None:
    folio, truth = drawn_folio(semantics, data)
    assert m.folio_mapcount(semantics, folio) == truth.total()
    pmds = sum(count for (_, page), count in truth.items() if page is None)
    for page in range(len(folio.pages)):
        ptes = sum(count for (_, other), count in truth.items() if other == page)
        assert m.page_mapcount(semantics, folio, page) == ptes + pmds


@given(st.data())
def test_not_maybe_shared_is_certain(data: st.DataObject) -> None:
    semantics = PRESETS["v7.3"]
    folio, truth = drawn_folio(semantics, data)
    owners = {mm for mm, _ in truth.elements()}
    if folio.large and not m.folio_maybe_mapped_shared(semantics, folio):
        assert len(owners) <= 1
    counted = Counter(mm for mm, _ in truth.elements())
    # A mm that found no slot at first, and takes one later, is counted from then on.
    assert all(counted[mm] >= count > 0 for mm, count in folio.mm_ids)


def test_a_double_mapped_thp() -> None:
    """Two PMDs, one split: 5.10 counts each base page once too often, and knows it."""
    old, new = PRESETS["v5.10"], PRESETS["v6.12"]
    for semantics in (old, new):
        folio = m.map_pmd(semantics, new_folio(4), mm=0)
        folio = m.page_dup_rmap(semantics, folio, child=1)
        folio = m.split_pmd(semantics, folio, mm=1)
        assert folio.double_map == (semantics is old)
        assert folio.pages == ((2,) * 4 if semantics is old else (1,) * 4)
        assert m.folio_mapcount(semantics, folio) == 1 + 4
        assert m.page_mapcount(semantics, folio, 2) == 2


def test_the_last_pmd_of_a_double_mapped_thp_takes_the_correction_along() -> None:
    for semantics in SEMANTICS:
        folio = m.page_dup_rmap(semantics, m.map_pmd(semantics, new_folio(4), mm=0), child=1)
        folio = m.unmap_pmd(semantics, m.split_pmd(semantics, folio, mm=1), mm=0)
        assert (folio.pages, folio.entire, folio.double_map) == ((1,) * 4, 0, False)
        assert m.folio_mapcount(semantics, folio) == 4
        assert m.page_mapcount(semantics, folio, 3) == 1


def test_a_huge_page_of_a_file() -> None:
    for semantics in SEMANTICS:
        folio = m.map_pmd(semantics, new_folio(4, anon=False), mm=0)
        folio = m.map_pte(semantics, folio, 2, mm=1)
        assert m.folio_mapcount(semantics, folio) == 2
        assert [m.page_mapcount(semantics, folio, page) for page in range(4)] == [1, 1, 2, 1]
        folio = m.split_pmd(semantics, folio, mm=0)  # of a file: gone, to be faulted again
        assert m.folio_mapcount(semantics, folio) == 1


def test_the_owner_of_a_thp_after_its_child_exited() -> None:
    semantics = PRESETS["v7.3"]
    folio = m.map_pmd(semantics, new_folio(4), mm=0)
    folio = m.page_dup_rmap(semantics, folio, child=1)
    assert m.folio_maybe_mapped_shared(semantics, folio)
    folio = m.unmap_pmd(semantics, folio, mm=1)
    assert not m.folio_maybe_mapped_shared(semantics, folio)
    with pytest.raises(ValueError, match="does not know"):
        m.folio_maybe_mapped_shared(PRESETS["v6.12"], folio)


def test_a_third_mm_is_not_told_apart() -> None:
    semantics = PRESETS["v7.3"]
    folio = new_folio(2)
    for mm in (0, 1, 2):
        folio = m.map_pte(semantics, folio, 0, mm)
    assert folio.mm_ids == ((0, 1), (1, 1))
    folio = m.unmap_pte(semantics, folio, 0, 2)
    assert m.folio_maybe_mapped_shared(semantics, folio)


def test_unmapping_what_is_not_mapped_is_refused() -> None:
    for semantics in SEMANTICS:
        with pytest.raises(ValueError, match="not mapped"):
            m.unmap_pte(semantics, new_folio(2), 0, 0)
        for gone in (m.unmap_pmd, m.split_pmd):
            with pytest.raises(ValueError, match="no PMD"):
                gone(semantics, new_folio(2), 0)


def test_without_huge_pages_there_is_no_pmd() -> None:
    with pytest.raises(ValueError, match="no transparent huge pages"):
        m.map_pmd(before("thp"), new_folio(2), 0)


def test_the_check_that_ksm_pages_could_not_pass() -> None:
    assert m.page_dup_rmap_checks(before("page_dup_rmap_plain"), anon=True, debug_vm=True)
    assert not m.page_dup_rmap_checks(before("page_dup_rmap_plain"), anon=False, debug_vm=True)
    for semantics in PRESETS.values():
        expected = semantics is PRESETS["v2.6.31"]
        assert m.page_dup_rmap_checks(semantics, True, True) is expected
