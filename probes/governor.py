"""
The governor: keeps what the probes cost below a bound, by what is known of fewer walks. Pure.

What grows with sharing is a program for each VMA that a walk enters. Where that is too much, the
VMAs of fewer walks are counted; where it still is, of none, and the programs are taken away. Walks
themselves are counted one and all, whatever they cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from .cost import Estimate

LOOKS = 3
"""So many looks in a row decide: one burst changes nothing."""

ONE_IN = 16
"""Of so many walks one is sampled; a power of two."""


class State(StrEnum):
    """Whose VMAs are counted: of every walk, of one in `ONE_IN`, of none."""

    FULL = "full"
    SAMPLED = "sampled"
    SHED = "shed"


@dataclass(frozen=True)
class Governor:
    """
    ``bound``: the share of the time of all CPUs that may be taken. ``over``, ``under``: looks in a
    row above it, and so far below that everything could be counted. ``returns``: what was shed can
    be attached anew.
    """

    bound: float
    returns: bool
    state: State = State.FULL
    over: int = 0
    under: int = 0

    def look(self, seen: Estimate) -> Governor:
        """
        Return the governor after one more look; what is to be done is where its state differs.

        Back to everything where all of it would take less than half of the bound, so that it does
        not go to and fro.
        """
        counted = replace(
            self,
            over=self.over + 1 if seen.now > self.bound else 0,
            under=self.under + 1 if seen.whole < self.bound / 2 else 0,
        )
        if self.state == State.FULL:
            return counted._become(State.SAMPLED) if counted.over >= LOOKS else counted
        if counted.under >= LOOKS and (self.state == State.SAMPLED or self.returns):
            return counted._become(State.FULL)
        if self.state == State.SAMPLED and counted.over >= LOOKS:
            return counted._become(State.SHED)
        return counted

    def _become(self, state: State) -> Governor:
        return replace(self, state=state, over=0, under=0)
