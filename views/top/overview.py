"""The head of the screen: rates with their past, kernel threads, coverage. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...collectors.frame import Frame
from .. import plain
from ..plain import ABSENT, duration, number

_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Rates:
    """
    What a window had per second; None where the kernel or the probes do not tell.

    ``walking`` and ``stalled``: seconds a second, of all threads; ``stalled`` leaves kswapd out,
    for which nobody waits.
    """

    walks: float | None
    walking: float | None
    reclaimed: float | None
    stalled: float | None


def rates(frame: Frame) -> Rates:
    """Return the rates of a frame; none where it has no length."""
    attached = {probe.probe for probe in frame.probes if probe.attached}
    waits = (row.seconds for row in frame.stalls if row.reclaimer != "kswapd")
    walked = any(probe.startswith("rmap_walk_") for probe in attached)
    return Rates(
        walks=_rate(frame, (row.walks for row in frame.walks), walked),
        walking=_rate(frame, (row.seconds for row in frame.walks), walked),
        reclaimed=_rate(
            frame, (row.reclaimed for row in frame.batches), "reclaim_batch" in attached
        ),
        stalled=_rate(frame, waits, bool({"reclaim_direct", "reclaim_memcg"} & attached)),
    )


def _rate(frame: Frame, values: Iterable[float], told: bool) -> float | None:
    return sum(values) / frame.seconds if told and frame.seconds else None


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Return the last `width` values as bars from zero to their largest; None as a space."""
    last = values[-width:] if width > 0 else []
    top = max((value for value in last if value is not None), default=0) or 1.0
    return "".join(_bar(value, top) for value in last)


def _bar(value: float | None, top: float) -> str:
    if value is None:
        return " "
    return _BARS[max(1, round(value / top * (len(_BARS) - 1)))]


def lines(past: Sequence[Rates], width: int) -> list[str]:
    """Return the four rates, each with its past, in two lines of ``width`` characters."""
    now = past[-1] if past else Rates(None, None, None, None)
    figures = (
        ("walks/s", number(now.walks), [each.walks for each in past]),
        ("in walks", _share(now.walking), [each.walking for each in past]),
        ("reclaimed/s", number(now.reclaimed), [each.reclaimed for each in past]),
        ("in stalls", _share(now.stalled), [each.stalled for each in past]),
    )
    half = width // 2
    shown = [
        f"{name:<12}{figure:>11} {sparkline(values, half - 25)}".ljust(half)
        for name, figure, values in figures
    ]
    return ["".join(shown[:2]).rstrip(), "".join(shown[2:]).rstrip()]


def head(
    frame: Frame,
    past: Sequence[Rates],
    threads: Mapping[str, float] | None,
    state: str,
    width: int,
) -> str:
    """Return the four lines above the panels; ``state`` is what the screen is doing."""
    title = f"rmapwatch  {frame.kernel}  {frame.backend}  {plain.window(frame)}"
    first = f"{title}  {state:>{max(0, width - len(title) - 2)}}"
    last = f"{cpu(threads)}  {coverage(frame)}"
    return "\n".join([first, *lines(past, width), last])


def _share(seconds: float | None) -> str:
    return ABSENT if seconds is None else f"{duration(seconds)}/s"


def coverage(frame: Frame) -> str:
    """Return how much of what happens is seen."""
    attached = [probe for probe in frame.probes if probe.attached]
    missed = [probe.missed for probe in attached if probe.missed is not None]
    lost = sum(event.lost for event in frame.events)
    told = number(sum(missed)) if missed else ABSENT
    return (
        f"probes {len(attached)} of {len(frame.probes)}"
        f"  calls missed {told}  events lost {number(lost)}"
    )


def cpu(shares: Mapping[str, float] | None) -> str:
    """Return the CPU that kernel threads take, in per cent of one; `-` where none is known."""
    if not shares:
        return f"kswapd {ABSENT}  ksmd {ABSENT}"
    return "  ".join(f"{name} {share:.0%}" for name, share in sorted(shares.items()))
