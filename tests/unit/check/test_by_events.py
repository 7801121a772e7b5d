"""A recording without BPF: what it cannot tell is held against nothing, all else as ever."""

import dataclasses
from pathlib import Path

import handmade_memory
import numpy as np
import pytest
import samples
from handmade import LEDGER, OPS, Made, made
from rmapwatch.check import run
from rmapwatch.check.run import Verdict
from rmapwatch.probes import ksm, reclaim
from rmapwatch.probes.events import ALL_ONES, NO_COUNT
from rmapwatch.probes.ftrace import plan
from rmapwatch.recordings.reader import Recording

KERNELS = ("5.10", "6.1", "6.12", "7.3")
LEDGERS = (LEDGER["workload"], *(each["workload"] for each in handmade_memory.ledgers("6.1")))
COUNTED, COPIED = "reference checks: counted = told by events", "ksm: no more copies on swap-in"


def by_events(kernel: str, ledger: str = "fork_storm") -> Made:
    """A good recording as it is told by events of tracefs alone."""
    found = made(kernel, "inactive", ledger)
    found.records = samples.by_events(found.records)
    written = found.records["ksm"]["what"] == ksm.WHAT.index("cow")
    found.records["ksm"] = found.records["ksm"][~written]
    numbers = np.unique(np.concatenate([each["seq"] for each in found.records.values()]))
    for each in found.records.values():
        each["seq"] = np.searchsorted(numbers, each["seq"])
    found.counts = {
        event: dataclasses.replace(found.counts[event], produced=number, received=number)
        for event, number in ((event, len(found.records[event])) for event in plan.TOLD)
    }
    sample = found.sample
    found.sample = dataclasses.replace(
        sample,
        events=found.counts,
        walks={k: dataclasses.replace(walk, ptes=None) for k, walk in sample.walks.items()},
        decisions={},
        ksm=sample.ksm
        and dataclasses.replace(
            sample.ksm, pages={n: c for n, c in sample.ksm.pages.items() if n != "cow"}
        ),
    )
    return found


def verdict(recorded: Made, folder: Path) -> Verdict:
    return run.check(Recording(recorded.write(folder / "r")))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("ledger", LEDGERS)
def test_nothing_is_wrong(kernel: str, ledger: str, tmp_path: Path) -> None:
    found = verdict(by_events(kernel, ledger), tmp_path)
    assert found.mismatches == ()
    rows = {row.rule: row for row in found.rows}
    for name in ("walks", "reference checks", "memory failures"):
        assert rows[f"{name}: counted = told by events"].agrees
    for name in reclaim.DECISIONS:
        assert rows[f"reference check: {name}"].agrees is None
    for name in ("batches", "copy on write"):
        row = rows[f"{name}: counted = told by events"]
        assert (row.agrees, row.explained) == (
            None, (("what recorded it tells no such events", 0),)
        )  # fmt: skip
    (copied,) = (row for row in found.rows if row.rule.startswith(COPIED))
    assert (copied.agrees, copied.explained) == (None, (("page-table entries are not seen", 0),))


@pytest.mark.parametrize(("name", "value"), [("result", 5), ("is_locked", 0)])
def test_a_check_that_was_counted_as_another(name: str, value: int, tmp_path: Path) -> None:
    """By who asked and by what came of it, if not by the list."""
    false = by_events("6.1")
    checks = false.records["reference"]
    at = np.flatnonzero((checks["result"] == 1) & (checks["is_locked"] == 1))[0]
    checks[name][at] = value
    wrong = {m.rule for m in verdict(false, tmp_path).mismatches}
    assert COUNTED in wrong


def test_signals_of_nobody_known_are_held_against_nobody(tmp_path: Path) -> None:
    """After a loss nobody knows whose thread it is: neither whom it told, nor that it met it."""
    seen = by_events("6.12", "hwpoison")
    signals, failures = seen.records["signal"], seen.records["memory_failure"]
    late = signals["pfn"] == ALL_ONES
    signals["target"][late] = signals["tgid"][late] = 0
    signals["tgid"][~late] = 0
    failures["victims"] = NO_COUNT
    rows = {row.rule: row for row in verdict(seen, tmp_path).rows}
    assert rows["memory failure: who touches the page later must act"].agrees is None
    assert rows["memory failure: no more signals than processes found"].agrees is None
    assert rows["memory failure: action is required of who met it, and of no other"].agrees is not (
        False
    )


def test_copies_are_held_against_what_walks_tell(tmp_path: Path) -> None:
    """As soon as they do tell: too many copies are wrong."""
    false = by_events("6.1", "ksm_swap")
    walks = false.records["walk"]
    walks["ptes"][walks["op"] == OPS.index("unmap")] = 0
    assert any(m.rule.startswith(COPIED) for m in verdict(false, tmp_path).mismatches)
