"""The place of the kernel's image: what moves with it, and what does not."""

import pytest
from rmapwatch.kernels.image import LINKED_AT, Image, image

SLIDE = 0x1E60_0000
HERE = {"_text": LINKED_AT + SLIDE, "_end": LINKED_AT + SLIDE + 0x200_0000}


def test_addresses_are_told_as_linked() -> None:
    found = image(HERE)
    assert found == Image(LINKED_AT, LINKED_AT + 0x200_0000, SLIDE)
    assert found.linked(HERE["_text"]) == LINKED_AT
    assert found.linked(HERE["_end"] - 1) == LINKED_AT + 0x1FF_FFFF


@pytest.mark.parametrize(
    "other", [0, 0x1A2B0, HERE["_text"] - 1, HERE["_end"], 0xFFFF_8880_0000_0000]
)
def test_what_lies_elsewhere_does_not_move(other: int) -> None:
    """Per-CPU offsets, modules, the direct mapping."""
    assert image(HERE).linked(other) == other


@pytest.mark.parametrize(
    "symbols",
    [
        {},
        {"_text": LINKED_AT},
        {"_end": LINKED_AT},
        {"_text": LINKED_AT, "_end": LINKED_AT},
        {"_text": 0xFFFF_8000_8000_0000, "_end": 0xFFFF_8000_8200_0000},  # as on arm64
    ],
)
def test_where_it_is_not_known_nothing_moves(symbols: dict[str, int]) -> None:
    found = image(symbols)
    assert found == Image()
    assert not found.holds(LINKED_AT)
    assert found.linked(LINKED_AT + 5) == LINKED_AT + 5
