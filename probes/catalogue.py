"""All probe points, and what the kernel must be asked to resolve them."""

from __future__ import annotations

from ..kernels import changes
from ..kernels.facts import Wanted
from . import rmap
from .spec import ProbePoint

POINTS: tuple[ProbePoint, ...] = rmap.POINTS

WANTED = changes.WANTED | Wanted(
    functions=frozenset(source.symbol for point in POINTS for source in point.sources)
    | frozenset(callback for op in rmap.OPS for callback in op.callbacks),
    structs=frozenset(struct for member in rmap.MEMBERS for struct, _ in member.places)
    | frozenset(rmap.STRUCTS_FOR_SIZE),
    enums=frozenset(bit.enum for bit in rmap.BITS) | {"ttu_flags"},
    data_symbols=frozenset(rmap.DATA_SYMBOLS),
)
