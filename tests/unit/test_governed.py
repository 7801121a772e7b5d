"""A session under a governor: what is done to it, what its Samples say, and what is told."""

import mmap

import pytest
from rmapwatch import errors
from rmapwatch.probes import catalogue, governed, state, steps
from rmapwatch.probes.cost import Cost, Runs
from rmapwatch.probes.governed import Governed
from rmapwatch.probes.governor import LOOKS, ONE_IN, State
from rmapwatch.probes.sample import Sample
from samples import sample

COST = Cost(call_ns=500, step_ns=100, skipped_ns=80)


class Probes:
    """What the governor needs of a session; each look finds a second with as many walks."""

    def __init__(self, cost: Cost | None = COST) -> None:
        self.cost, self.load, self.done = cost, 0, []
        self.time, self.walks, self.steps, self.one_in = 0, 0, 0, 1

    def runs(self) -> Runs:
        self.time += 10**9
        self.walks += self.load
        self.steps += self.load * 7 // self.one_in if self.one_in else 0
        return Runs(self.time, 2 * self.walks, self.steps, self.walks)

    def sample_steps(self, one_in: int) -> None:
        self.one_in = one_in
        self.done.append(f"one in {one_in}")

    def shed_steps(self) -> None:
        self.one_in = 0
        self.done.append("shed")

    def close(self) -> None:
        self.done.append("closed")

    def sample(self, tries: int) -> Sample:
        return sample(self.time, tries)


def walk(governor: Governed, probes: Probes, load: int) -> list[State]:
    """The states of `LOOKS` looks while so many walks go on a second."""
    probes.load = load
    return [governor.look() for _ in range(LOOKS)]


def test_a_storm_and_its_end() -> None:
    old, new, said = Probes(), Probes(), []
    governor = Governed(old, 0.01, said.append, lambda: new)
    assert walk(governor, old, 10**6)[-1] == State.SAMPLED
    assert governor.sample(1).overhead.states == {"full": 0, "sampled": 1, "shed": 0}
    assert walk(governor, old, 10**6)[-1] == State.SHED
    assert walk(governor, old, 10**6)[-1] == State.SHED
    assert governor.sample(1).overhead.share > 0.01
    assert walk(governor, old, 0)[-1] == State.FULL
    assert old.done == [f"one in {ONE_IN}", "shed", "closed"]
    assert (new.done, len(said)) == ([], 3)
    assert said[0].startswith(f"sampled: VMAs of one walk in {ONE_IN} are counted; the probes take")
    assert walk(governor, new, 10**6)[-1] == State.SAMPLED


def test_a_gate_opens_again() -> None:
    probes, said = Probes(), []
    governor = Governed(probes, 0.01, said.append)
    walk(governor, probes, 10**6)
    assert walk(governor, probes, 1)[-1] == State.FULL
    assert probes.done == [f"one in {ONE_IN}", "one in 1"]


def test_without_a_loader_what_was_shed_stays_away() -> None:
    probes = Probes()
    governor = Governed(probes, 0.01, lambda _: None)
    for _ in range(2):
        walk(governor, probes, 10**6)
    for _ in range(5):
        assert set(walk(governor, probes, 0)) == {State.SHED}


def test_a_loader_that_refuses_is_asked_again_later() -> None:
    def refuse() -> Probes:
        raise errors.NothingAttachedError("no", "it is not there", "start it")

    probes, said = Probes(), []
    governor = Governed(probes, 0.01, said.append, refuse)
    for _ in range(2):
        walk(governor, probes, 10**6)
    assert walk(governor, probes, 0)[-1] == State.SHED
    assert walk(governor, probes, 0)[-1] == State.SHED
    assert [
        line for line in said if line.startswith("the programs of steps stay away")
    ] * 2 == said[2:] * 2
    assert "closed" not in probes.done


def test_what_samples_say() -> None:
    governor = Governed(Probes(), 0.01, lambda _: None)
    told = governor.sample(1).overhead
    assert (told.bound, told.share) == (0.01, None)
    assert told.costs == {"call": 500, "step": 100, "skipped": 80}


def test_costs_that_cannot_be_measured() -> None:
    said = []
    governor = Governed(Probes(cost=None), 0.01, said.append)
    assert said == ["what programs cost here cannot be measured; it is assumed"]
    assert governor.sample(1).overhead.costs == {}
    assert governed.ASSUMED.step_ns > 0


@pytest.fixture
def areas() -> steps.Areas:
    """The state of two CPUs, as it would be mapped."""
    names = list(catalogue.names())
    layout = state.layout(names)

    def area(struct: str, count: int) -> memoryview:
        return memoryview(mmap.mmap(-1, 8 * layout.words(struct) * count)).cast("Q")

    return steps.Areas(
        names, layout, area("cpu_state", 2), area("work", state.WORK_SLOTS), area("control", 1)
    )


def test_runs_are_summed_over_cpus_and_probes(areas: steps.Areas) -> None:
    find, size = areas.layout.find, areas.layout.words("cpu_state")
    account = areas.layout.words("account")
    for cpu in range(2):
        for probe, counts in (
            ("rmap_walk_anon", (7, 5)),
            ("rmap_walk_ksm", (3, 3)),
            ("cow", (2, 2)),
        ):
            at = cpu * size + find("cpu_state", "accounts")[0]
            at += areas.names.index(probe) * account
            areas.state[at + find("account", "entries")[0]] = counts[0]
            areas.state[at + find("account", "exits")[0]] = counts[1]
        first = cpu * size + find("cpu_state", "walks")[0]
        areas.state[first + find("walk_cell", "vmas")[0]] = 7
        last = first + (find("cpu_state", "walks")[1].count - 1) * areas.layout.words("walk_cell")
        areas.state[last + find("walk_cell", "looked_at")[0]] = 4
    told = steps.runs(areas)
    assert (told.programs, told.steps, told.walks) == (44, 22, 16)


def test_a_walk_under_way_forgets_its_vmas(areas: steps.Areas) -> None:
    words, at = areas.layout.words("work"), areas.layout.find("work", "steps")[0]
    steps.watch(areas, 0b101, 0b1)
    areas.work[17 * words + at] = 1
    steps.forget(areas)
    assert areas.work[17 * words + at] == 0
    assert [
        areas.control[areas.layout.find("control", word)[0]] for word in ("steps", "looks")
    ] == [0, 0]


def test_the_gate(areas: steps.Areas) -> None:
    steps.sample(areas, ONE_IN)
    assert areas.control[areas.layout.find("control", "gate")[0]] == ONE_IN - 1
    steps.sample(areas, 1)
    assert areas.control[areas.layout.find("control", "gate")[0]] == 0


def test_which_probes_see_single_vmas() -> None:
    assert {"step_unmap", "step_reference", "look_first", "look_next"} < steps.PROBES
    assert all(name.startswith(("step_", "look_")) for name in steps.PROBES)
