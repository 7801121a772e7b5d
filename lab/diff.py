"""
What a scenario shows on one kernel and not on another, and which changes of the kernel say so.

A change is held responsible by experiment: the rules are applied to a kernel's own run as if that
one change were there too, or were not. Where a rule that held is broken by that, the change shows
in this scenario. Pure.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..check.context import context_of
from ..check.run import judge
from ..check.windows import windows
from ..collectors.frame import Frame
from ..errors import UsageError
from ..kernels.changes import CHANGES, Change
from ..kernels.semantics import fold
from . import agreement, scenarios
from .left import Left

MORE = 0.1
"""Counts that differ by no more than this part of the larger one are not told."""

LONGER = 2.0
"""Times of which none is this many times the other are not told: histograms know no better."""

_TIMES = ("seconds", "p50", "p99")
_NOT_OF_THE_SCENARIO = ("probes", "events")


@dataclasses.dataclass(frozen=True)
class Figure:
    """
    A figure that differs. ``section``: of the Frame; ``labels``: its row's; ``one`` and ``other``:
    its values on either kernel, None where there was no such row or it is not known.
    """

    section: str
    labels: tuple[str, ...]
    name: str
    one: float | None
    other: float | None

    @property
    def is_time(self) -> bool:
        """Whether it is in seconds; else it counts something."""
        return self.name in _TIMES


@dataclasses.dataclass(frozen=True)
class Cause:
    """A change that one kernel has, by its release, and the rules that hold with it alone."""

    change: Change
    kernel: str
    rules: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Difference:
    """All that differs between two runs of a scenario."""

    scenario: str
    one: str
    other: str
    figures: tuple[Figure, ...]
    causes: tuple[Cause, ...]

    def to_json(self) -> str:
        """Return it as text; of a change its key, release, commit and subject."""
        told = dataclasses.asdict(replace(self, causes=()))
        told["causes"] = [
            {
                "change": cause.change.key,
                "since": cause.change.since,
                "commit": cause.change.commit,
                "subject": cause.change.subject,
                "kernel": cause.kernel,
                "rules": cause.rules,
            }
            for cause in self.causes
        ]
        return json.dumps(told, indent=1)


def difference(one: Left, other: Left) -> Difference:
    """Return what differs; UsageError where they are not of the same scenario."""
    names = [each.result["scenario"] for each in (one, other)]
    if len(set(names)) > 1:
        raise UsageError("two scenarios", f"{names[0]} and {names[1]}", "name one scenario's")
    return Difference(
        scenario=names[0],
        one=one.run.kernel.release,
        other=other.run.kernel.release,
        figures=tuple(_figures(one.result, other.result)),
        causes=tuple(_causes(one, other)),
    )


def _figures(one: dict[str, Any], other: dict[str, Any]) -> Iterator[Figure]:
    ours, theirs = _values(one), _values(other)
    for key in dict.fromkeys((*ours, *theirs)):
        figure = Figure(*key, ours.get(key), theirs.get(key))
        if _differs(figure):
            yield figure


def _values(result: dict[str, Any]) -> dict[tuple[str, tuple[str, ...], str], float | None]:
    """Return the figures of a result by section, labels and name."""
    sections = [field.name for field in dataclasses.fields(Frame)]
    return {
        (section, _labels(row), name): value
        for section in sections
        if section not in _NOT_OF_THE_SCENARIO and isinstance(result.get(section), list)
        for row in result[section]
        for name, value in row.items()
        if isinstance(value, int | float | None)
    }


def _labels(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(value for value in row.values() if isinstance(value, str))


def _differs(figure: Figure) -> bool:
    low, high = sorted((figure.one or 0, figure.other or 0))
    if not low:
        return high > 0
    return high >= LONGER * low if figure.is_time else high - low > MORE * high


def _causes(one: Left, other: Left) -> Iterator[Cause]:
    trials = _Trial(one), _Trial(other)
    for key in CHANGES:
        has = [key in each.run.changes for each in (one, other)]
        if has[0] == has[1]:
            continue
        rules = sorted(set().union(*(trial.broken_by(key) for trial in trials)))
        if rules:
            holder = one if has[0] else other
            yield Cause(CHANGES[key], holder.run.kernel.release, tuple(rules))


class _Trial:
    """A run to which rules are applied as if its kernel had other changes."""

    def __init__(self, left: Left) -> None:
        self._left = left
        self._rules = scenarios.find(left.result["scenario"]).rules
        self._context = context_of(left.recording)
        self._windows = list(windows(left.recording))
        self._failing = self._failing_with(left.run.changes)

    def broken_by(self, change: str) -> set[str]:
        """Return the rules that hold, but would not if this change were there, or were not."""
        return self._failing_with(self._left.run.changes ^ {change}) - self._failing

    def _failing_with(self, changes: frozenset[str]) -> set[str]:
        rules = agreement.every_rule(replace(self._left.run, changes=changes), self._rules)
        context, end = (
            replace(self._context, semantics=fold(changes)),
            self._left.recording.meta.end,
        )
        rows = judge(context, self._windows, end.events if end else {}).rows
        failing = {rule.rule for rule in rules if rule.agrees is False}
        return failing | {row.rule for row in rows if row.agrees is False}
