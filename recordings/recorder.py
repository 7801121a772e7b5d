"""Records a session: its events as they come, and a Sample every so often."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..collectors.hottest import Hottest
from ..collectors.owners import Owners
from ..errors import UsageError
from ..probes import events, ring
from ..probes.backend import Attached
from ..probes.consumer import Consumer, Sink
from ..probes.ring import Records
from ..probes.sample import Sample
from ..probes.session import Request as SessionRequest
from . import schema, writer
from .meta import Clocks, Ending, Meta, Plan, require_new

RING_PAGES = 4096
"""16 MB: what a storm produces while a batch is written."""

SESSION = SessionRequest(events=tuple(events.EVENTS), ring_pages=RING_PAGES)
"""What a recording asks of the loader: all probes, all events from the first call on."""

_POLL_S = 0.02
_GRACE_S = 5.0


class Both:
    """A sink that hands what it takes to two others."""

    def __init__(self, one: Sink, other: Sink) -> None:
        self._sinks = one, other

    def append(self, event: str, records: Records) -> None:
        """Hand them on."""
        for sink in self._sinks:
            sink.append(event, records)


class Memory:
    """A sink that keeps all events."""

    def __init__(self) -> None:
        self._batches: dict[str, list[Records]] = {name: [] for name in events.EVENTS}

    def append(self, event: str, records: Records) -> None:
        """Keep them."""
        self._batches[event].append(records)

    def take(self) -> dict[str, Records]:
        """Return all events so far, by type, and forget them."""
        found = self.records()
        self._batches = {name: [] for name in events.EVENTS}
        return found

    def records(self) -> dict[str, Records]:
        """Return all events so far, by type."""
        return {
            name: np.concatenate([np.empty(0, ring.dtype(name)), *batches])
            for name, batches in self._batches.items()
        }


class Tape:
    """A recording that goes on: `step` again and again, then `close`."""

    def __init__(
        self,
        attached: Attached,
        folder: Path,
        interval_s: float,
        command: Sequence[str] = (),
        on_sample: Callable[[Sample], None] = lambda sample: None,
    ) -> None:
        """Start to record into the new folder; `on_sample` is shown each Sample."""
        plan = Plan(attached.backend, attached.attached, attached.unavailable)
        meta = Meta(attached.facts, plan, Clocks.now(), command=tuple(command))
        self._attached = attached
        self._writer = writer.Writer(folder, meta)
        self._hottest = Hottest(Owners())
        self._consumer = Consumer(attached, Both(self._writer, self._hottest))
        self._on_sample = on_sample
        self._interval_s, self._due = interval_s, time.monotonic() + interval_s
        self._first_ns = self.sample().time_ns

    def step(self) -> int:
        """Take what has come, and a Sample where one is due; return the number of events."""
        taken = self._consumer.drain()
        if time.monotonic() >= self._due:
            self._due += self._interval_s
            self.sample()
        return taken

    def sample(self) -> Sample:
        """Take a Sample now."""
        self._consumer.drain()
        taken = self._attached.sample()
        self._consumer.drain()  # a storm may have gone on while the Sample was taken
        taken = self._hottest.added_to(taken)
        self._writer.sample(taken)
        self._on_sample(taken)
        return taken

    def close(self, ledger: Any = None) -> Sample:
        """Take the last Sample, and what comes until the probes are told to stop; return it."""
        last = self.sample()
        self._attached.want_events(())
        while self._consumer.drain():
            pass
        final = self._attached.sample()
        missed = {probe: account.missed for probe, account in final.accounts.items()}
        window = (self._first_ns, last.time_ns)
        self._writer.close(Ending(Clocks.now(), window, missed, final.events, ledger))
        return last


@dataclass(frozen=True)
class Request:
    """
    What `rmapwatch record` is asked for.

    ``duration_s``: None until the command ends, or for ever. ``command``: () for none.
    """

    folder: Path
    interval_s: float
    duration_s: float | None = None
    command: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `UsageError` for what cannot be done, before anything costly or irrevocable."""
        schema.load_all()
        require_new(self.folder)
        if self.command and shutil.which(self.command[0]) is None:
            raise UsageError(
                f"{self.command[0]} cannot be run",
                "there is no such command",
                f"rmapwatch record -o {self.folder} -- sh -c '...'",
            )


def record(attached: Attached, request: Request) -> int:
    """Record until the command, the duration or the user ends it; return the command's status."""
    with _told_to_stop() as stop:
        tape = Tape(attached, request.folder, request.interval_s, request.command)
        with _running(request.command) as process:
            by_itself = _until_the_end(tape, process, request.duration_s, stop)
            status = process.poll() if process and by_itself else None
        tape.close()
    return _exit_code(status)


def _until_the_end(
    tape: Tape,
    process: subprocess.Popen[bytes] | None,
    duration_s: float | None,
    stop: threading.Event,
) -> bool:
    """Step until all is over; return False where the user ended it."""
    end = time.monotonic() + duration_s if duration_s is not None else float("inf")
    while not stop.is_set() and time.monotonic() < end:
        if process is not None and process.poll() is not None:
            break
        if not tape.step():
            time.sleep(_POLL_S)
    return not stop.is_set()


def _exit_code(status: int | None) -> int:
    """Return the exit code for a command's status; 0 where it was ended with the recording."""
    if status is None:
        return 0
    return 128 - status if status < 0 else status


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes] | None]:
    """Run the command; where it has not ended by itself, ask it to, then make it."""
    if not command:
        yield None
        return
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """
    Give what is set by Ctrl-C and by SIGTERM.

    An exception in the midst of a write could leave half of it, or be lost in a library's callback.
    """
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
