"""What happened inside of a call: events of its thread, told before the event of the call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .verdict import Columns, Mask
from .windows import count

_SEQ_BITS = np.uint64(42)
"""Threads have numbers of at most 22 bits; so many events take weeks."""


class Inside(NamedTuple):
    """For each event the place of the call that it happened in, and whether there is one."""

    places: npt.NDArray[np.int64]
    there: Mask


def inside(events: Columns, calls: Columns) -> Inside:
    """Return which of the `calls`, told at their end with their `ns`, each event is inside of."""
    if not count(calls):
        return Inside(np.zeros(count(events), np.int64), np.zeros(count(events), np.bool_))
    keys = _keys(calls)
    order = np.argsort(keys)
    found = np.searchsorted(keys[order], _keys(events))
    places = order[np.minimum(found, len(order) - 1)]
    begun = calls["time"] - calls["ns"]
    there = (found < len(order)) & (calls["tid"][places] == events["tid"])
    return Inside(places, there & (events["time"] >= begun[places]))


def _keys(columns: Columns) -> npt.NDArray[np.uint64]:
    """Return numbers that put the events of each thread in order."""
    return (columns["tid"].astype(np.uint64) << _SEQ_BITS) | columns["seq"]
