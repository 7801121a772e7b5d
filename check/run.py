"""Holds all rules against a recording, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..probes.sample import EventCounts
from ..recordings.reader import Recording
from . import batches, cow, decisions, failures, ksm, moves, pairs, settled, totals, walks
from .context import Context, context_of
from .failures import Failing
from .ksm import Merging
from .moves import Moving
from .pairs import Walked
from .settled import Waiting
from .totals import Told
from .verdict import Found, Mismatch, Row, Rule, gathered, nothing, rows
from .windows import Window, count, windows

RULES: tuple[Rule, ...] = (
    *decisions.RULES.values(),
    decisions.NEVER,
    *pairs.RULES,
    *batches.RULES,
    *settled.RULES,
    *walks.RULES,
    *moves.RULES,
    *cow.RULES,
    *ksm.RULES,
    *failures.RULES,
    *totals.RULES,
)
"""Every rule, in the order of the table."""


@dataclass(frozen=True)
class Verdict:
    """What came of a check. ``mismatches``: of each rule the first few; rows count them all."""

    events: int
    rows: tuple[Row, ...]
    mismatches: tuple[Mismatch, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing is left unexplained."""
        return all(row.agrees is not False for row in self.rows)


@dataclass(frozen=True)
class State:
    """What rules carry from one window to the next, and what they found so far."""

    found: Mapping[Rule, Found] = field(default_factory=lambda: nothing(RULES))
    settling: Waiting = field(default_factory=Waiting)
    walked: Walked = field(default_factory=Walked)
    moving: Moving = field(default_factory=Moving)
    merging: Merging = field(default_factory=Merging)
    failing: Failing = field(default_factory=Failing)
    told: Told = field(default_factory=Told)


def check(recording: Recording, progress: Callable[[int], None] = lambda events: None) -> Verdict:
    """Return the verdict on a recording; `progress` is told how many events were looked at."""
    events = recording.meta.end.events if recording.meta.end else {}
    if not recording.complete:
        events = {}
    return judge(context_of(recording), windows(recording), events, progress)


def judge(
    context: Context,
    parts: Iterable[Window],
    events: Mapping[str, EventCounts],
    progress: Callable[[int], None] = lambda events: None,
) -> Verdict:
    """Return the verdict on windows; `events`: the counts when all was over."""
    state, seen = State(), 0
    for window in parts:
        state = step(context, state, window)
        seen += sum(map(count, window.values()))
        progress(seen)
    found = finished(context, state, events)
    mismatches = tuple(example for each in found.values() for example in each.examples)
    return Verdict(seen, tuple(rows(found)), mismatches)


def step(context: Context, state: State, window: Window) -> State:
    """Return the state after one more window."""
    settling, together = settled.settle(state.settling, window)
    walked, checks, their_walks, there = pairs.pair(state.walked, window)
    moving, restored = moves.moved(state.moving, window["walk"])
    merging, merged = ksm.merging(context, state.merging, window)
    failing, failed = failures.failures(context, state.failing, window)
    found = (
        *decisions.decisions(context, together.checks, together.callers),
        *settled.inside(context, together),
        *batches.batches(context, window["batch"]),
        *walks.walks(context, window["walk"]),
        *pairs.pairs(context, checks, their_walks, there),
        restored,
        *moves.shared(context, window["walk"]),
        *cow.writes(context, window["cow"]),
        *merged,
        *failed,
    )
    told = totals.add(context, state.told, window)
    return State(gathered(state.found, found), settling, walked, moving, merging, failing, told)


def finished(
    context: Context, state: State, events: Mapping[str, EventCounts]
) -> dict[Rule, Found]:
    """Return all that was found, when all windows are over; `events`: see `judge`."""
    last = gathered(state.found, _last(context, state, events))
    return {rule: each.limited() for rule, each in last.items()}


def _last(context: Context, state: State, events: Mapping[str, EventCounts]) -> Iterator[Found]:
    """Yield what is found when all windows are over."""
    yield from decisions.decisions(context, *settled.never_settled(state.settling))
    yield moves.unpaired(context, state.moving)
    yield ksm.copied(context, state.merging)
    yield from totals.totals(context, state.told, events)
