"""What differs between two runs of a scenario, and which changes of the kernel say so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rmapwatch.errors import UsageError
from rmapwatch.kernels.changes import CHANGES
from rmapwatch.lab import diff, left, report
from typer.testing import CliRunner

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def stalled() -> left.Left:
    """A KSM stall of a kernel whose walks look through whole trees."""
    return left.read(FIXTURES / "ksm-stall-6.12")


@pytest.fixture(scope="module")
def cured() -> left.Left:
    return left.read(FIXTURES / "ksm-stall-7.3")


def test_a_stall_and_its_cure(stalled: left.Left, cured: left.Left) -> None:
    found = diff.difference(stalled, cured)
    looked_at = {f.labels: (f.one, f.other) for f in found.figures if f.name == "looked_at"}
    assert looked_at[("restore", "ksm")] == (2 * 31 * 5003, 2 * 31)
    assert [cause.change.key for cause in found.causes] == ["ksm_walk_by_index"]
    cause = found.causes[0]
    assert cause.kernel == cured.run.kernel.release
    assert cause.rules == tuple(
        f"VMAs that the walk to {op} looks at" for op in ("migrate", "restore")
    )


def test_a_signal_only_where_the_caller_is_killed() -> None:
    older, newer = (left.read(FIXTURES / f"hwpoison-{series}") for series in ("6.1", "6.12"))
    found = diff.difference(older, newer)
    signals = {f.labels: (f.one, f.other) for f in found.figures if f.section == "signals"}
    assert signals[("SIGBUS", "BUS_MCEERR_AR")][0] < signals[("SIGBUS", "BUS_MCEERR_AR")][1]
    by_key = {cause.change.key: cause for cause in found.causes}
    told = "signals that the model predicts = those that processes were told by"
    assert told in by_key["madvise_action_required"].rules
    assert by_key["madvise_action_required"].kernel == newer.run.kernel.release


def test_a_run_does_not_differ_from_itself(stalled: left.Left) -> None:
    found = diff.difference(stalled, stalled)
    assert found.figures == found.causes == ()


def test_a_change_that_shows_nowhere_is_not_named(stalled: left.Left) -> None:
    other = replace(stalled, run=replace(stalled.run, changes=stalled.run.changes ^ {"used_once"}))
    assert diff.difference(stalled, other).causes == ()


def test_small_differences_are_not_told(stalled: left.Left) -> None:
    result = json.loads(json.dumps(stalled.result))
    row = next(row for row in result["walks"] if row["op"] == "restore")
    row["seconds"] *= 1.99
    row["looked_at"] = int(row["looked_at"] * 1.09)
    other = replace(stalled, result=result)
    assert diff.difference(stalled, other).figures == ()
    row["seconds"] *= 1.1
    assert [f.name for f in diff.difference(stalled, other).figures] == ["seconds"]


def test_what_is_not_there_is_not_zero(stalled: left.Left) -> None:
    other = replace(stalled, result={**stalled.result, "ksm_scans": []})
    assert {f.other for f in diff.difference(stalled, other).figures} == {None}


def test_two_scenarios_are_refused(stalled: left.Left) -> None:
    with pytest.raises(UsageError, match="two scenarios"):
        diff.difference(stalled, left.read(FIXTURES / "hwpoison-6.12"))


def test_as_json(stalled: left.Left, cured: left.Left) -> None:
    told = json.loads(diff.difference(stalled, cured).to_json())
    change = CHANGES["ksm_walk_by_index"]
    assert told["causes"][0]["subject"] == change.subject
    assert {"section", "labels", "name", "one", "other"} == set(told["figures"][0])


def test_the_command() -> None:
    from rmapwatch.cli import app

    sides = [str(FIXTURES / f"ksm-stall-{series}") for series in ("6.12", "7.3")]
    done = CliRunner().invoke(app, ["lab", "diff", *sides], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "looked_at" in done.stdout
    assert CHANGES["ksm_walk_by_index"].subject in done.stdout


def test_the_summary_has_a_column_per_kernel() -> None:
    rows = [{"agrees": True}, {"agrees": None}, {"agrees": False}]
    results = [
        {"scenario": "x", "lru": "mglru", "kernel": "6.12.1", "agreement": rows},
        {"scenario": "x", "lru": "mglru", "kernel": "7.3.1", "agreement": rows[:1]},
        {"scenario": "y", "lru": "mglru", "kernel": "7.3.1", "error": {}},
    ]
    from rich.console import Console

    console = Console(width=100, record=True)
    console.print(report.summary(results))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["x", "mglru", "1", "of", "2", "1", "of", "1"] in lines
    assert ["y", "mglru", "-", "failed"] in lines
