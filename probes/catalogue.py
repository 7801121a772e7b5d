"""All probe points, and what the kernel must be asked to resolve them."""

from __future__ import annotations

from ..kernels import changes
from ..kernels.facts import Wanted
from . import cow, fork, ksm, locks, memory_failure, migrate, reclaim, rmap
from .spec import ProbePoint

_PATHS = (rmap, reclaim, ksm, memory_failure, migrate, locks, fork, cow)

POINTS: tuple[ProbePoint, ...] = tuple(point for path in _PATHS for point in path.POINTS)
MEMBERS = tuple(member for path in _PATHS for member in path.MEMBERS)
BITS = rmap.BITS + reclaim.BITS + cow.BITS


def names(steps: bool = False) -> tuple[str, ...]:
    """Return the names of the probe points; ``steps``: those that cost a program a step, too."""
    return tuple(point.name for point in POINTS if steps or not point.opt_in)


_SOURCES = tuple(source for point in POINTS for source in point.sources)

WANTED = changes.WANTED | Wanted(
    functions=frozenset(source.symbol for source in _SOURCES if not source.is_event)
    | frozenset(callback for op in rmap.OPS for callback in op.callbacks),
    structs=frozenset(struct for member in MEMBERS for struct, _ in member.places)
    | frozenset(rmap.STRUCTS_FOR_SIZE),
    enums=frozenset(bit.enum for bit in BITS)
    | {"ttu_flags", *reclaim.REFERENCES_ENUMS, *memory_failure.ENUMS, *migrate.ENUMS},
    tracepoints=frozenset(source.symbol for source in _SOURCES if source.is_event),
    data_symbols=frozenset(rmap.DATA_SYMBOLS + reclaim.DATA_SYMBOLS + fork.DATA_SYMBOLS),
)
