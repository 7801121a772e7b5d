"""A session over events of tracefs: needs root and tracefs, no BPF, no compiler, no headers."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...kernels import read
from ...kernels.facts import KernelFacts
from .. import catalogue, decode, ksm, needs, readout, state
from ..events import STRIDE
from ..resolve import Candidate, Unavailable
from ..sample import Account, EventCounts, Sample
from ..session import QUIET_TRIES, Request
from . import plan, tracefs
from .buffers import Kind, Merger, reader
from .follow import Follower, kernel
from .instance import Hits, Instance
from .plan import Side
from .tape import Tape

if TYPE_CHECKING:
    from ..ring import Batch

NAME = "ftrace"

_DRAIN_S = 0.05
_PAUSE_S = 0.002
_EVENTS_KEPT = 1 << 17
_OF_KSMD = ("ksm_scan", "ksm_scan_end")


def start(request: Request) -> Session:
    """
    Set up the events for `request` and return a Session over them.

    Raise `NotPermittedError` without root, and `NothingAttachedError` where nothing came of it.
    """
    needs.require_root("events cannot be set up")
    facts = tracefs.facts()
    instance = Instance(facts, plan.buffer_kb(request.ring_pages, os.cpu_count() or 1))
    try:
        instance.attach(*_seen_from_here(*plan.resolve_all(request.probes, facts)))
        return Session(facts, instance, request.events)
    except BaseException:
        instance.close()
        raise


def _seen_from_here(
    candidates: Sequence[Candidate], refused: Sequence[Unavailable]
) -> tuple[Sequence[Candidate], Sequence[Unavailable]]:
    """Return both without what takes a kernel thread that this process cannot see."""
    if read.kernel_thread(ksm.THREAD) is not None:
        return candidates, refused
    why = f"no thread {ksm.THREAD} is seen from this PID namespace"
    seen = [c for c in candidates if c.point.name not in _OF_KSMD]
    hidden = [Unavailable(c.point, why) for c in candidates if c.point.name in _OF_KSMD]
    return seen, [*refused, *hidden]


class Session:
    """Events that are recorded for as long as this object, or its process, lives."""

    def __init__(self, facts: KernelFacts, instance: Instance, told: Sequence[str]) -> None:
        """Count what `instance` records; ``told``: the types of event that are kept, too."""
        self.facts, self.backend = facts, NAME
        self.attached = tuple(instance.rows)
        self.unavailable: Mapping[str, str] = instance.unavailable
        self._instance = instance
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._probes = [row.probe for row in self.attached]
        self._layout = state.layout(self._probes)
        self._tape = Tape(_EVENTS_KEPT)
        self.want_events(told)
        symbols = [row.symbol for row in self.attached]
        addresses = read.addresses(catalogue.WANTED.functions)
        known = kernel(facts, addresses, symbols, read.kernel_thread(ksm.THREAD))
        self._watched = decode.Watched(known.steps, 0, set(self._probes), at_exit=False)
        self._follower = Follower(self._layout, known, self._tape)
        self._kinds = dict(self._all_kinds())
        by_number = {kind.number: kind for kind in self._kinds.values()}
        self._merger = Merger(instance.shape, by_number, self._follower)
        self._since: Mapping[str, Hits] = {}
        self._received: Counter[str] = Counter()
        self._drain()
        self._follower.meet_anew()  # what was seen before all events were there is not enough
        self._drainer = threading.Thread(target=self._drain_on, daemon=True)
        self._drainer.start()

    def _all_kinds(self) -> Iterator[tuple[str, Kind]]:
        for number, probe in enumerate(self._probes):
            for side in self._instance.attached[probe]:
                form = self._instance.format(side)
                handle = self._follower.handler(side.call, side.constant, number)
                yield side.name, Kind(form.number, reader(form, side.carried), handle)

    def _drain_on(self) -> None:
        while not self._closing.wait(_DRAIN_S):
            self._drain()

    def _drain(self) -> None:
        with self._lock:
            if not self._closing.is_set():
                self._instance.buffers.drain(self._merger)

    def ring(self) -> Session:
        """Return what hands out the events: this session itself."""
        return self

    def drain(self) -> tuple[int, Batch]:
        """Return the seq of the first event that nobody has taken, and all of them as slots."""
        import numpy as np

        self._drain()
        with self._lock:
            slots = self._tape.take()
            first = self._tape.seq - len(slots)
        return first, np.frombuffer(b"".join(slots), np.uint8).reshape(-1, STRIDE).copy()

    def want_events(self, names: Sequence[str]) -> None:
        """Have events of these types kept from now on, and no others."""
        with self._lock:
            self._tape.wanted = frozenset(names)

    def received(self, event: str, count: int) -> None:
        """Note that `count` more events of a type were taken."""
        self._received[event] += count

    def restart(self) -> None:
        """
        Count from zero from now on; calls that are under way count when they end. The events must
        have been taken.
        """
        self.sample()
        with self._lock:
            self._since = self._instance.hits()
            self._follower.reset()
            self._merger.gaps = 0
            self._tape.reset()
            self._received.clear()
            for kind in self._kinds.values():
                kind.seen = 0

    def close(self) -> None:
        """Remove everything."""
        self._closing.set()
        self._drainer.join()
        self._instance.close()

    def sample(self, tries: int = QUIET_TRIES) -> Sample:
        """Return what has been counted; quiet where nothing came between two of 1 + `tries`."""
        before = self._state()
        for _ in range(tries):
            time.sleep(_PAUSE_S)
            after = self._state()
            if after == before and not self._merger.waiting:
                return self._sample(quiet=True)
            before = after
        return self._sample(quiet=False)

    def _state(self) -> tuple[Mapping[str, Hits], int]:
        hits = self._instance.hits()
        self._drain()
        return hits, sum(kind.seen for kind in self._kinds.values())

    def _sample(self, quiet: bool) -> Sample:
        hits = self._instance.hits()
        self._drain()
        with self._lock:
            block = state.Block(self._layout, "cpu_state", tuple(self._follower.words))
            return Sample(
                time_ns=time.monotonic_ns(),
                quiet=quiet,
                backend=self.backend,
                release=self.facts.release,
                attached=self.attached,
                unavailable=self.unavailable,
                accounts={probe: self._account(probe, block, hits) for probe in self._probes},
                **decode.counts(block, self._watched),
                **readout.counts(block, self._watched, self.facts),
                events=self._events(),
            )

    def _account(self, probe: str, block: state.Block, hits: Mapping[str, Hits]) -> Account:
        number, sides = self._probes.index(probe), self._instance.attached[probe]
        counted = block.inner("accounts", number)
        unseen = [self._unseen(side, hits) for side in sides]
        if len(sides) == 1:
            return self._account_of_one(number, unseen[0])
        skipped, lost = unseen[-1] or (0, 0)
        alive, gone = self._in_flight(number)
        stale = counted["stale"] + gone
        return Account(
            entries=counted["entries"] + skipped + lost,
            exits=counted["exits"],
            in_flight=alive,
            missed=stale + skipped + lost,
            recursion=sum(told[0] for told in unseen if told),
            stale=stale,
            unmatched=counted["unmatched"],
        )

    def _account_of_one(self, probe: int, unseen: tuple[int, int] | None) -> Account:
        """Return what is known of events that have no other side; of reports, nobody counts all."""
        doubtful = self._follower.doubtful[probe]
        if unseen is not None:
            return Account(None, None, None, doubtful + sum(unseen), unseen[0])
        return Account(None, None, None, None if self._merger.gaps else doubtful, None)

    def _unseen(self, side: Side, hits: Mapping[str, Hits]) -> tuple[int, int] | None:
        """
        Return how often the kernel could not tell of an event, and how many were overwritten.

        None of those that it reports by itself: it does not count them.
        """
        if side.name not in hits:
            return None
        told = hits[side.name] - self._since.get(side.name, Hits())
        return told.missed, max(0, told.hits - self._kinds[side.name].seen)

    def _in_flight(self, probe: int) -> tuple[int, int]:
        """Return the calls in flight, and those that a thread that is gone left behind."""
        tids = [
            tid
            for calls in self._follower.open.values()
            for tid, call in calls.items()
            if call.probe == probe
        ]
        alive = sum(Path(f"/proc/{tid}").exists() for tid in tids)
        return alive, len(tids) - alive

    def _events(self) -> dict[str, EventCounts]:
        produced, lost = self._tape.produced, self._tape.lost
        return {
            name: EventCounts(produced[name], lost[name], self._received[name])
            for name in plan.TOLD
        }
