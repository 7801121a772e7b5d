"""Which symbol a probe point takes on a kernel, and by which mechanisms it may be attached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..kernels.facts import Function, KernelFacts, Tracepoint
from .spec import ProbePoint, Source

Ladder = tuple[tuple[str, str], ...]

# The ways to attach, best first: (mechanism of the entry, mechanism of the exit).
LADDER: Ladder = (("fentry", "fexit"), ("kprobe", "kretprobe"))

EVENT = ("tracepoint", "")
"""The way to attach to an event: it happens, it neither begins nor ends."""

_REGISTERS = 6
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


def resolve(
    point: ProbePoint, facts: KernelFacts, ladder: Ladder = LADDER
) -> Candidate | Unavailable:
    """Return how `point` is seen on the kernel of `facts`, by the best rung of `ladder`; pure."""
    for source in point.sources:
        if source.is_event and source.symbol in facts.tracepoints:
            return _event(point, source, facts.tracepoints[source.symbol])
        function = facts.functions.get(source.symbol)
        if function is not None and function.traceable:
            return _function(point, source, function, ladder)
    return Unavailable(point, "this kernel has no traceable " + _either(point))


def in_doubt(point: ProbePoint, facts: KernelFacts) -> bool:
    """
    Return whether a kernel may well refuse the first rung of `point`.

    Trampolines of kernels before v6.6 pass no more arguments than there are registers for them.
    """
    answer = resolve(point, facts)
    if isinstance(answer, Unavailable) or answer.source.is_event:
        return False
    params = facts.functions[answer.source.symbol].params
    return params is not None and len(params) > _REGISTERS


def _function(
    point: ProbePoint, source: Source, function: Function, ladder: Ladder
) -> Candidate | Unavailable:
    lost: list[str] = []
    for rung in ladder:
        why = _refusal(point, function, rung)
        if not why:
            reason = "; ".join([f"{source.symbol} is traceable", *lost])
            return Candidate(point, source, rung, reason)
        lost.append(f"not {'/'.join(rung)}: {why}")
    return Unavailable(point, f"{source.symbol}: " + "; ".join(lost))


def _event(point: ProbePoint, source: Source, event: Tracepoint) -> Candidate | Unavailable:
    missing = sorted(set(source.fields.values()) - event.fields.keys())
    if missing:
        return Unavailable(point, f"{source.symbol} has no {', '.join(missing)} here")
    answer = event.attach.get(EVENT[0], "ok")
    if answer != "ok":
        return Unavailable(point, f"{source.symbol}: not {EVENT[0]}: answered {answer}")
    return Candidate(point, source, EVENT, f"this kernel reports {source.symbol}")


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
