"""The governor over a real kernel: what it takes away is missing, and all else is exact."""

import subprocess
import time
from collections.abc import Iterator

import pytest
from rmapwatch.lab import guest
from rmapwatch.probes import session, steps
from rmapwatch.probes.governed import Governed
from rmapwatch.probes.governor import LOOKS, ONE_IN, State
from rmapwatch.probes.sample import Sample
from rmapwatch.probes.session import Session

STORM = ("--children", "11", "--pages", "101", "--rounds", "6")
MEASURED = session.Request(calibrate=True)
# What programs cost is assumed: measured beside other guests of an emulator it varies too much.
REQUEST = session.Request()
KEY = ("reference", "anon")


class Pair:
    """A session that is governed, and one beside it that is not."""

    def __init__(self, beside: Session, storm: str) -> None:
        self.beside, self.storm, self.said = beside, storm, []
        self.session = session.start(REQUEST)
        self.governed = Governed(self.session, 1.0, self.said.append, self._again)
        self.storms(1)
        bound = self.governed.seen.now / 10  # emulated, a program takes a hundred times as long
        self.governed = Governed(self.session, bound, self.said.append, self._again)

    def _again(self) -> Session:
        self.session = session.start(REQUEST)
        return self.session

    def storms(self, looks: int) -> State:
        """The state after so many looks, a storm before each."""
        for _ in range(looks):
            subprocess.run([self.storm, *STORM], stdout=subprocess.DEVNULL, check=True)
            state = self.governed.look()
            print(self.governed.seen)
        return state

    def calm(self) -> State:
        """The state after so many looks at which nothing goes on."""
        guest.rest()
        self.governed.look()  # what was before
        for _ in range(LOOKS):
            time.sleep(2)
            state = self.governed.look()
            print(self.governed.seen)
        return state

    def samples(self) -> tuple[Sample, Sample]:
        """A Sample of each, at rest."""
        guest.rest()
        for _ in range(50):
            first, ours, last = self.beside.sample(), self.governed.sample(20), self.beside.sample()
            if first.walks == last.walks and ours.quiet:
                return ours, last
        raise AssertionError("the guest does not come to rest")


@pytest.fixture(scope="module")
def pair(attached: Session, storm_program: str) -> Iterator[Pair]:
    made = Pair(attached, storm_program)
    yield made
    made.session.close()


def grown(before: Sample, after: Sample) -> int:
    """Walks of all kinds."""
    return sum(now.walks - before.walks[key].walks for key, now in after.walks.items())


def vmas(before: Sample, after: Sample) -> list[int]:
    """Walks of the storm by how many VMAs they entered."""
    now, then = after.walks[KEY].vmas_slots, before.walks[KEY].vmas_slots
    return [n - t for n, t in zip(now, then, strict=True)]


def test_what_programs_cost_is_measured_once(pair: Pair) -> None:
    again = session.start(MEASURED)
    for _ in range(5):  # emulated, beside other guests, the times may make no sense
        cost, fresh = again.cost, again.sample()
        again.close()
        again = session.start(MEASURED)
        if cost is not None:
            break
    print(cost)
    assert cost is not None
    assert 0 <= cost.skipped_ns <= cost.step_ns
    assert min(cost.step_ns, cost.call_ns) > 0
    assert again.cost == cost
    again.close()
    assert not any(counts.walks for (op, _), counts in fresh.walks.items() if op == "other")
    assert fresh.stray_steps == 0


def test_a_storm_is_sampled_then_shed_and_its_walks_are_all_counted(pair: Pair) -> None:
    start, start_beside = pair.samples()
    assert (start.sampling, start.overhead.states["full"]) == (1.0, 1)
    pair.governed.look()  # of the long while before, in which nothing went on

    assert pair.storms(LOOKS) == State.SAMPLED
    before, before_beside = pair.samples()
    assert vmas(start, before) == vmas(start_beside, before_beside)
    pair.storms(1)
    sampled, sampled_beside = pair.samples()
    assert sampled.sampling == 1 / ONE_IN
    assert grown(before, sampled) == grown(before_beside, sampled_beside)
    taken, all_of_them = vmas(before, sampled), vmas(before_beside, sampled_beside)
    print(f"{sum(taken)} of {sum(all_of_them)} walks were sampled")
    # Each of those taken is whole, and they are as many as chance would have it, 6 sigma.
    assert all(some <= there for some, there in zip(taken, all_of_them, strict=True))
    mean = sum(all_of_them) / ONE_IN
    assert abs(sum(taken) - mean) <= 6 * mean**0.5

    assert pair.storms(LOOKS - 1) == State.SHED
    shed, shed_beside = pair.samples()
    pair.storms(1)
    end, end_beside = pair.samples()
    assert (end.sampling, end.overhead.states["shed"]) == (0.0, 1)
    assert grown(shed, end) == grown(shed_beside, end_beside) > 500
    assert all(counts.vmas is None and counts.vmas_slots is None for counts in end.walks.values())
    assert not steps.PROBES & {row.probe for row in end.attached}
    assert end.unavailable["step_unmap"] == steps.SHED
    assert end.overhead.share > end.overhead.bound
    assert end.overhead.share < sampled.overhead.share * 2
    assert sum(vmas(shed_beside, end_beside)) > 500


def test_it_comes_back_when_the_load_is_gone(pair: Pair) -> None:
    assert pair.calm() == State.FULL
    news = [said for said in pair.said if "are counted" in said]
    assert [said.partition(":")[0] for said in news] == ["sampled", "shed", "full"]
    print(*pair.said, sep="\n")
    start, start_beside = pair.samples()
    assert start.sampling == 1.0
    assert "step_unmap" in {row.probe for row in start.attached}
    subprocess.run([pair.storm, *STORM], stdout=subprocess.DEVNULL, check=True)
    end, end_beside = pair.samples()
    assert vmas(start, end) == vmas(start_beside, end_beside)
    assert sum(vmas(start, end)) > 500


def test_a_gate_opens_again(pair: Pair) -> None:
    assert pair.storms(LOOKS) == State.SAMPLED
    assert pair.calm() == State.FULL
    start, start_beside = pair.samples()
    subprocess.run([pair.storm, *STORM], stdout=subprocess.DEVNULL, check=True)
    end, end_beside = pair.samples()
    assert vmas(start, end) == vmas(start_beside, end_beside)
