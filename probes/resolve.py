"""Which symbol a probe point takes on a kernel, and by which mechanisms it may be attached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..kernels.facts import Function, KernelFacts
from .spec import ProbePoint, Source

# The ways to attach, best first: (mechanism of the entry, mechanism of the exit).
LADDER = (("fentry", "fexit"), ("kprobe", "kretprobe"))

_KPROBE_ARGUMENTS = 6
"""Arguments that x86-64 passes in registers: all that a kprobe can see."""


@dataclass(frozen=True)
class Candidate:
    """A probe point resolved: what to attach to, by which mechanisms, and why so."""

    point: ProbePoint
    source: Source
    rung: tuple[str, str]
    reason: str

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The mechanisms of the rung that the point needs: of its entry, of its exit, or both."""
        return _used(self.point, self.rung)


@dataclass(frozen=True)
class Unavailable:
    """A probe point that this kernel cannot show, and why."""

    point: ProbePoint
    reason: str


def resolve(point: ProbePoint, facts: KernelFacts) -> Candidate | Unavailable:
    """Return how `point` is seen on the kernel of `facts`; pure."""
    for source in point.sources:
        function = facts.functions.get(source.symbol)
        if function is None or not function.traceable:
            continue
        lost: list[str] = []
        for rung in LADDER:
            why = _refusal(point, function, rung)
            if not why:
                reason = "; ".join([f"{source.symbol} is traceable", *lost])
                return Candidate(point, source, rung, reason)
            lost.append(f"not {'/'.join(rung)}: {why}")
        return Unavailable(point, f"{source.symbol}: " + "; ".join(lost))
    return Unavailable(point, "this kernel has no traceable " + _either(point))


def resolve_all(
    points: Iterable[ProbePoint], facts: KernelFacts
) -> tuple[list[Candidate], list[Unavailable]]:
    """Return the candidates and the unavailable of `points`, in their order."""
    resolved = [resolve(point, facts) for point in points]
    return (
        [r for r in resolved if isinstance(r, Candidate)],
        [r for r in resolved if isinstance(r, Unavailable)],
    )


def _used(point: ProbePoint, rung: tuple[str, str]) -> tuple[str, ...]:
    return tuple(m for m, side in zip(rung, (point.entry, point.exit), strict=True) if side)


def _refusal(point: ProbePoint, function: Function, rung: tuple[str, str]) -> str:
    """Return why `rung` is out of the question, or ""."""
    if "fentry" in rung and function.params is None:
        return "no BTF prototype"
    for mechanism in _used(point, rung):
        answer = function.attach.get(mechanism, "ok")
        if answer != "ok":
            return f"{mechanism} answered {answer}"
    if "kprobe" in rung and point.exit and not point.entry and _needs_arguments(point):
        return "a kretprobe cannot see arguments"
    return ""


def _needs_arguments(point: ProbePoint) -> bool:
    return any(source.args for source in point.sources)


def _either(point: ProbePoint) -> str:
    return " or ".join(source.symbol for source in point.sources)
