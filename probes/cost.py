"""
What the probes' programs cost this machine, and what share of its CPUs they take by that. Pure.

Costs are measured (`probes/calibrate.py`); how often programs ran is counted by the probes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cost:
    """
    ns of CPU time, what it takes to get into a program and out of it included.

    ``call_ns``: the two programs of a walk. ``step_ns``: the program of a VMA that it enters;
    ``skipped_ns``: the same where the walk's VMAs are not counted.
    """

    call_ns: float
    step_ns: float
    skipped_ns: float

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Cost:
        """Return what `to_json` wrote; raise ValueError where `text` is none of it."""
        try:
            return cls(**{name: float(value) for name, value in json.loads(text).items()})
        except (AttributeError, TypeError) as error:
            raise ValueError(f"no costs: {error!r}") from None


@dataclass(frozen=True)
class Runs:
    """
    How often programs have run. ``time_ns``: CLOCK_MONOTONIC. ``programs``: at entries and exits of
    calls. ``steps``: at VMAs, of walks whose VMAs are counted. ``walks``: walks that have ended.
    """

    time_ns: int
    programs: int
    steps: int
    walks: int

    def since(self, start: Runs) -> Runs:
        """Return what was added since `start`; ``time_ns`` is how long that took."""
        return Runs(
            self.time_ns - start.time_ns,
            self.programs - start.programs,
            self.steps - start.steps,
            self.walks - start.walks,
        )


@dataclass(frozen=True)
class Estimate:
    """
    Shares of the time of all CPUs. ``now``: what the programs take; ``whole``: what they would
    take if the VMAs of every walk were counted.
    """

    now: float
    whole: float


@dataclass(frozen=True)
class Conditions:
    """
    Under which programs ran. ``one_in``: of so many walks one has its VMAs counted; 0 where the
    programs of steps are not attached. ``per_walk``: VMAs of a walk, from when they were counted.
    """

    cpus: int
    one_in: int
    per_walk: float


def estimate(cost: Cost, ran: Runs, under: Conditions) -> Estimate:
    """
    Return the share of the CPUs that the programs took while `ran` were counted.

    Each pair of programs counts as the pair of a walk: walks are most of what is watched. Steps
    that were skipped are as many as the sample says: walks are taken by chance.
    """
    calls = ran.programs / 2 * cost.call_ns
    steps = ran.steps * under.one_in if under.one_in else ran.walks * under.per_walk
    taken = ran.steps * cost.step_ns
    if under.one_in > 1:
        taken += (steps - ran.steps) * cost.skipped_ns
    time = max(1, ran.time_ns) * under.cpus
    return Estimate((calls + taken) / time, (calls + steps * cost.step_ns) / time)
