"""Calls and the wall time inside them, over a window. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

from ..probes.sample import CallCounts
from ..probes.state import duration_bound_ns
from .histograms import difference, quantile

_NS = 1e9

Key = TypeVar("Key", bound=Hashable)


def costs(
    now: Mapping[Key, CallCounts], before: Mapping[Key, CallCounts]
) -> Iterator[tuple[Key, tuple[int, float, float | None]]]:
    """Yield by key: calls, seconds in them, and the seconds that 99 % of them do not exceed."""
    for key, counted in now.items():
        then = before.get(key)
        calls = counted.calls - (then.calls if then else 0)
        if calls:
            slots = difference(counted.ns_slots, then.ns_slots if then else None)
            p99 = quantile(0.99, slots, duration_bound_ns)
            seconds = (counted.ns - (then.ns if then else 0)) / _NS
            yield key, (calls, seconds, p99 / _NS if p99 is not None else None)
