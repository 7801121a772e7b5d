"""
Where the kernel's image lies: each boot moves it (KASLR), and nothing within it moves.

Source: arch/x86/boot/compressed/kaslr.c; the image stays in the last 2 GB of the addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SYMBOLS = frozenset({"_text", "_end"})
"""What its place is told by."""

LINKED_AT = 0xFFFF_FFFF_8100_0000
"""Where it is taken to have been linked to."""

_LOWEST = 0xFFFF_FFFF_8000_0000
"""Of the addresses that an instruction's immediate of 32 bits holds, its sign extended."""


@dataclass(frozen=True)
class Image:
    """The addresses from ``begin`` up to ``end``, as linked; this boot moved them by ``slide``."""

    begin: int = 0
    end: int = 0
    slide: int = 0

    def holds(self, linked: int) -> bool:
        """Return whether a number is an address of the image, as linked."""
        return self.begin <= linked < self.end

    def linked(self, address: int) -> int:
        """Return an address of this boot as linked; what is none of the image stays as it is."""
        before = address - self.slide
        return before if self.holds(before) else address


def image(symbols: Mapping[str, int]) -> Image:
    """
    Return the image by the addresses of `SYMBOLS`.

    Where they are not known, or immediates could not hold them, it is empty: nothing is moved.
    """
    begin, end = (symbols.get(name, 0) for name in ("_text", "_end"))
    if not _LOWEST <= begin < end:
        return Image()
    slide = begin - LINKED_AT
    return Image(LINKED_AT, end - slide, slide)
