"""What a rule is, what holding it against some events finds, and the row that comes of it all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

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

    ``explained``: a reason to how often it accounts for a difference; ``limits``: how often it can
    at most, of those for which that is known, and ``in_doubt`` the first differences that each of
    these accounts for. ``wrong``: differences without a reason, of which ``examples`` are the
    first.
    """

    rule: Rule
    held: int = 0
    predicted: int = 0
    observed: int = 0
    explained: Mapping[str, int] = field(default_factory=dict)
    wrong: int = 0
    examples: tuple[Mismatch, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    in_doubt: Mapping[str, tuple[Mismatch, ...]] = field(default_factory=dict)

    def __add__(self, other: Found) -> Found:
        if not (other.held or other.explained or other.wrong):
            return self
        if not (self.explained or other.explained or self.wrong or other.wrong):
            numbers = (self.held + other.held, self.predicted + other.predicted)
            return Found(self.rule, *numbers, self.observed + other.observed)
        reasons = dict.fromkeys((*self.explained, *other.explained))
        doubts = dict.fromkeys((*self.in_doubt, *other.in_doubt))
        return Found(
            self.rule,
            self.held + other.held,
            self.predicted + other.predicted,
            self.observed + other.observed,
            {why: self.explained.get(why, 0) + other.explained.get(why, 0) for why in reasons},
            self.wrong + other.wrong,
            (*self.examples, *other.examples)[:SHOWN],
            {**self.limits, **other.limits},
            {w: (*self.in_doubt.get(w, ()), *other.in_doubt.get(w, ()))[:SHOWN] for w in doubts},
        )

    def limited(self) -> Found:
        """Return it with what its reasons explain beyond their limits as wrong: any of these is."""
        found = self
        for why, limit in self.limits.items():
            beyond = self.explained.get(why, 0) - limit
            if beyond > 0:
                found = replace(
                    found,
                    explained={**found.explained, why: limit},
                    wrong=found.wrong + beyond,
                    examples=(*found.examples, *self.in_doubt[why])[:SHOWN],
                )
        return found


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


class Claim(NamedTuple):
    """
    A rule, held against events: where it came out as predicted, of those that it is held for.

    ``held``: None where it is held for all of them. Predicted and observed count events.
    """

    rule: Rule
    columns: Columns
    right: Mask
    held: Mask | None = None


class Reason(NamedTuple):
    """
    What accounts for differences, and for which. ``limit``: how many of a recording at most.

    None where each difference shows by itself that it is so.
    """

    why: str
    applies: Mask
    limit: int | None = None


def judge(claim: Claim, tell: Tell, reasons: Iterable[Reason] = ()) -> Found:
    """Return what a rule found; of several reasons for a difference the first one counts."""
    wrong = ~claim.right if claim.held is None else claim.held & ~claim.right
    held = len(wrong) if claim.held is None else int(np.count_nonzero(claim.held))
    differing = int(np.count_nonzero(wrong))
    found = Found(claim.rule, held, held, held - differing)
    return _differing(found, claim.columns, wrong, tell, reasons) if differing else found


def _differing(
    found: Found, columns: Columns, wrong: Mask, tell: Tell, reasons: Iterable[Reason]
) -> Found:
    explained, limits, in_doubt = {}, {}, {}

    def examples(which: Mask) -> tuple[Mismatch, ...]:
        places = np.flatnonzero(which)[:SHOWN]
        return tuple(_mismatch(found.rule, columns, int(at), tell) for at in places)

    for why, applies, limit in reasons:
        accounted = wrong & applies
        wrong = wrong & ~applies
        if count := int(np.count_nonzero(accounted)):
            explained[why] = count
        if count and limit is not None:
            limits[why], in_doubt[why] = limit, examples(accounted)
    return replace(
        found,
        explained=explained,
        wrong=int(np.count_nonzero(wrong)),
        examples=examples(wrong),
        limits=limits,
        in_doubt=in_doubt,
    )


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


def nothing(rules: Iterable[Rule]) -> dict[Rule, Found]:
    """Return what was found of rules before anything was looked at."""
    return {rule: Found(rule) for rule in rules}


def gathered(before: Mapping[Rule, Found], found: Iterable[Found]) -> dict[Rule, Found]:
    """Return the sum of what was found by rule."""
    sums = dict(before)
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
