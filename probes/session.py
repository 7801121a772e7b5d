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
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import errors
from ..kernels.facts import KernelFacts
from . import catalogue, decode, events, needs, readout, source, state, wire
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
    first call on. ``ring_pages``: the ring's size, a power of two.
    """

    probes: tuple[str, ...] = catalogue.names()
    events: tuple[str, ...] = ()
    ring_pages: int = RING_PAGES


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
        self._layout = source.layout(self._probes)
        self._cpus: int = manifest["possible_cpus"]
        self._links = [fds[place] for row in manifest["attached"] for place in row["links"]]
        self._programs = {
            row["probe"]: [_Program(fds[place]) for place in row["programs"]]
            for row in manifest["attached"]
        }
        maps = {name: fds[place] for name, place in manifest["maps"].items()}
        self._state = self._map(maps["state"], "cpu_state")
        self._work = self._map(maps["work"], "work")
        self._control = self._map(maps["control"], "control")
        self._steps = source.steps_watched([a.symbol for a in self.attached], self.facts)
        self._control[self._layout.find("control", "steps")[0]] = self._steps
        looks = source.looks_watched(a.probe for a in self.attached)
        self._control[self._layout.find("control", "looks")[0]] = looks
        self._watched = decode.Watched(self._steps, looks, {a.probe for a in self.attached})
        self._received = dict.fromkeys(events.EVENTS, 0)
        self._start: _Reading | None = None
        self.ring_fd = maps["events"]
        self.ring_size = _fdinfo(self.ring_fd)["max_entries"]

    def _map(self, fd: int, struct: str) -> memoryview:
        """Map an array map; check that its values are what this side believes them to be."""
        expected, info = self._layout.words(struct) * 8, _fdinfo(fd)
        if info["value_size"] != expected:
            raise errors.RmapwatchError(
                "the loader and the reader disagree",
                f"{struct} is {info['value_size']} bytes there and {expected} here",
                "install both from the same version of rmapwatch",
            )
        length = -(-expected * info["max_entries"] // mmap.PAGESIZE) * mmap.PAGESIZE
        area = mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        os.close(fd)
        return memoryview(area).cast("Q")

    def want_events(self, names: Sequence[str]) -> None:
        """Have the probes put events of these types, and no others, into the ring."""
        self._control[self._layout.find("control", "events")[0]] = events.mask(names)

    def restart(self) -> None:
        """
        Count from zero from now on. Calls that are under way end as exits too many, so do it while
        nothing is; the ring must have been drained.
        """
        self._start = None
        self._start = self._read()
        self._received = dict.fromkeys(events.EVENTS, 0)

    def ring(self) -> Ring:
        """Return what consumes the ring of events; there can be only one."""
        from .ring import Ring  # numpy

        return Ring(self.ring_fd, self.ring_size)

    def received(self, event: str, count: int) -> None:
        """Note that `count` more events of a type came out of the ring."""
        self._received[event] += count

    def close(self) -> None:
        """Detach everything."""
        for link in self._links:
            os.close(link)
        self._links.clear()

    def sample(self, tries: int = QUIET_TRIES) -> Sample:
        """Return what has been counted; quiet where two in a row of 1 + `tries` were the same."""
        before = self._read()
        for _ in range(tries):
            after = self._read()
            if after == before:
                return self._sample(after, quiet=True)
            before = after
        return self._sample(before, quiet=False)

    def _read(self) -> _Reading:
        words = self._layout.words("cpu_state")
        per_cpu = (self._state[cpu * words : (cpu + 1) * words] for cpu in range(self._cpus))
        total = tuple(map(sum, zip(*per_cpu, strict=True)))
        skipped = {
            probe: [program.recursion_misses() for program in programs]
            for probe, programs in self._programs.items()
        }
        reading = _Reading(total, *self._in_flight(), skipped)
        return reading if self._start is None else reading.since(self._start)

    def _in_flight(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return by probe the calls in flight, and those that a thread that is gone left behind."""
        words = self._layout.words("work")
        alive, gone = dict.fromkeys(self._probes, 0), dict.fromkeys(self._probes, 0)
        for section in state.SECTIONS:
            owner = self._layout.find("work", f"{section}_owner")[0]
            probe = self._layout.find("work", f"{section}_probe")[0]
            owners = self._work[owner::words]
            for slot, tid in enumerate(owners.tolist() if any(owners) else ()):
                if tid:
                    counts = alive if Path(f"/proc/{tid}").exists() else gone
                    counts[self._probes[self._work[slot * words + probe]]] += 1
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


def _fdinfo(fd: int) -> dict[str, int]:
    """Return the numbers that the kernel tells of a descriptor."""
    return _numbers(Path(f"/proc/self/fdinfo/{fd}").read_bytes())


def _numbers(fdinfo: bytes) -> dict[str, int]:
    pairs = (line.split() for line in fdinfo.decode().splitlines())
    return {p[0].rstrip(":"): int(p[1]) for p in pairs if len(p) == 2 and p[1].isdecimal()}


class _Program:
    """A loaded program's own counters, read from its descriptor's fdinfo."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        # Opened now: after privileges are dropped it could not be.
        self._info = Path(f"/proc/self/fdinfo/{fd}").open("rb", buffering=0)  # noqa: SIM115

    def recursion_misses(self) -> int | None:
        """Return how often the kernel skipped it on re-entry; None where it does not say."""
        return self.counters().get("recursion_misses")

    def counters(self) -> dict[str, int]:
        """Return all that the kernel counts of it; what a kernel does not say is not there."""
        self._info.seek(0)
        return _numbers(self._info.read(4096))


def drop_privileges() -> None:
    """Become the user who called sudo, once everything that needs root is in hand."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and uid.isdecimal() and gid.isdecimal() and int(uid):
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
