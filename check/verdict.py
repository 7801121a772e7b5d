"""What a rule is, what holding it against some events finds, and the row that comes of it all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

SHOWN = 20
"""Mismatches of one rule that are told one by one; all are counted."""

Columns = Mapping[str, npt.NDArray[Any]]
"""Events of one type, a column per field; unknown values and names as in the ring."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rule:
    """
    A claim. ``name``: of its row. ``unit``: of what the row counts. ``event``: the type of event
    that it is about, "" where it is about the recording's totals. ``source``: where the kernel says
    so. ``exact``: what it claims, in a sentence for docs/check.md.
    """

    name: str
    unit: str
    event: str
    source: str
    exact: str


@dataclass(frozen=True)
class Mismatch:
    """One event (``seq``; None: a total) that is not what the model says, and why it says so."""

    rule: str
    event: str
    seq: int | None
    model: str
    observed: str
    source: str


@dataclass(frozen=True)
class Found:
    """
    What a rule found in some events: ``held`` times it could be held.

    ``explained``: a reason to how often it accounts for a difference; ``wrong``: differences
    without one, of which ``examples`` are the first.
    """

    rule: Rule
    held: int = 0
    predicted: int = 0
    observed: int = 0
    explained: Mapping[str, int] = field(default_factory=dict)
    wrong: int = 0
    examples: tuple[Mismatch, ...] = ()

    def __add__(self, other: Found) -> Found:
        reasons = dict.fromkeys((*self.explained, *other.explained))
        return Found(
            self.rule,
            self.held + other.held,
            self.predicted + other.predicted,
            self.observed + other.observed,
            {why: self.explained.get(why, 0) + other.explained.get(why, 0) for why in reasons},
            self.wrong + other.wrong,
            (*self.examples, *other.examples)[:SHOWN],
        )


@dataclass(frozen=True)
class Row:
    """
    A rule held against a whole recording.

    ``predicted`` and ``observed`` in ``unit``, None where the rule could not be held at all;
    ``agrees``: None where nothing exercised it. ``mismatches``: differences nothing explains.
    """

    rule: str
    unit: str
    predicted: int | None
    observed: int | None
    explained: tuple[tuple[str, int], ...]
    agrees: bool | None
    mismatches: int


Tell = Callable[[int], tuple[str, str]]
"""What the model says of the event at a place, with the reason, and what was observed."""


def judge(
    rule: Rule,
    columns: Columns,
    right: Mask,
    tell: Tell,
    explanations: Iterable[tuple[str, Mask]] = (),
) -> Found:
    """
    Return what the rule found in these events, each of which it holds for.

    ``right``: where it came out as predicted; ``explanations``: what else accounts for a
    difference, the first that applies. Predicted and observed count events.
    """
    agreed = int(np.count_nonzero(right))
    found = Found(rule, len(right), len(right), agreed)
    return found if agreed == len(right) else _differing(found, columns, ~right, tell, explanations)


def _differing(
    found: Found,
    columns: Columns,
    wrong: Mask,
    tell: Tell,
    explanations: Iterable[tuple[str, Mask]],
) -> Found:
    reasons = {}
    for why, applies in explanations:
        reasons[why] = int(np.count_nonzero(wrong & applies))
        wrong = wrong & ~applies
    places = np.flatnonzero(wrong)
    examples = tuple(_mismatch(found.rule, columns, int(at), tell) for at in places[:SHOWN])
    reasons = {why: count for why, count in reasons.items() if count}
    return replace(found, explained=reasons, wrong=len(places), examples=examples)


def _mismatch(rule: Rule, columns: Columns, at: int, tell: Tell) -> Mismatch:
    model, observed = tell(at)
    return Mismatch(rule.name, rule.event, int(columns["seq"][at]), model, observed, rule.source)


def total(rule: Rule, what: str, predicted: int, observed: int, right: bool | None = None) -> Found:
    """Return what a rule about one total found; ``right`` where it is not that both are equal."""
    right = predicted == observed if right is None else right
    if not predicted and not observed:
        return Found(rule)
    found = Found(rule, 1, predicted, observed)
    if right:
        return found
    told = f"{what}: {predicted}", f"{what}: {observed}"
    return replace(
        found, wrong=1, examples=(Mismatch(rule.name, rule.event, None, *told, rule.source),)
    )


def untold(rule: Rule, why: str) -> Found:
    """Return that a rule could not be held, and why."""
    return Found(rule, explained={why: 0})


def gathered(rules: Iterable[Rule], found: Iterable[Found]) -> dict[Rule, Found]:
    """Return the sum of what was found by rule, in the order of `rules`; all of them are there."""
    sums = {rule: Found(rule) for rule in rules}
    for each in found:
        sums[each.rule] += each
    return sums


def rows(sums: Mapping[Rule, Found]) -> Iterator[Row]:
    """Yield the row of each rule."""
    for rule, found in sums.items():
        told = found.held > 0
        yield Row(
            rule.name,
            rule.unit,
            found.predicted if told else None,
            found.observed if told else None,
            tuple(found.explained.items()),
            not found.wrong if told else None,
            found.wrong,
        )
