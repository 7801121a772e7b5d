"""Every walk is counted once and timed whole, held against an observer written the other way."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rmapwatch.lab.agent import Recorder
from rmapwatch.probes import session
from rmapwatch.probes.rmap import KINDS
from rmapwatch.probes.sample import Sample

LONG_NS = 1_000_000
WALKERS = 6
STORM = ("--children", "3", "--pages", "211", "--rounds", "4")


class Oracle:
    def __init__(self, symbols: list[str]) -> None:
        script = str(Path(__file__).with_name("oracle.py"))
        self._process = subprocess.Popen(
            [session.DISTRIBUTION_PYTHON, "-I", script, str(LONG_NS), *symbols],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def read(self) -> np.ndarray:
        """Walks, ns, long walks, long ns: a row per kind."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return np.array([list(row.values()) for row in json.loads(self._process.stdout.readline())])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="module")
def oracle(attached: session.Session) -> Iterator[Oracle]:
    symbols = {row.probe: row.symbol for row in attached.attached}
    observer = Oracle([symbols[f"rmap_walk_{kind}"] for kind in KINDS])
    yield observer
    observer.close()


def counted(sample: Sample, last: Sample) -> np.ndarray:
    """Walks and ns that were counted: a row per kind."""
    rows = []
    for kind in KINDS:
        cells = [key for key in sample.walks if key[1] == kind]
        walks = sum(sample.walks[c].walks - last.walks[c].walks for c in cells)
        rows.append([walks, sum(sample.walks[c].ns - last.walks[c].ns for c in cells)])
    return np.array(rows)


def storms(program: str, number: int) -> None:
    """Run storms side by side, to their end."""
    running = [
        subprocess.Popen([program, *STORM], stdout=subprocess.DEVNULL) for _ in range(number)
    ]
    assert [storm.wait() for storm in running] == [0] * number


def both(live: session.Session, oracle: Oracle, recorder: Recorder, work) -> tuple:
    """Return what both observers counted while `work` ran: ours, the oracle's, our long walks."""
    recorder.drain()
    before, ours = oracle.read(), quiet(live)
    since = time.monotonic_ns()
    work()
    recorder.drain()
    after = quiet(live)
    told = recorder.records()["walk"]
    long = told[(told["time"] >= since) & (told["ns"] >= LONG_NS)]
    return counted(after, ours), oracle.read() - before, long


def quiet(live: session.Session) -> Sample:
    """Return a sample that nothing moved under."""
    for _ in range(100):
        sample = live.sample()
        if sample.quiet and not any(a.in_flight for a in sample.accounts.values()):
            return sample
        time.sleep(0.1)
    raise AssertionError("the guest does not come to rest")


def test_more_walkers_than_cpus_and_hogs(attached, oracle, storm_program, request) -> None:
    """Count equal, and time within what the two pairs of programs cost each other when calm."""
    recorder = Recorder(attached)
    calm, calm_oracle, _ = both(attached, oracle, recorder, lambda: storms(storm_program, 1))
    assert calm[:, 0].tolist() == calm_oracle[:, 0].tolist()
    assert calm[0, 0] > 500
    each = abs(calm[:, 1].sum() - calm_oracle[:, 1].sum()) / calm[:, 0].sum()

    request.getfixturevalue("hogs")
    ours, theirs, long = both(attached, oracle, recorder, lambda: storms(storm_program, WALKERS))
    walks, ns = ours.sum(axis=0)
    _, their_ns, their_long, their_long_ns = theirs.sum(axis=0)
    difference = abs(int(ns) - int(their_ns))
    print(
        f"{walks} walks, {ns / 1e6:.1f} ms; oracle {their_ns / 1e6:.1f} ms; "
        f"when calm each differs by {each:.0f} ns; "
        f"long {len(long)}, {long['ns'].sum() / 1e6:.1f} ms; oracle {their_long}, "
        f"{their_long_ns / 1e6:.1f} ms"
    )
    assert ours[:, 0].tolist() == theirs[:, 0].tolist()
    assert walks > 5000
    # Walks that lost the CPU are there, and they are what a per-CPU slot would lose.
    assert len(long) > 0
    assert difference <= 0.02 * ns + 3 * each * walks
    long_difference = abs(int(long["ns"].sum()) - int(their_long_ns))
    assert long_difference <= LONG_NS * abs(len(long) - int(their_long)) + 0.02 * their_long_ns

    sample = quiet(attached)
    for probe in (f"rmap_walk_{kind}" for kind in KINDS):
        account = sample.accounts[probe]
        assert account.entries == account.exits + account.in_flight + account.missed
        assert account.missed == 0
    for counts in sample.events.values():
        assert counts.produced == counts.received + counts.lost
        assert counts.lost == 0
