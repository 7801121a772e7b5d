"""
page->mapping: its low bits say what the page is, the rest is the pointer.

Source: PAGE_MAPPING_FLAGS, PageAnon(), PageKsm(), include/linux/page-flags.h (before v2.6.36
include/linux/mm.h); since v6.17 FOLIO_MAPPING_FLAGS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from ..kernels.semantics import MappingBits, Semantics

ANON_BIT = 1
# PAGE_MAPPING_KSM before v4.8, then PAGE_MAPPING_MOVABLE, then FOLIO_MAPPING_ANON_KSM.
SECOND_BIT = 2


class Kind(Enum):
    """What page->mapping points to."""

    NONE = "nothing"
    FILE = "address_space"
    ANON = "anon_vma"
    KSM = "stable node"
    MOVABLE = "movable_operations"
    INVALID = "no valid combination"


@dataclass(frozen=True)
class Decoded:
    """The kind, and the pointer without the flags."""

    kind: Kind
    pointer: int


# Which function walks the reverse map of a kind, None for no walk. Source: rmap_walk(), mm/rmap.c.
WALKS: Mapping[Kind, str | None] = MappingProxyType(
    {
        Kind.NONE: None,
        Kind.FILE: "rmap_walk_file",
        Kind.ANON: "rmap_walk_anon",
        Kind.KSM: "rmap_walk_ksm",
        Kind.MOVABLE: None,
        Kind.INVALID: None,
    }
)


def page_mapping_flags(semantics: Semantics) -> int:
    """Return the mask of the bits that are no part of the pointer."""
    return ANON_BIT if semantics.mapping_bits is MappingBits.ANON else ANON_BIT | SECOND_BIT


def decode(semantics: Semantics, mapping: int) -> Decoded:
    """
    Return what a value of page->mapping means.

    It survives the unmapping of the page: trust it only while the page is mapped or locked.
    """
    flags = mapping & page_mapping_flags(semantics)
    pointer = mapping - flags
    if not mapping:
        return Decoded(Kind.NONE, 0)
    return Decoded(_kind(semantics.mapping_bits, flags, pointer), pointer)


def _kind(bits: MappingBits, flags: int, pointer: int) -> Kind:
    if flags == 0:
        return Kind.FILE
    if flags == ANON_BIT:
        # Before Linux kernel commit 3ca7b3c5b64d ("mm: define PAGE_MAPPING_FLAGS") (in v2.6.33),
        # a KSM page was an anonymous one without an anon_vma.
        ksm = bits is MappingBits.ANON and not pointer
        return Kind.KSM if ksm else Kind.ANON
    if flags == ANON_BIT | SECOND_BIT:
        return Kind.KSM
    # Since Linux kernel commit bda807d44454 ("mm: migrate: support non-lru movable page
    # migration") (in v4.8), the second bit alone marks a driver's page; later a page flag does.
    return Kind.MOVABLE if bits is MappingBits.ANON_MOVABLE else Kind.INVALID


def encode(semantics: Semantics, kind: Kind, pointer: int = 0) -> int:
    """
    Return the value of page->mapping for a kind and a pointer.

    ValueError if this kernel cannot say it: no such kind, or a pointer that is not aligned, is
    missing, or has no place.
    """
    bits = semantics.mapping_bits
    flags = {
        Kind.NONE: 0,
        Kind.FILE: 0,
        Kind.ANON: ANON_BIT,
        Kind.KSM: ANON_BIT if bits is MappingBits.ANON else ANON_BIT | SECOND_BIT,
        Kind.MOVABLE: SECOND_BIT,
    }.get(kind, -1)
    if flags < 0 or pointer & page_mapping_flags(semantics):
        raise ValueError(f"{kind.name} with pointer {pointer:#x} cannot be encoded")
    if decode(semantics, pointer | flags) != Decoded(kind, pointer):
        raise ValueError(f"this kernel has no {kind.name} with pointer {pointer:#x}")
    return pointer | flags
