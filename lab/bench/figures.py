"""From rounds in nanoseconds to instructions a walk and a step. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

ROUNDS, SPARED = 11, 1
"""
Rounds of a load, and how many of them are left out at either end, as an interrupt may hit one: the
others' least and greatest enclose the median in 98.8 % (1 - 2 * (1 + 11) / 2^11).
"""

Rounds = Mapping[str, Sequence[int]]
"""By load the length of each round; under icount a nanosecond is an instruction."""


@dataclass(frozen=True)
class Interval:
    """
    A median and what encloses it: of `ROUNDS` values the least and the greatest but `SPARED`.

    No distribution is assumed (H. A. David, Order Statistics, 7.1: distribution-free intervals).
    """

    median: float
    low: float
    high: float

    def over(self, other: Interval) -> Interval:
        """Return the ratio to another; its bounds are the extremes of both."""
        return Interval(self.median / other.median, self.low / other.high, self.high / other.low)

    def overlaps(self, other: Interval) -> bool:
        """Return whether some value is in both."""
        return self.low <= other.high and other.low <= self.high


def interval(values: Sequence[float]) -> Interval:
    """Return the median of the values with what encloses it."""
    ordered = sorted(values)
    return Interval(median(ordered), ordered[SPARED], ordered[-1 - SPARED])


@dataclass(frozen=True)
class Line:
    """What a walk costs whatever its length, and what each VMA adds that it enters."""

    per_walk: float
    per_step: float

    def at(self, steps: float) -> float:
        """Return the cost of a walk that enters so many VMAs."""
        return self.per_walk + self.per_step * steps


def line(points: Mapping[float, float]) -> Line:
    """
    Fit a line to the cost of a walk by the VMAs that it enters.

    Least squares of relative deviations: the clock's ticks add to a round in proportion to its
    length, so a point weighs as the inverse square of its steps.
    """
    weights = {steps: steps**-2.0 for steps in points}
    total = sum(weights.values())
    centre = sum(weight * steps for steps, weight in weights.items()) / total
    mean = sum(weight * points[steps] for steps, weight in weights.items()) / total
    spread = sum(weight * (steps - centre) ** 2 for steps, weight in weights.items())
    product = sum(w * (steps - centre) * (points[steps] - mean) for steps, w in weights.items())
    slope = product / spread
    return Line(mean - slope * centre, slope)


@dataclass(frozen=True)
class Cost:
    """Instructions that are added to a walk, and to a step."""

    per_walk: Interval
    per_step: Interval


def cost(rounds: Rounds, base: Rounds | None, steps: Mapping[str, float], walks: int) -> Cost:
    """
    Return what `rounds` cost beyond `base`, or by themselves where that is None.

    ``steps``: VMAs that a walk of each load enters. ``walks``: walks of a round. The line is
    fitted to each round by itself.
    """
    lines = []
    for number in range(ROUNDS):
        points = {
            entered: (rounds[load][number] - (base[load][number] if base else 0)) / walks
            for load, entered in steps.items()
        }
        lines.append(line(points))
    per_walk, per_step = zip(*((each.per_walk, each.per_step) for each in lines), strict=True)
    return Cost(interval(per_walk), interval(per_step))


def added(rounds: Sequence[int], base: Sequence[int], walks: int) -> Interval:
    """Return what a load's rounds have beyond those of `base`, a walk."""
    pairs = zip(rounds, base, strict=True)
    return interval([(round_ - without) / walks for round_, without in pairs])


@dataclass(frozen=True)
class Bar:
    """What a variant may cost at most, as a multiple of what another does; ``figure``: of which."""

    variant: str
    other: str
    figure: str
    bound: float


BARS = (
    Bar("rmapwatch", "empty", "per_step", 1.8),
    Bar("rmapwatch", "empty", "per_walk", 2.5),
    Bar("rmapwatch", "bpftrace-kfunc", "per_step", 0.25),
    Bar("rmapwatch", "bpftrace-kfunc", "per_walk", 0.25),
    Bar("rmapwatch", "bpftrace-kprobe", "per_step", 0.25),
    Bar("rmapwatch", "bpftrace-kprobe", "per_walk", 0.25),
)


@dataclass(frozen=True)
class Held:
    """A bar and what was measured; None where one of both was not."""

    bar: Bar
    ratio: Interval | None

    @property
    def holds(self) -> bool | None:
        """Whether the whole interval is below the bound."""
        return None if self.ratio is None else self.ratio.high < self.bar.bound


def held(bar: Bar, costs: Mapping[str, Cost]) -> Held:
    """Hold a bar against what was measured."""
    if bar.variant not in costs or bar.other not in costs:
        return Held(bar, None)
    one, other = (getattr(costs[name], bar.figure) for name in (bar.variant, bar.other))
    return Held(bar, one.over(other))
