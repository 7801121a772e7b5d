"""Every walk is counted once and timed whole, held against an observer written the other way."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rmapwatch.probes import session
from rmapwatch.probes.rmap import KINDS
from rmapwatch.probes.sample import Sample
from rmapwatch.recordings.recorder import Memory, Recorder

WALKERS = 6
STORM = ("--children", "3", "--pages", "211", "--rounds", "3")
LONG_NS = 1_000_000

ROW = np.dtype([("tid", "<u8"), ("begin", "<u8"), ("end", "<u8")])


class Oracle:
    """`oracle.py`, running."""

    def __init__(self, symbols: list[str], path: Path) -> None:
        script = str(Path(__file__).with_name("oracle.py"))
        self._path = path
        self._process = subprocess.Popen(
            [session.DISTRIBUTION_PYTHON, "-I", script, str(path), *symbols],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def walks(self) -> np.ndarray:
        """Every walk so far, by thread and in order of time."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seen = int(self._process.stdout.readline())
        rows = np.fromfile(self._path, ROW)
        assert len(rows) == seen, "the oracle ran out of rows"
        return np.sort(rows, order=["tid", "begin"])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture
def oracle(attached: session.Session, tmp_path: Path) -> Iterator[Oracle]:
    symbols = {row.probe: row.symbol for row in attached.attached}
    observer = Oracle([symbols[f"rmap_walk_{kind}"] for kind in KINDS], tmp_path / "rows")
    yield observer
    observer.close()


def storms(program: str, number: int) -> None:
    """Run storms side by side, to their end."""
    running = [
        subprocess.Popen([program, *STORM], stdout=subprocess.DEVNULL) for _ in range(number)
    ]
    assert [storm.wait() for storm in running] == [0] * number


def quiet(live: session.Session) -> Sample:
    """Return a sample that nothing moved under."""
    for _ in range(100):
        sample = live.sample()
        if sample.quiet and not any(a.in_flight for a in sample.accounts.values()):
            return sample
        time.sleep(0.1)
    raise AssertionError("the guest does not come to rest")


def test_every_walk_is_there_with_its_time(attached, oracle, storm_program, hogs) -> None:
    """
    More walkers than CPUs, and processes that take all the CPU they can get.

    Walks of one thread follow each other, so the n-th of a thread here must be the n-th there. The
    programs of the two observers run one after the other at either end of a walk, so one of them
    begins and ends each walk before the other does; what lies between is the whole difference.
    """
    earlier = attached.sample().events["walk"].received
    recorder = Recorder(attached, memory := Memory())
    recorder.drain()
    before = quiet(attached)
    since = time.monotonic_ns()
    storms(storm_program, WALKERS)
    recorder.drain()
    after = quiet(attached)
    until = time.monotonic_ns()
    recorder.drain()

    told = memory.records()["walk"]
    ours = np.zeros(len(told), ROW)
    ours["tid"], ours["end"] = told["tid"], told["time"]
    ours["begin"] = told["time"] - told["ns"]
    ours = np.sort(ours, order=["tid", "begin"])
    theirs = oracle.walks()
    ours = ours[(ours["begin"] >= since) & (ours["end"] <= until)]
    theirs = theirs[(theirs["begin"] >= since) & (theirs["end"] <= until)]

    assert len(ours) > 5000
    assert ours["tid"].tolist() == theirs["tid"].tolist()
    ahead = theirs["begin"].astype(np.int64) - ours["begin"].astype(np.int64)
    behind = theirs["end"].astype(np.int64) - ours["end"].astype(np.int64)
    assert ((ahead >= 0) & (behind >= 0)).all() or ((ahead <= 0) & (behind <= 0)).all()
    overlap = np.minimum(ours["end"], theirs["end"]) > np.maximum(ours["begin"], theirs["begin"])
    assert overlap.all()

    ns = (ours["end"] - ours["begin"]).astype(np.int64)
    long = ns >= LONG_NS
    print(
        f"{len(ours)} walks, {ns.sum() / 1e6:.1f} ms; {long.sum()} of 1 ms and more have "
        f"{ns[long].sum() / ns.sum():.0%} of it; the observers stand "
        f"{np.median(np.abs(ahead)):.0f} ns apart at the entry, {np.median(np.abs(behind)):.0f} ns "
        "at the exit"
    )
    # Walks that lost the CPU are there: a slot per CPU would have lost them.
    assert long.any()

    # The counters moved by just those walks whose events were produced in between.
    first, last = (sample.events["walk"].produced - earlier for sample in (before, after))
    walks = sum(after.walks[cell].walks - before.walks[cell].walks for cell in after.walks)
    counted_ns = sum(after.walks[cell].ns - before.walks[cell].ns for cell in after.walks)
    assert walks == last - first
    assert counted_ns == told["ns"][first:last].sum()


def test_the_accounts_balance(attached) -> None:
    Recorder(attached, Memory()).drain()
    sample = quiet(attached)
    for probe in (f"rmap_walk_{kind}" for kind in KINDS):
        account = sample.accounts[probe]
        assert account.entries == account.exits + account.in_flight + account.missed
        assert account.missed == 0
    assert sample.accounts["rmap_walk_anon"].entries > 5000
    for counts in sample.events.values():
        assert counts.produced == counts.received + counts.lost
    assert sum(counts.lost for counts in sample.events.values()) == 0
