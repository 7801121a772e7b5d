"""
The check that goes on beside an exporter: events are told for a while now and then, and checked.

No recording is made. In between the probes make no events, and cost what they cost anyway.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy.ma  # noqa: F401  np.isin() would load it, when privileges are dropped

from ..probes import events
from ..probes.backend import Attached
from ..probes.consumer import Consumer
from ..probes.ring import Records
from ..probes.sample import RuleCounts, Sample
from ..recordings.recorder import Memory
from .context import Context, known, losses
from .run import RULES, State, finished, step
from .verdict import Found, Mismatch, Rule
from .windows import NEEDED, Window

SPAN_S, EVERY_S = 2.0, 60.0
"""How long events are told, and how often."""

_POLL_S = 0.02


class Beside:
    """
    Checks a session that others read too, and adds what came of it to their Samples.

    ``told``: is given each mismatch as it is found.
    """

    def __init__(self, attached: Attached, told: Callable[[Mismatch], None]) -> None:
        self._attached, self._told = attached, told
        self._turn = threading.Lock()
        self._memory = Memory()
        self._consumer = Consumer(attached, self._memory)
        self._known = known(attached.facts, (each.probe for each in attached.attached))
        self._counts = {rule.name: RuleCounts(0, 0) for rule in RULES}

    def sample(self, tries: int) -> Sample:
        """Return a Sample of now, with what the checks so far found."""
        with self._turn:
            return replace(self._attached.sample(tries), model=dict(self._counts))

    def start(self) -> None:
        """Check again and again, in a thread that no signal goes to."""
        threading.Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            began = time.monotonic()
            self.once(SPAN_S)
            time.sleep(max(0.0, began + EVERY_S - time.monotonic()))

    def once(self, seconds: float) -> None:
        """Have events told for so long, and check them."""
        before = self._losses()
        start_ns, records = self._record(seconds)
        lost, missed = (_grown(*pair) for pair in zip(self._losses(), before, strict=True))
        context = self._known.context(start_ns, lost, missed)
        found = judged(context, records)
        with self._turn:
            for rule, each in found.items():
                self._counts[rule.name] = _plus(self._counts[rule.name], each)
        for each in found.values():
            for mismatch in each.examples:
                self._told(mismatch)

    def _losses(self) -> tuple[dict[str, int], dict[str, int]]:
        with self._turn:
            return losses(self._attached.sample(0))

    def _record(self, seconds: float) -> tuple[int, Mapping[str, Records]]:
        self._attached.want_events(tuple(events.EVENTS))
        start_ns = time.monotonic_ns()
        while time.monotonic_ns() < start_ns + seconds * 1e9:
            if not self._consumer.drain():
                time.sleep(_POLL_S)
        self._attached.want_events(())
        while self._consumer.drain():
            pass
        return start_ns, self._memory.take()


def _grown(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before[name] for name, count in now.items()}


def judged(context: Context, records: Mapping[str, Records]) -> dict[Rule, Found]:
    """Return what the rules find in events that are part of no recording."""
    window: Window = {
        event: {name: found[name] for name in NEEDED[event]} for event, found in records.items()
    }
    return finished(context, step(context, State(), window), {})


def _plus(counts: RuleCounts, found: Found) -> RuleCounts:
    return RuleCounts(counts.checks + found.held, counts.mismatches + found.wrong)


def on_stderr(mismatch: Mismatch) -> None:
    """Say what a rule found that nothing explains."""
    print(
        f"rmapwatch: {mismatch.rule}: model: {mismatch.model}; observed: {mismatch.observed}",
        file=sys.stderr,
    )
