"""Recordings in which nothing is wrong: every rule agrees, and every rule is exercised."""

from pathlib import Path

import pytest
from handmade import made
from rmapwatch.check.run import RULES, check
from rmapwatch.check.windows import windows
from rmapwatch.recordings.reader import Recording

FIXTURES = sorted(p.parent for p in (Path(__file__).parents[2] / "fixtures").glob("*/meta.json"))
KERNELS = [
    ("5.10", "inactive"),
    ("6.1", "inactive"),
    ("6.1", "evict"),
    ("6.12", "inactive"),
    ("6.12", "evict"),
    ("7.3", "inactive"),
    ("7.3", "evict"),
]


@pytest.mark.parametrize(("kernel", "caller"), KERNELS)
def test_nothing_is_wrong(kernel: str, caller: str, tmp_path: Path) -> None:
    verdict = check(Recording(made(kernel, caller).write(tmp_path / "r")))
    assert verdict.mismatches == ()
    assert verdict.agrees
    assert [row.explained for row in verdict.rows if row.explained] == []


def test_every_rule_is_exercised_by_one_of_them(tmp_path: Path) -> None:
    exercised = set()
    for kernel, caller in KERNELS:
        verdict = check(Recording(made(kernel, caller).write(tmp_path / kernel / caller)))
        exercised |= {row.rule for row in verdict.rows if row.agrees}
    assert {rule.name for rule in RULES} - exercised == set()


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_windows_do_not_matter(rows: int, tmp_path: Path) -> None:
    whole = made("6.1").write(tmp_path / "whole")
    torn = made("6.1")
    torn.per_flush = rows
    recording = Recording(torn.write(tmp_path / "torn"))
    assert len(list(windows(recording, rows))) > 1
    assert sum(len(w[event]["seq"]) for w in windows(recording, rows) for event in w) == len(
        {int(n) for w in windows(recording, rows) for columns in w.values() for n in columns["seq"]}
    )
    from rmapwatch.check import run
    from rmapwatch.check.context import context_of

    context, counts = context_of(recording), recording.meta.end.events
    assert run.judge(context, windows(recording, rows), counts).rows == check(Recording(whole)).rows


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_recordings_from_real_kernels_agree(folder: Path) -> None:
    verdict = check(Recording(folder))
    assert verdict.mismatches == ()
    assert verdict.agrees
    assert sum(row.agrees is True for row in verdict.rows) > len(verdict.rows) / 3
