"""The check beside an exporter: events that are part of no recording, and what adds up of them."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from handmade import POINTS, START_NS, Made, made
from rings import MemoryRing
from rmapwatch.check import sampled
from rmapwatch.check.context import Context, known
from rmapwatch.check.run import RULES
from rmapwatch.check.sampled import judged
from rmapwatch.probes import events
from rmapwatch.probes.sample import Attachment, RuleCounts, Sample


def context(of: Made, **lost: int) -> Context:
    return known(of.facts, POINTS).context(START_NS, lost, {})


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12", "7.3"])
def test_nothing_is_wrong(kernel: str) -> None:
    seen = made(kernel)
    found = judged(context(seen), seen.records)
    assert tuple(found) == RULES
    assert [each for each in found.values() if each.wrong] == []
    held = {rule.name: each.held for rule, each in found.items()}
    assert held["reference check: keep"] > 10
    assert held["walks: counted = told by events"] == 0


def test_a_mismatch_is_counted_and_named() -> None:
    false = made("6.1")
    checks = false.records["reference"]
    at = np.flatnonzero((checks["decision"] == 2) & (checks["result"] == 1))[0]
    checks["decision"][at] = 0
    found = judged(context(false), false.records)
    wrong = {rule.name: each for rule, each in found.items() if each.wrong}
    assert wrong["reference check: keep"].wrong == 1
    assert wrong["reference check: keep"].examples[0].seq == int(checks["seq"][at])


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.85])
def test_what_began_before_is_no_mismatch(share: float) -> None:
    """Whatever moment the events begin at, what they refer to may lie before it."""
    seen = made("6.12")
    cut = int(sum(map(len, seen.records.values())) * share)
    part = {event: found[found["seq"] >= cut] for event, found in seen.records.items()}
    before = [found["time"][found["seq"] < cut] for found in seen.records.values()]
    later = known(seen.facts, POINTS).context(int(np.concatenate(before).max()) + 1, {}, {})
    found = judged(later, part)
    assert [each.examples for each in found.values() if each.wrong] == []
    assert sum(each.held for each in found.values()) > 0


class Kernel(MemoryRing):
    """A session over which all events of a recording made by hand come once they are asked for."""

    def __init__(self, seen: Made) -> None:
        super().__init__()
        self.facts, self.seen = seen.facts, seen
        self.attached = [Attachment(name, name, "fentry", "hand-made") for name in POINTS]
        self.asked: list[tuple[str, ...]] = []

    def want_events(self, names: tuple[str, ...]) -> None:
        self.asked.append(names)
        if names:
            told = [record for found in self.seen.records.values() for record in found]
            now = time.monotonic_ns() - START_NS + 1
            for record in sorted(told, key=lambda record: record["seq"]):
                for moment in {"time", "walk"} & set(record.dtype.names):
                    record[moment] += now * (record[moment] != 0)
                self.put(record.reshape(1))

    def received(self, event: str, count: int) -> None:
        pass

    def sample(self, tries: int) -> Sample:
        return self.seen.sample


def test_what_adds_up_beside_an_exporter() -> None:
    """Events are asked for and no longer; counts grow; the exporter's Samples have them."""
    false = made("6.1")
    checks = false.records["reference"]
    at = np.flatnonzero((checks["decision"] == 2) & (checks["result"] == 1))[0]
    checks["decision"][at] = 0
    kernel, told = Kernel(false), []
    beside = sampled.Beside(kernel, told.append)
    assert {(c.checks, c.mismatches) for c in beside.sample(2).model.values()} == {(0, 0)}
    beside.once(0.01)
    assert kernel.asked == [tuple(events.EVENTS), ()]
    model = beside.sample(2).model
    assert model.keys() == {rule.name for rule in RULES}
    assert model["reference check: keep"].mismatches == 1
    assert model["reference check: activate"] == RuleCounts(12, 0)
    assert [m.rule for m in told].count("reference check: keep") == 1
    beside.once(0.01)
    assert beside.sample(2).model["reference check: activate"] == RuleCounts(24, 0)


LATE = """
import sys
sys.path[:0] = sys.argv[1:]
import test_sampled
from handmade import made
from rmapwatch.check import sampled
beside = sampled.Beside(test_sampled.Kernel(made("6.12")), print)
before = set(sys.modules)
beside.once(0.01)
beside.sample(1)
print(sorted(set(sys.modules) - before))
"""


def test_nothing_is_imported_once_privileges_are_dropped() -> None:
    here = Path(__file__).parent
    command = [sys.executable, "-c", LATE, str(here), str(here.parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


EACH = """
import sys
sys.path[:0] = sys.argv[1:]
from handmade import POINTS, made
from handmade_memory import ledgers
from rmapwatch.check.context import known
from rmapwatch.check.sampled import judged
late = set()
for workload in (each["workload"] for each in ledgers("6.1")):
    seen = made("6.1", "inactive", workload)
    before = set(sys.modules)
    judged(known(seen.facts, POINTS).context(0, {}, {}), seen.records)
    late |= set(sys.modules) - before
print(sorted(late))
"""


def test_nothing_is_imported_for_any_kind_of_events() -> None:
    command = [sys.executable, "-c", EACH, str(Path(__file__).parents[2])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
