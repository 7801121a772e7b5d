"""The rules of memory failures, on each kernel: they hold, and fail on the one thing made wrong."""

import copy
import dataclasses

import pytest
import samples
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.kernels.semantics import semantics_of
from rmapwatch.lab.rules import memory_failure as rules
from rmapwatch.lab.rules.row import Run, op
from rmapwatch.model import injected
from rmapwatch.model import memory_failure as model
from rmapwatch.probes import memory_failure as probes
from rmapwatch.probes.readout import page_types, results
from rmapwatch.probes.sample import FailureCounts
from samples import records, sample

ADDRESS = 0x6000_0000_0000


def process(pid: int, policy: str, current: bool = False) -> dict:
    return {"pid": pid, "policy": policy, "current": current, "signals": []}


def failure(kind: str, injector: str, pfn: int, *processes: dict) -> dict:
    return {
        "kind": kind,
        "injector": injector,
        "poisoned": False,
        "pfn": pfn,
        "address": ADDRESS,
        "processes": list(processes),
    }


FAILURES = [
    failure("anon", "corrupt_pfn", 101, process(7, "early"), process(8, "late")),
    failure("clean_file", "corrupt_pfn", 103, process(9, "early")),
    failure("anon", "madvise", 107, process(11, "default", current=True)),
    failure("ksm", "corrupt_pfn", 109, process(13, "early")),
    failure("anon", "corrupt_pfn", 101, process(7, "early")) | {"poisoned": True},
]


def as_told(facts: KernelFacts) -> tuple[dict, list[dict]]:
    """The ledger, and the signals as probes see them, when all is as the model says."""
    ledger = {"failures": copy.deepcopy(FAILURES), "corrupted_before": 0}
    by_pid = {p["pid"]: p for row in ledger["failures"] for p in row["processes"]}
    seen = []
    for pid, what, address, lsb in rules._foretold(semantics_of(facts), ledger):
        code = "BUS_MCEERR_AR" if what is model.Signal.SIGBUS_AR else "BUS_MCEERR_AO"
        number = {"BUS_MCEERR_AR": 4, "BUS_MCEERR_AO": 5}[code]
        by_pid[pid]["signals"].append({"code": number, "address": address, "lsb": lsb})
        seen.append(
            {"target": pid, "code": probes.CODES.index(code), "address": address, "lsb": lsb}
        )
    return ledger, seen


def run(facts: KernelFacts, **wrong: dict) -> Run:
    """A run as it should be, but for what is `wrong` of the first event or signal."""
    ledger, seen = as_told(facts)
    numbers = {name: number for number, name in page_types(facts).items()}
    told, actions = [], {}
    for row in ledger["failures"]:
        what = injected.handling(semantics_of(facts), row)
        page, result = rules._name(what.type), rules._name(what.result)
        told.append(
            {
                "pfn": row["pfn"],
                "page_type": numbers[page] if page else -1,
                "result": results().index(result) if result else -1,
                "returned": what.returns,
            }
        )
        if page:
            actions[page, result] = actions.get((page, result), 0) + 1
    told[0] |= wrong.get("event", {})
    seen[0] |= wrong.get("signal", {})
    failures = FailureCounts({}, {}, actions | wrong.get("actions", {}), {})
    ledger |= {"node_before": {"total": 1}, "node_after": {"total": 5}, "corrupted_after": 4}
    made = dataclasses.replace(sample(1, 1), failures=failures)
    by_type = {
        "memory_failure": records("memory_failure", told),
        "signal": records("signal", seen),
    }
    return samples.run(ledger, sample=made, kernel=facts, **by_type)


def wrong(made: Run) -> set[str]:
    return {row.rule for row in rules.hwpoison(made) if row.agrees is False}


def test_failures_as_they_should_be(kernel_facts: KernelFacts) -> None:
    rows = list(rules.hwpoison(run(kernel_facts)))
    assert {row.agrees for row in rows} == {True}
    assert len(rows) == 11


@pytest.mark.parametrize(
    ("what", "broken"),
    [
        ({"event": {"result": 1}}, "page type and result as the model predicts"),
        ({"event": {"pfn": 5}}, "each is of the page that the ledger names"),
        ({"event": {"returned": -5}}, "returned as the model predicts"),
        (
            {"signal": {"target": 99}},
            "signals that processes were told by = seen where they are sent",
        ),
        ({"signal": {"code": 0}}, "signals that processes were told by = seen where they are sent"),
        (
            {"actions": {("huge", "failed"): 1}},
            "actions by type and result: counted = told",
        ),
    ],
)
def test_one_thing_that_is_not(kernel_facts: KernelFacts, what: dict, broken: str) -> None:
    assert broken in wrong(run(kernel_facts, **what))


def test_a_signal_that_nobody_foretold(kernel_facts: KernelFacts) -> None:
    made = run(kernel_facts)
    signal = {"code": 5, "address": ADDRESS, "lsb": 12}
    made.ledger["failures"][1]["processes"][0]["signals"].append(signal)
    assert "no other signal came" in wrong(made)


def test_a_kernel_whose_nodes_do_not_count(kernel_facts: KernelFacts) -> None:
    made = run(kernel_facts)
    made.ledger["node_after"].clear()
    (row,) = (row for row in rules.hwpoison(made) if "the node's" in row.rule)
    assert row.agrees is None
    assert row.explained


def moved(**change: int) -> Run:
    ledger = {
        "processes": 3,
        "moves": [{"errno": 0, "before": 10 + n, "after": 20 + n} for n in range(5)],
        "corrupted_before": 2,
        "corrupted_after": 7,
    }
    offline = probes.HANDLERS.index("soft_offline")
    events = [{"pfn": 10 + n, "handler": offline} for n in range(5)]
    walks = [{"pfn": 10 + n, "op": op("migrate"), "vmas": 3, "ptes": 3} for n in range(5)]
    walks += [{"pfn": 20 + n, "op": op("restore"), "vmas": 3, "ptes": 3} for n in range(5)]
    walks[-1] |= change
    told = {"memory_failure": records("memory_failure", events), "walk": records("walk", walks)}
    return samples.run(ledger, **told)


def test_soft_offlines_as_they_should_be() -> None:
    assert {row.agrees for row in rules.soft_offline(moved())} == {True}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (
            {"pfn": 23},
            {
                "frames with exactly one walk to restore",
            },
        ),
        (
            {"vmas": 2},
            {"a restore walk enters the VMA of each process and restores its mapping"},
        ),
    ],
)
def test_a_walk_that_is_not(change: dict, broken: set) -> None:
    assert {r.rule for r in rules.soft_offline(moved(**change)) if r.agrees is False} == broken


def test_pages_that_stay() -> None:
    made = moved()
    made.ledger["moves"][0]["errno"] = 16
    broken = {row.rule for row in rules.soft_offline(made) if row.agrees is False}
    assert "pages moved" in broken
    assert "pages moved = growth of HardwareCorrupted" in broken


def test_soft_offlines_whose_entries_are_not_seen() -> None:
    rows = list(rules.soft_offline(samples.run_by_events(moved())))
    (untold,) = (row for row in rows if row.agrees is not True)
    assert untold.explained == (("page-table entries are not seen", 5),)
    rows = rules.soft_offline(samples.run_by_events(moved(vmas=2)))
    assert [row.rule for row in rows if row.agrees is False] == [untold.rule]
