"""
The reader's side: starts the loader, receives what it attached, and takes Samples from it.

The reader loads no compiler and calls no bpf(2). It maps the probes' state and reads it as memory;
what the kernel counts per program it reads from the descriptors' fdinfo.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import errors
from ..kernels.facts import KernelFacts
from . import catalogue, decode, events, needs, readout, rmap, state, steps, wire
from .cost import Cost, Runs
from .fdinfo import Program, fdinfo
from .sample import Account, Attachment, EventCounts, RunCounts, Sample

if TYPE_CHECKING:
    from .ring import Ring

DISTRIBUTION_PYTHON = "/usr/bin/python3"
"""Where the distribution's bcc can be imported."""

RING_PAGES = 256
QUIET_TRIES = 20
_COUNTS_RUNS = Path("/proc/sys/kernel/bpf_stats_enabled")
_LOADER = Path(__file__).with_name("loader.py")


@dataclass(frozen=True)
class Request:
    """
    What the loader is asked for.

    ``probes``: names of probe points. ``events``: types of event that go into the ring from the
    first call on. ``ring_pages``: the ring's size, a power of two. ``calibrate``: tell what
    programs cost on this machine.
    """

    probes: tuple[str, ...] = catalogue.names()
    events: tuple[str, ...] = ()
    ring_pages: int = RING_PAGES
    calibrate: bool = False


def start(request: Request, python: str = DISTRIBUTION_PYTHON) -> Session:
    """
    Run the loader and return a Session over what it attached.

    Raise `NotPermittedError` without root and `NothingAttachedError` where nothing came of it.
    """
    needs.require_root("probes cannot be attached")
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            loader = _spawn(python, theirs)
        try:
            return ask(ours, request)
        except OSError:
            raise _loader_gone(loader) from None
        finally:
            _end(loader)


def ask(sock: socket.socket, request: Request) -> Session:
    """Send `request` to a loader and return a Session over its answer; raise OSError without."""
    wire.send(sock, dataclasses.asdict(request))
    manifest, fds = wire.receive(sock)
    if "error" in manifest:
        raise errors.retold(manifest["error"])
    return Session(manifest, fds)


def loader_command(python: str, fd: int, *group: str) -> list[str]:
    """Return how the loader is run for the socket `fd`, and for whom if that is not known."""
    return [python, "-I", "-B", str(_LOADER), str(fd), *group]


def _spawn(python: str, sock: socket.socket) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            loader_command(python, sock.fileno()),
            pass_fds=[sock.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise needs.no_python(str(error)) from None


def _end(loader: subprocess.Popen[bytes]) -> None:
    """Let the loader finish, or end it where this side failed first."""
    try:
        loader.wait(10)
    except subprocess.TimeoutExpired:
        loader.kill()
        loader.wait()


def _loader_gone(loader: subprocess.Popen[bytes]) -> errors.RmapwatchError:
    """Return the error for a loader that died before it had handed anything over."""
    code = loader.wait()
    said = (loader.stderr.read() if loader.stderr else b"").decode(errors="replace").strip()
    if code < 0:
        why = f"it was killed by {signal.Signals(-code).name}"
    else:
        why = said.splitlines()[-1] if said else f"it ended with code {code}"
    return errors.NothingAttachedError(
        "the loader died before it handed the probes over", why, "rmapwatch probes --explain"
    )


class _Counted(NamedTuple):
    """The state of all CPUs as it is in memory, and by probe calls skipped per program."""

    state: bytes
    skipped: dict[str, list[int | None]]


@dataclass(frozen=True)
class _Reading:
    """
    The state summed over CPUs, and by probe: calls in flight, calls whose thread has ended without
    their exit having been seen, and calls skipped per program.
    """

    words: tuple[int, ...]
    in_flight: dict[str, int]
    orphaned: dict[str, int]
    skipped: dict[str, list[int | None]]

    def since(self, start: _Reading) -> _Reading:
        """Return what was added since `start`; what is in flight is so now."""
        words = tuple(now - then for now, then in zip(self.words, start.words, strict=True))
        orphaned = {probe: now - start.orphaned[probe] for probe, now in self.orphaned.items()}
        skipped = {
            probe: [
                None if now is None else now - (then or 0)
                for now, then in zip(programs, start.skipped[probe], strict=True)
            ]
            for probe, programs in self.skipped.items()
        }
        return _Reading(words, self.in_flight, orphaned, skipped)


class Session:
    """Probes that are attached for as long as this object, or its process, lives."""

    def __init__(self, manifest: dict[str, Any], fds: list[int]) -> None:
        """Take over the descriptors `fds` that `manifest` describes."""
        self.facts = KernelFacts.from_json(manifest["facts"])
        self.backend: str = manifest["backend"]
        self.attached = tuple(
            Attachment(row["probe"], row["symbol"], row["mechanism"], row["reason"])
            for row in manifest["attached"]
        )
        self.unavailable: Mapping[str, str] = {
            row["probe"]: row["reason"] for row in manifest["unavailable"]
        }
        self._probes: list[str] = manifest["probes"]
        self._layout = state.layout(self._probes)
        self._cpus: int = manifest["possible_cpus"]
        self.cost = None if manifest["cost"] is None else Cost(**manifest["cost"])
        self._links = {
            row["probe"]: [fds[place] for place in row["links"]] for row in manifest["attached"]
        }
        self._programs = {
            row["probe"]: [Program(fds[place]) for place in row["programs"]]
            for row in manifest["attached"]
        }
        maps = {name: fds[place] for name, place in manifest["maps"].items()}
        self._state = self._map(maps["state"], "cpu_state")
        self._work = self._map(maps["work"], "work", state.WORK_SLOTS)
        self._areas = steps.Areas(
            self._probes,
            self._layout,
            self._state,
            self._work,
            self._map(maps["control"], "control"),
        )
        symbols = [row.symbol for row in self.attached]
        watched = rmap.steps_watched(symbols, self.facts)
        looks = rmap.looks_watched(row.probe for row in self.attached)
        steps.watch(self._areas, watched, looks)
        self._watched = decode.Watched(watched, looks, {row.probe for row in self.attached})
        pairs = {point.name for point in catalogue.POINTS if point.entry and point.exit}
        self._pairs = [n for n, probe in enumerate(self._probes) if probe in pairs]
        self._sampling = 1.0 if any(row.probe in steps.PROBES for row in self.attached) else None
        self._received = dict.fromkeys(events.EVENTS, 0)
        self._start: _Reading | None = None
        self._turn = threading.Lock()
        self.ring_fd = maps["events"]
        self.ring_size = fdinfo(self.ring_fd)["max_entries"]

    def _map(self, fd: int, struct: str, count: int = 1) -> memoryview:
        """Map an array map; check that each value is what this side believes, so many structs."""
        expected, info = self._layout.words(struct) * 8 * count, fdinfo(fd)
        if info["value_size"] != expected:
            raise errors.RmapwatchError(
                "the loader and the reader disagree",
                f"{count} {struct} are {info['value_size']} bytes there and {expected} here",
                "install both from the same version of rmapwatch",
            )
        length = -(-expected * info["max_entries"] // mmap.PAGESIZE) * mmap.PAGESIZE
        area = mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        os.close(fd)
        return memoryview(area).cast("Q")

    def want_events(self, names: Sequence[str]) -> None:
        """Have the probes put events of these types, and no others, into the ring."""
        self._areas.set("events", events.mask(names))

    def restart(self) -> None:
        """
        Count from zero from now on. Calls that are under way end as exits too many, so do it while
        nothing is; the ring must have been drained.
        """
        self._start = None
        self._start = self._read()[1]
        self._received = dict.fromkeys(events.EVENTS, 0)

    def ring(self) -> Ring:
        """Return what consumes the ring of events; there can be only one."""
        from .ring import Ring  # numpy

        return Ring(self.ring_fd, self.ring_size)

    def received(self, event: str, count: int) -> None:
        """Note that `count` more events of a type came out of the ring."""
        self._received[event] += count

    def close(self) -> None:
        """Detach everything, and let go of it."""
        self._detach(list(self._links))
        if self.ring_fd >= 0:
            os.close(self.ring_fd)
        self.ring_fd = -1

    def _detach(self, probes: Iterable[str]) -> None:
        for probe in probes:
            for link in self._links.pop(probe, ()):
                os.close(link)
            for program in self._programs.pop(probe, ()):
                program.close()

    def runs(self) -> Runs:
        """Return how often programs have run so far."""
        return steps.runs(self._areas)

    def sample_steps(self, one_in: int) -> None:
        """Count the VMAs of one in so many walks, a power of two, taken by chance."""
        steps.sample(self._areas, one_in)
        self._sampling = None if self._sampling is None else 1 / one_in

    def shed_steps(self) -> None:
        """Detach what sees single VMAs; from now on no walk tells how many it entered."""
        steps.forget(self._areas)
        shed = [row.probe for row in self.attached if row.probe in steps.PROBES]
        with self._turn:
            self._detach(shed)
            self.attached = tuple(row for row in self.attached if row.probe not in shed)
            self.unavailable = {**self.unavailable, **dict.fromkeys(shed, steps.SHED)}
            self._watched = decode.Watched(0, 0, {row.probe for row in self.attached})
            self._sampling = 0.0 if shed else None

    def sample(self, tries: int = QUIET_TRIES) -> Sample:
        """Return what has been counted; quiet where two in a row of 1 + `tries` were the same."""
        with self._turn:
            counted, reading = self._read()
            for _ in range(tries):
                if self._counted() == counted:
                    return self._sample(reading, quiet=True)
                counted, reading = self._read()
            return self._sample(reading, quiet=False)

    def _counted(self) -> _Counted:
        size = 8 * self._cpus * self._layout.words("cpu_state")
        skipped = {
            probe: [program.recursion_misses() for program in programs]
            for probe, programs in self._programs.items()
        }
        return _Counted(bytes(self._state.cast("B")[:size]), skipped)

    def _read(self) -> tuple[_Counted, _Reading]:
        counted = self._counted()
        words = state.summed(counted.state, self._cpus)
        reading = _Reading(words, *self._in_flight(words), counted.skipped)
        return counted, reading if self._start is None else reading.since(self._start)

    def _all_over(self, words: Sequence[int]) -> bool:
        """Return whether no call is under way: each that began has ended or is known as missed."""
        block = state.Block(self._layout, "cpu_state", words)
        accounts = (block.inner("accounts", number) for number in self._pairs)
        return all(
            each["entries"] == each["exits"] + each["collided"] + each["stale"] for each in accounts
        )

    def _in_flight(self, words: Sequence[int]) -> tuple[dict[str, int], dict[str, int]]:
        """Return by probe the calls in flight, and those that a thread that is gone left behind."""
        alive, gone = dict.fromkeys(self._probes, 0), dict.fromkeys(self._probes, 0)
        if self._all_over(words):
            return alive, gone
        size = self._layout.words("work")
        for section in state.SECTIONS:
            owner = self._layout.find("work", f"{section}_owner")[0]
            probe = self._layout.find("work", f"{section}_probe")[0]
            for slot, tid in enumerate(self._work[owner::size].tolist()):
                if tid:
                    counts = alive if Path(f"/proc/{tid}").exists() else gone
                    counts[self._probes[self._work[slot * size + probe]]] += 1
        return alive, gone

    def _sample(self, reading: _Reading, quiet: bool) -> Sample:
        block = state.Block(self._layout, "cpu_state", reading.words)
        return Sample(
            time_ns=time.monotonic_ns(),
            quiet=quiet,
            backend=self.backend,
            release=self.facts.release,
            attached=self.attached,
            unavailable=self.unavailable,
            accounts={row.probe: self._account(block, row.probe, reading) for row in self.attached},
            **decode.counts(block, self._watched),
            **readout.counts(block, self._watched, self.facts),
            events=self._events(block),
            runs=self._runs(),
            sampling=self._sampling,
        )

    def _account(self, block: state.Block, probe: str, reading: _Reading) -> Account:
        counted = block.inner("accounts", self._probes.index(probe))
        point = next(p for p in catalogue.POINTS if p.name == probe)
        skipped = reading.skipped[probe]
        if not (point.entry and point.exit):
            return Account(
                entries=None,
                exits=counted["exits"] if point.exit else None,
                in_flight=None,
                missed=skipped[0],
                recursion=skipped[0],
            )
        stale = counted["stale"] + reading.orphaned[probe]
        unseen = counted["collided"] + stale
        return Account(
            entries=counted["entries"] + (skipped[0] or 0),
            exits=counted["exits"],
            in_flight=reading.in_flight[probe],
            missed=unseen + (skipped[0] or 0),
            recursion=None if None in skipped else sum(s for s in skipped if s),
            collided=counted["collided"],
            stale=stale,
            unmatched=counted["unmatched"],
        )

    def _runs(self) -> dict[str, RunCounts]:
        """Return what the programs of each probe took; nothing where the kernel does not count."""
        if not _COUNTS_RUNS.exists() or _COUNTS_RUNS.read_text().strip() == "0":
            return {}
        told = {
            probe: [program.counters() for program in programs]
            for probe, programs in self._programs.items()
        }
        return {
            probe: RunCounts(
                sum(counters["run_cnt"] for counters in programs),
                sum(counters["run_time_ns"] for counters in programs),
            )
            for probe, programs in told.items()
        }

    def _events(self, block: state.Block) -> dict[str, EventCounts]:
        produced, lost = block.array("produced"), block.array("lost")
        return {
            name: EventCounts(produced[n], lost[n], self._received[name])
            for n, name in enumerate(events.EVENTS)
        }


def drop_privileges() -> None:
    """Become the user who called sudo, once everything that needs root is in hand."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and uid.isdecimal() and gid.isdecimal() and int(uid):
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
