"""The bits of page->mapping encode and decode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rmapwatch.kernels.semantics import PRESETS, after, before
from rmapwatch.model.mapping import WALKS, Decoded, Kind, decode, encode

POINTERS = st.integers(1, 2**62).map(lambda n: n * 4)


@given(st.sampled_from(sorted(PRESETS)), st.sampled_from(Kind), POINTERS)
def test_what_is_encoded_is_decoded(kernel: str, kind: Kind, pointer: int) -> None:
    semantics = PRESETS[kernel]
    try:
        value = encode(semantics, kind, pointer)
    except ValueError:
        return
    assert decode(semantics, value) == Decoded(kind, pointer)


@given(st.sampled_from(sorted(PRESETS)), st.integers(0, 2**64 - 1))
def test_every_value_decodes_and_a_valid_one_encodes_again(kernel: str, value: int) -> None:
    found = decode(PRESETS[kernel], value)
    if found.kind is not Kind.INVALID:
        assert encode(PRESETS[kernel], found.kind, found.pointer) == value


@pytest.mark.parametrize(
    ("kernel", "kinds"),
    [
        ("v2.6.32", [Kind.FILE, Kind.ANON, Kind.FILE, Kind.ANON]),
        ("v2.6.34", [Kind.FILE, Kind.ANON, Kind.INVALID, Kind.KSM]),
        ("v5.10", [Kind.FILE, Kind.ANON, Kind.MOVABLE, Kind.KSM]),
        ("v6.1", [Kind.FILE, Kind.ANON, Kind.MOVABLE, Kind.KSM]),
        ("v6.12", [Kind.FILE, Kind.ANON, Kind.MOVABLE, Kind.KSM]),
        ("v7.3", [Kind.FILE, Kind.ANON, Kind.INVALID, Kind.KSM]),
    ],
)
def test_the_bits_of_each_kernel(kernel: str, kinds: list[Kind]) -> None:
    pointer = 0xFFFF888000100000
    assert [decode(PRESETS[kernel], pointer | bits).kind for bits in range(4)] == kinds


def test_ksm_without_a_pointer() -> None:
    """Before the flags, it was all there was; since then, a page between merge and insert."""
    assert decode(before("page_mapping_flags"), 1).kind is Kind.KSM
    assert decode(after("page_mapping_flags"), 1).kind is Kind.ANON
    assert decode(after("page_mapping_flags"), 3) == Decoded(Kind.KSM, 0)
    assert encode(before("page_mapping_flags"), Kind.KSM) == 1
    with pytest.raises(ValueError, match="no KSM"):
        encode(before("page_mapping_flags"), Kind.KSM, 64)


def test_nothing_and_what_cannot_be_said() -> None:
    for semantics in PRESETS.values():
        assert decode(semantics, 0) == Decoded(Kind.NONE, 0)
        with pytest.raises(ValueError, match="cannot be encoded"):
            encode(semantics, Kind.ANON, 0x1001)
    with pytest.raises(ValueError, match="no MOVABLE"):
        encode(PRESETS["v7.3"], Kind.MOVABLE, 64)


def test_every_kind_names_its_walk() -> None:
    assert set(WALKS) == set(Kind)
    assert WALKS[Kind.KSM] == "rmap_walk_ksm"
