"""In a guest: what watches the walks, sleeps while rounds are measured, and tells at the end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...errors import RmapwatchError
from ...kernels import syscalls
from ...kernels.btf import Btf
from ...kernels.facts import KernelFacts
from ...probes import loader
from ...probes.resolve import Candidate, resolve_all
from .. import guest

_ATTACHED_S = 120.0
_GONE_S = 30.0
_POLL_S = 0.1
_SETTLE_S = 2.0
# Guest time passes at once while nobody runs.


class AbsentError(Exception):
    """A tracer cannot be measured here; why."""


Told = dict[str, int | None]


class Tracer:
    """Something that watches walks; here it has no process of its own."""

    def sleep(self) -> None:
        """Do nothing from now on but what the probes do by themselves."""

    def wake(self) -> None:
        """Take what has been gathered."""

    def told(self) -> Told:
        """Return what it has counted; empty where it counts nothing. It is over then."""
        return {}


@dataclass(frozen=True)
class Watched:
    """The functions that are watched on this kernel: those of walks and those of steps."""

    facts: KernelFacts
    btf: Btf
    candidates: tuple[Candidate, ...]

    @property
    def walks(self) -> tuple[str, ...]:
        """Return the functions that walk."""
        return tuple(c.source.symbol for c in self.candidates if c.point.section == "walk")

    @property
    def steps(self) -> tuple[str, ...]:
        """Return the callbacks that a walk calls for each VMA."""
        return tuple(c.source.symbol for c in self.candidates if c.point.section != "walk")


def watched(names: Sequence[str]) -> Watched:
    """Return where the probe points of these names are on this kernel."""
    from ...probes import catalogue

    points = [point for point in catalogue.POINTS if point.name in names]
    btf, facts, _ = loader.settle(points, loader.kernel())
    return Watched(facts, btf, tuple(resolve_all(points, facts)[0]))


def traced() -> set[str]:
    """Return the functions to which anything is attached through ftrace."""
    text = (syscalls.tracefs() / "enabled_functions").read_text()
    return {line.split()[0] for line in text.splitlines() if line and not line[0].isspace()}


# ---- ways to attach ------------------------------------------------------------------------------


@contextmanager
def nothing(_: Watched) -> Iterator[Tracer]:
    """Attach nothing."""
    yield Tracer()


@contextmanager
def empty(there: Watched) -> Iterator[Tracer]:
    """Attach programs that do nothing where rmapwatch watches walks and steps, as it would."""
    ids = {name: p.btf_id for name, p in there.btf.functions(there.facts.functions).items()}
    held: list[int] = []
    try:
        for candidate in there.candidates:
            symbol = candidate.source.symbol
            for mechanism in candidate.mechanisms:
                code, number = syscalls.EMPTY_PROGRAM, ids.get(symbol, 0)
                held.append(syscalls.load(code, mechanism, "empty", number))
                held.append(syscalls.attach(held[-1], mechanism, symbol))
        yield Tracer()
    finally:
        for descriptor in held:
            os.close(descriptor)


class Process(Tracer):
    """A tracer that is a process: stopped while it is to sleep, ended by SIGINT as by Ctrl-C."""

    def __init__(self, process: subprocess.Popen[str], said: IO[str], word: str = "") -> None:
        """``word``: what it says once all is attached."""
        self.process, self._said, self._word = process, said, word

    def sleep(self) -> None:
        """Stop it, once it has come to rest."""
        time.sleep(_SETTLE_S)
        self._require()
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def wake(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)
        time.sleep(_SETTLE_S)

    def ready(self) -> bool:
        """Return whether it has said that it is, where it says so at all."""
        return self._word in self.said()

    def _require(self) -> None:
        if self.process.poll() is not None:
            raise AbsentError(self.last_words())

    def last_words(self) -> str:
        """Return what it said last, or how it ended."""
        lines = [line.strip() for line in self.said().splitlines() if line.strip()]
        telling = [line for line in lines if re.search(r"error|fail|cannot|unknown", line, re.I)]
        return (telling or lines or [f"exit status {self.process.returncode}"])[-1]

    def said(self) -> str:
        """Return all that it has said so far."""
        self._said.seek(0)
        return self._said.read()

    def told(self) -> Told:
        """End it; return how many walks its histograms of durations hold."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(_ATTACHED_S)
        return {"walks": walks_in(self.said())}


class Asked(Process):
    """Probes of rmapwatch in a process of their own, which answers when it is asked."""

    def told(self) -> Told:
        """Ask it."""
        assert self.process.stdin
        before = len(self.said())
        print(file=self.process.stdin, flush=True)
        while not (answer := self.said()[before:]).endswith("\n"):
            self._require()
            time.sleep(_POLL_S)
        told: Told = json.loads(answer)
        return told


def walks_in(said: str) -> int | None:
    """
    Return the walks in the histograms of durations that bpftrace or bcc print; None without any.

    bpftrace has a histogram for each key of `@ns`, bcc's rows have an arrow.
    """
    rows = re.findall(r"^\s*\d+ -> \d+\s*: (\d+)", said, re.MULTILINE)
    for histogram in re.findall(r"^@ns\[.*\]:\s*\n((?:[\[(].*\n?)+)", said, re.MULTILINE):
        rows += re.findall(r"[\])]\s+(\d+) \|", histogram)
    return sum(map(int, rows)) if rows else None


@contextmanager
def process(
    command: Sequence[str],
    package: str,
    symbols: Sequence[str],
    kind: type[Process] = Process,
    word: str = "",
) -> Iterator[Process]:
    """
    Run a tracer until all of `symbols` are traced, and it has said `word`.

    ``package``: where its program comes from.
    """
    if shutil.which(command[0]) is None:
        raise AbsentError(f"{command[0]} is not installed: sudo apt install {package}")
    log = Path(f"{Path(command[0]).name}-{time.monotonic_ns()}.log")
    with (
        log.open("w+") as said,
        log.open() as reading,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as running,
    ):
        try:
            tracer = kind(running, reading, word)
            _wait_for(tracer, set(symbols))
            yield tracer
        finally:
            running.kill()
            running.wait()


def _wait_for(tracer: Process, symbols: set[str]) -> None:
    end = time.monotonic() + _ATTACHED_S
    while not (symbols <= traced() and tracer.ready()):
        if tracer.process.poll() is not None:
            raise AbsentError(tracer.last_words())
        if time.monotonic() > end:
            missing = ", ".join(sorted(symbols - traced()))
            raise AbsentError(f"it attached nothing to {missing} in {_ATTACHED_S:g} s of the guest")
        time.sleep(_POLL_S)


@contextmanager
def function_graph(there: Watched) -> Iterator[Tracer]:
    """Have the kernel's function_graph tracer write down every walk and every step."""
    guest.require_guest()
    root = syscalls.tracefs()
    try:
        (root / "set_ftrace_filter").write_text("\n".join([*there.walks, *there.steps]))
        (root / "current_tracer").write_text("function_graph")
    except OSError as refused:
        raise AbsentError(str(refused)) from None
    try:
        yield Tracer()
    finally:
        (root / "current_tracer").write_text("nop")
        (root / "set_ftrace_filter").write_text("")
        (root / "trace").write_text("")


_GROUP = "rmapwatch_bench"


class Perf(Process):
    """perf, which writes every call down: what it has counted is told by the kernel."""

    def told(self) -> Told:
        """Return how often the kernel ran into the probes at which walks begin."""
        profile = (syscalls.tracefs() / "kprobe_profile").read_text()
        hits = re.findall(r"^\s*walk_\w+\s+(\d+)", profile, re.MULTILINE)
        return {"walks": sum(map(int, hits))}


def _define(line: str) -> None:
    """Define an event at a function, or remove it; the file takes no position."""
    descriptor = os.open(syscalls.tracefs() / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@contextmanager
def perf(there: Watched) -> Iterator[Tracer]:
    """Have perf record begin and end of every walk, and every step."""
    guest.require_guest()
    lines = [
        *(f"p:{_GROUP}/walk_{name} {name}" for name in there.walks),
        *(f"r:{_GROUP}/end_{name} {name}" for name in there.walks),
        *(f"p:{_GROUP}/step_{name} {name}" for name in there.steps),
    ]
    for line in lines:
        _define(line)
    command = ["perf", "record", "-q", "-a", "-m", "64M", "-e", f"{_GROUP}:*", "-o", "/run/perf"]
    try:
        with process(command, "linux-perf", [*there.walks, *there.steps], Perf) as tracer:
            yield tracer
    finally:
        for line in lines:
            _define(f"-:{line.split()[0].partition(':')[2]}")


def require_gone(before: set[str]) -> None:
    """Wait until nothing is traced but what was before; raise where something stays."""
    end = time.monotonic() + _GONE_S
    while left := traced() - before:
        if time.monotonic() > end:
            raise RmapwatchError("probes stay attached", ", ".join(sorted(left)))
        time.sleep(_POLL_S)
    time.sleep(_SETTLE_S)
