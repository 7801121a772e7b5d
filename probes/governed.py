"""
A session under a governor: looks at what the probes cost every few seconds, and acts.

What was shed can be attached anew where somebody does so who may: then a new session takes the
place of the old one, and counts from zero, as after a start of the reader.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace

from .. import errors
from .cost import Conditions, Cost, Estimate, estimate
from .governor import ONE_IN, Governor, State
from .sample import Overhead, Sample
from .session import Session

LOOK_S = 5.0
"""Seconds between looks."""

ASSUMED = Cost(call_ns=500.0, step_ns=100.0, skipped_ns=90.0)
"""Where the kernel has nothing to measure it with: rather too much than too little."""

_ONE_IN = {State.FULL: 1, State.SAMPLED: ONE_IN, State.SHED: 0}


class Governed:
    """
    Samples of a session that is kept below a bound.

    ``again`` attaches all of it anew, None where nobody can; ``say`` is told of each change.
    ``seen``: what was estimated at the last look; None before the first.
    """

    def __init__(
        self,
        session: Session,
        bound: float,
        say: Callable[[str], None],
        again: Callable[[], Session] | None = None,
    ) -> None:
        self._session, self._say, self._again = session, say, again
        self._governor = Governor(bound, returns=again is not None)
        self._cost = session.cost or ASSUMED
        self._per_walk = 0.0
        self._last = session.runs()
        self.seen: Estimate | None = None
        self._turn = threading.Lock()
        if session.cost is None:
            say("what programs cost here cannot be measured; it is assumed")

    def start(self) -> None:
        """Look again and again, in a thread that no signal goes to."""
        threading.Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            time.sleep(LOOK_S)
            self.look()

    def sample(self, tries: int) -> Sample:
        """Return a Sample of now, with what the governor says."""
        with self._turn:
            return self.told(self._session.sample(tries))

    def told(self, taken: Sample) -> Sample:
        """Return a Sample of the session with what the governor says."""
        governor, seen = self._governor, self.seen
        return replace(
            taken,
            overhead=Overhead(
                bound=governor.bound,
                share=None if seen is None else seen.now,
                states={each.value: int(each == governor.state) for each in State},
                costs={} if self._session.cost is None else _named(self._session.cost),
            ),
        )

    def look(self) -> State:
        """Estimate what the probes took since the last look, and act; return the state then."""
        now = self._session.runs()
        ran, self._last = now.since(self._last), now
        one_in = _ONE_IN[self._governor.state]
        if one_in and ran.walks:
            self._per_walk = ran.steps * one_in / ran.walks
        cpus = os.sysconf("SC_NPROCESSORS_ONLN")
        self.seen = estimate(self._cost, ran, Conditions(cpus, one_in, self._per_walk))
        after = self._governor.look(self.seen)
        if after.state != self._governor.state and not self._act(after.state):
            after = replace(self._governor, over=0, under=0)
        self._governor = after
        return after.state

    def _act(self, state: State) -> bool:
        """Bring a state about; return whether that was possible."""
        if state == State.SHED:
            self._session.shed_steps()
        elif self._governor.state != State.SHED:
            self._session.sample_steps(_ONE_IN[state])
        elif not self._attached_anew():
            return False
        self._say(self._news(state))
        return True

    def _attached_anew(self) -> bool:
        """Put a new session into the old one's place, which is there until then; return whether."""
        if self._again is None:
            return False
        try:
            new = self._again()
        except errors.RmapwatchError as refused:
            self._say(f"the programs of steps stay away: {refused}")
            return False
        with self._turn:
            old, self._session = self._session, new
        self._last = new.runs()
        old.close()
        return True

    def _news(self, state: State) -> str:
        seen, bound = self.seen, self._governor.bound
        told = (
            ""
            if seen is None
            else f"the probes take {seen.now:.3%} of the CPUs, all {seen.whole:.3%}"
        )
        of = {1: "every walk", 0: "no walk"}.get(_ONE_IN[state], f"one walk in {ONE_IN}")
        return f"{state}: VMAs of {of} are counted; {told}, the bound is {bound:.3%}"


def _named(cost: Cost) -> dict[str, float]:
    return {name.removesuffix("_ns"): value for name, value in asdict(cost).items()}


def bound(text: str) -> float | None:
    """Return the share that `1%`, or `0.01`, says; None for `off` and zero."""
    if text == "off":
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise errors.UsageError(
            f"{text} is no share of the CPUs",
            "it is neither a percentage nor off",
            "--max-overhead 1%",
        )
    return share or None
