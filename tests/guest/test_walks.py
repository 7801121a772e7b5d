"""Every walk is counted once and timed whole, held against an observer written the other way."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rmapwatch.probes import session
from rmapwatch.probes.consumer import Consumer
from rmapwatch.probes.rmap import KINDS
from rmapwatch.probes.sample import Sample
from rmapwatch.recordings.recorder import Memory

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

    def read(self) -> tuple[np.ndarray, int]:
        """Every walk followed so far, by thread and in order of time; and how many began."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seen, began = map(int, self._process.stdout.readline().split())
        rows = np.fromfile(self._path, ROW)
        assert len(rows) == seen, "the oracle ran out of rows"
        return np.sort(rows, order=["tid", "begin"]), began

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
        if sample.quiet:
            return sample
        time.sleep(0.1)
    raise AssertionError("the guest does not come to rest")


def at_rest(live: session.Session, consumer: Consumer) -> Sample:
    """Return a sample between which and the last event taken there was none."""
    for _ in range(50):
        before = quiet(live)
        consumer.drain()
        after = quiet(live)
        if [counts.produced for counts in before.events.values()] == [
            counts.produced for counts in after.events.values()
        ]:
            return after
    raise AssertionError("the guest does not come to rest")


def began(sample: Sample) -> int:
    return sum(sample.accounts[f"rmap_walk_{kind}"].entries for kind in KINDS)


def missed(sample: Sample) -> int:
    """Walks that were not followed to their end; a thread that lives may have left one open."""
    accounts = [sample.accounts[f"rmap_walk_{kind}"] for kind in KINDS]
    return sum(account.missed + account.in_flight for account in accounts)


def partners(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """For each of `these`, the place in `those` of that thread's walk that overlaps it, or -1."""

    def key(rows: np.ndarray, moment: str) -> np.ndarray:
        return (rows["tid"] << np.uint64(44)) + rows[moment]

    place = np.searchsorted(key(those, "end"), key(these, "begin"), "right")
    candidate = those[np.minimum(place, len(those) - 1)]
    overlaps = (candidate["tid"] == these["tid"]) & (candidate["begin"] < these["end"])
    return np.where((place < len(those)) & overlaps, place, -1)


def test_every_walk_is_accounted_for_with_its_time(attached, oracle, storm_program, hogs) -> None:
    """
    More walkers than CPUs, and processes that take all the CPU they can get.

    The programs of the two observers run one after the other at either end of a walk, so one of
    them begins and ends each walk before the other does; what lies between is the whole difference.
    A kernel that may preempt such a program skips it for everybody else on that CPU meanwhile: then
    both observers miss walks, not the same ones, and know how many.
    """
    earlier = attached.sample().events["walk"].received
    consumer = Consumer(attached, memory := Memory())
    consumer.drain()
    before, (_, their_before) = quiet(attached), oracle.read()
    since = time.monotonic_ns()
    storms(storm_program, WALKERS)
    consumer.drain()
    after = quiet(attached)
    until = time.monotonic_ns()
    theirs, their_after = oracle.read()
    consumer.drain()

    told = memory.records()["walk"]
    ours = np.zeros(len(told), ROW)
    ours["tid"], ours["end"] = told["tid"], told["time"]
    ours["begin"] = told["time"] - told["ns"]
    ours = np.sort(ours, order=["tid", "begin"])
    ours = ours[(ours["begin"] >= since) & (ours["end"] <= until)]
    theirs = theirs[(theirs["begin"] >= since) & (theirs["end"] <= until)]

    calls = began(after) - began(before)
    our_misses, their_misses = missed(after) - missed(before), calls - len(theirs)
    assert calls == their_after - their_before
    assert len(ours) == calls - our_misses
    assert len(ours) > 5000

    place = partners(ours, theirs)
    both = place >= 0
    assert len(np.unique(place[both])) == both.sum(), "two walks here are one walk there"
    assert (~both).sum() <= their_misses
    assert len(theirs) - both.sum() <= our_misses
    mine, other = ours[both], theirs[place[both]]
    ahead = other["begin"].astype(np.int64) - mine["begin"].astype(np.int64)
    behind = other["end"].astype(np.int64) - mine["end"].astype(np.int64)
    assert ((ahead >= 0) & (behind >= 0)).all() or ((ahead <= 0) & (behind <= 0)).all()

    ns = (ours["end"] - ours["begin"]).astype(np.int64)
    long = ns >= LONG_NS
    print(
        f"{calls} walks, {our_misses} missed here, {their_misses} there, {both.sum()} followed by "
        f"both; {ns.sum() / 1e6:.1f} ms; {long.sum()} of 1 ms and more have "
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
    sample = at_rest(attached, Consumer(attached, Memory()))
    for probe in (f"rmap_walk_{kind}" for kind in KINDS):
        account = sample.accounts[probe]
        assert account.entries == account.exits + account.in_flight + account.missed
        # What is missed is known for what it is; where programs are never preempted, nothing is.
        assert account.missed == 0 or account.recursion
    assert sample.accounts["rmap_walk_anon"].entries > 5000
    for counts in sample.events.values():
        assert counts.produced == counts.received + counts.lost
    assert sum(counts.lost for counts in sample.events.values()) == 0
