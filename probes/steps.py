"""The programs that see single VMAs: of how many walks they count, and their end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import catalogue, state
from .cost import Runs

PROBES = frozenset(
    point.name
    for point in catalogue.POINTS
    if (point.entry or point.exit) in ("step(&a)", "look(&a)")
)
"""The probe points with a program for each VMA."""

SHED = "shed: the probes cost more than --max-overhead"

_WATCHED = ("steps", "looks")
_WALKS = "rmap_walk_"
_UNDER_WAY_S = 0.05
"""Longer than a program takes that has read what is being changed."""


@dataclass(frozen=True)
class Areas:
    """The state in the kernel, as it is mapped, for the probes ``names`` in order."""

    names: list[str]
    layout: state.Layout
    state: memoryview
    work: memoryview
    control: memoryview

    def set(self, word: str, value: int) -> None:
        """Write a word of `control`."""
        self.control[self.layout.find("control", word)[0]] = value

    def total(self, places: Iterable[int]) -> int:
        """Return the sum of some words of `cpu_state` over all CPUs."""
        size = self.layout.words("cpu_state")
        return sum(sum(self.state[at::size]) for at in places)


def watch(areas: Areas, steps: int, looks: int) -> None:
    """Have the VMAs counted of walks with these ops, and what is looked at by these kinds."""
    for word, bits in zip(_WATCHED, (steps, looks), strict=True):
        areas.set(word, bits)


def sample(areas: Areas, one_in: int) -> None:
    """Count the VMAs of one in so many walks, a power of two, taken by chance."""
    areas.set("gate", one_in - 1)


def forget(areas: Areas) -> None:
    """Have no walk tell a number of VMAs, those that are under way included."""
    watch(areas, 0, 0)
    time.sleep(_UNDER_WAY_S)
    words = areas.layout.words("work")
    for word in _WATCHED:
        place = areas.layout.find("work", word)[0]
        for slot in range(state.WORK_SLOTS):
            areas.work[slot * words + place] = 0


def runs(areas: Areas) -> Runs:
    """Return how often programs have run so far."""
    find = areas.layout.find
    start, size = find("cpu_state", "accounts")[0], areas.layout.words("account")
    places = {name: start + n * size for n, name in enumerate(areas.names)}
    exits = find("account", "exits")[0]
    sides = [at + side for at in places.values() for side in (find("account", "entries")[0], exits)]
    walks = [at + exits for name, at in places.items() if name.startswith(_WALKS)]
    return Runs(
        time.monotonic_ns(), areas.total(sides), areas.total(_counted(areas)), areas.total(walks)
    )


def _counted(areas: Areas) -> Iterator[int]:
    """Yield the words of `cpu_state` that count VMAs, entered or looked at, by op and kind."""
    start, cells = areas.layout.find("cpu_state", "walks")
    size = areas.layout.words("walk_cell")
    for word in ("vmas", "looked_at"):
        at = start + areas.layout.find("walk_cell", word)[0]
        yield from range(at, at + cells.count * size, size)
