"""Waits for the locks of the reverse map, held against what the kernel itself reports of waits."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rmapwatch.kernels import syscalls
from rmapwatch.probes import locks, session
from rmapwatch.recordings.recorder import Memory, Recorder

# LCB_F_READ and LCB_F_WRITE of include/trace/events/lock.h: alone they are an rwsem's.
READ, WRITE = 2, 4
REPORT = re.compile(r"-(\d+)\s+\[\d+\].*?(\d+)\.(\d{6}): contention_begin: (\w+) ")
REPORTED = np.dtype([("tid", "u4"), ("ns", "u8"), ("lock", "U20")])
CLOCK_NS = 1000


class Reports:
    """`lock:contention_begin` of rwsems, in a tracefs instance of its own."""

    def __init__(self) -> None:
        self._at = syscalls.tracefs() / "instances" / "waits"
        self._at.mkdir()
        event = self._at / "events" / "lock" / "contention_begin"
        (self._at / "trace_clock").write_text("mono")
        (self._at / "buffer_size_kb").write_text("8192")
        (event / "filter").write_text(f"flags == {READ} || flags == {WRITE}")
        (event / "enable").write_text("1")

    def read(self) -> np.ndarray:
        """Who began to wait, when, and for what."""
        found = map(REPORT.search, (self._at / "trace").read_text().splitlines())
        rows = [(int(m[1]), int(m[2] + m[3]) * CLOCK_NS, m[4]) for m in found if m]
        return np.array(rows, REPORTED)

    def close(self) -> None:
        self._at.rmdir()


@pytest.fixture
def reports() -> Iterator[Reports]:
    if not Path(syscalls.tracefs() / "events" / "lock" / "contention_begin").exists():
        pytest.skip("this kernel does not report contention")
    there = Reports()
    yield there
    there.close()


def waits(attached: session.Session) -> np.ndarray:
    """Have walks, forks and exits get in each other's way; return the waits that were seen."""
    recorder = Recorder(attached, memory := Memory())
    recorder.drain()
    program = os.environ["RMAPWATCH_LOCK_WAITS"]
    with subprocess.Popen([program, "--duration", "2", "--directory", "/dev/shm"]) as running:
        while running.poll() is None:
            recorder.drain()
    assert running.returncode == 0
    recorder.drain()
    return memory.records()["lock_wait"]


def inside(reported: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Which of the reports lie inside one of the waits that were seen, of the same thread."""
    found = np.zeros(len(reported), bool)
    for tid in np.unique(told["tid"]):
        own = np.sort(told[told["tid"] == tid], order="time")
        mine = np.flatnonzero(reported["tid"] == tid)
        moments = reported["ns"][mine]
        place = np.searchsorted(own["time"], moments)
        wait = own[np.minimum(place, len(own) - 1)]
        begin = wait["time"] - wait["ns"] - CLOCK_NS
        found[mine] = (place < len(own)) & (begin <= moments)
    return found


def test_walks_forks_and_exits_wait_for_each_other(attached) -> None:
    told = waits(attached)
    for lock, name in enumerate(locks.LOCKS):
        for mode, during in (("read", "walk"), ("write", "other")):
            rows = told[(told["lock"] == lock) & (told["mode"] == locks.MODES.index(mode))]
            rows = rows[rows["during"] == locks.DURING.index(during)]
            print(f"{len(rows)} waits to {mode} {name}, {rows['ns'].sum() / 1e6:.1f} ms")
            assert len(rows), (name, mode)


def test_each_wait_that_the_kernel_reports_is_seen(attached, reports) -> None:
    """
    A lock is one of the reverse map if a report of it lies inside a wait that was seen; then every
    report of that lock must. Who gets the lock without having to sleep is not reported.
    """
    told = waits(attached)
    reported = reports.read()
    seen = inside(reported, told)
    ours = np.isin(reported["lock"], np.unique(reported["lock"][seen]))
    sample = attached.sample()
    missed = sum(sample.accounts[f"lock_{mode}"].missed for mode in locks.MODES)
    print(
        f"{len(reported)} waits for rwsems are reported, {ours.sum()} of {len(told)} that were "
        f"seen; {missed} were missed"
    )
    assert seen.sum() > 20
    assert ours.sum() - seen.sum() <= missed
    assert seen.sum() <= len(told)
