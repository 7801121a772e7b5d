"""Recordings in which nothing is wrong: every rule agrees, and every rule is exercised."""

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from handmade import Made, made
from handmade_memory import ledgers
from rmapwatch.check import run
from rmapwatch.check.context import context_of
from rmapwatch.check.run import RULES, check
from rmapwatch.check.verdict import Columns
from rmapwatch.check.windows import NEEDED, windows
from rmapwatch.probes import reclaim
from rmapwatch.recordings.reader import Recording
from rmapwatch.tools import tile_recording

FIXTURES = sorted(p.parent for p in (Path(__file__).parents[2] / "fixtures").glob("*/meta.json"))
TIDS = (700, 4_000_001)
"""The threads that reclaim at once."""

KERNELS = [
    ("5.10", "inactive"),
    ("6.1", "inactive"),
    ("6.1", "evict"),
    ("6.12", "inactive"),
    ("6.12", "evict"),
    ("7.3", "inactive"),
    ("7.3", "evict"),
]


LEDGERS = ("fork_storm", *(each["workload"] for each in ledgers("6.1")))


@pytest.mark.parametrize("ledger", LEDGERS)
@pytest.mark.parametrize(("kernel", "caller"), KERNELS)
def test_nothing_is_wrong(kernel: str, caller: str, ledger: str, tmp_path: Path) -> None:
    verdict = check(Recording(made(kernel, caller, ledger).write(tmp_path / "r")))
    assert verdict.mismatches == ()
    assert verdict.agrees
    assert [reason for row in verdict.rows for reason in row.explained if reason[1]] == []


def test_every_rule_is_exercised_by_one_of_them(tmp_path: Path) -> None:
    exercised = set()
    for ledger in LEDGERS:
        for kernel, caller in KERNELS if ledger == "fork_storm" else KERNELS[:1]:
            folder = made(kernel, caller, ledger).write(tmp_path / kernel / caller / ledger)
            exercised |= {row.rule for row in check(Recording(folder)).rows if row.agrees}
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
    context, counts = context_of(recording), recording.meta.end.events
    assert run.judge(context, windows(recording, rows), counts).rows == check(Recording(whole)).rows


def test_walks_that_end_in_the_same_nanosecond(tmp_path: Path) -> None:
    both = made("6.1")
    walks, checks = both.records["walk"], both.records["reference"]
    ended = [int(checks["walk"][(checks["tid"] == tid) & (checks["walk"] > 0)][0]) for tid in TIDS]
    for tid, was in zip(TIDS, ended, strict=True):
        walks["time"][(walks["tid"] == tid) & (walks["time"] == was)] = ended[0]
        checks["walk"][(checks["tid"] == tid) & (checks["walk"] == was)] = ended[0]
    verdict = check(Recording(both.write(tmp_path / "r")))
    assert ended[0] != ended[1]
    assert verdict.mismatches == ()


def test_probes_that_could_not_tell_reclaim_clean(tmp_path: Path) -> None:
    """Where the facts name no decisions, the probes take RECLAIM_CLEAN for RECLAIM: explained."""
    blind = made("6.1")
    enums = {name: codes for name, codes in blind.facts.enums.items() if "references" not in name}
    blind.facts = dataclasses.replace(blind.facts, enums=enums)
    verdict = check(Recording(falsified(blind).write(tmp_path / "blind")))
    rows = {row.rule: row for row in verdict.rows}
    row = rows["reference check: reclaim_clean"]
    assert row.explained == (("the probes could not tell reclaim_clean from reclaim", 4),)
    assert row.agrees
    seeing = falsified(made("6.1"))
    assert not check(Recording(seeing.write(tmp_path / "seeing"))).agrees


def falsified(found: Made) -> Made:
    checks = found.records["reference"]
    clean = reclaim.DECISIONS.index("reclaim_clean")
    checks["decision"][checks["decision"] == clean] = reclaim.DECISIONS.index("reclaim")
    batches = found.records["batch"]
    batches["decided_reclaim"] += batches["decided_reclaim_clean"]
    batches["decided_reclaim_clean"] = 0
    decisions = dict(found.sample.decisions)
    decisions["file", "reclaim"] += decisions.pop(("file", "reclaim_clean"))
    found.sample = dataclasses.replace(found.sample, decisions=decisions)
    return found


def test_a_window_is_all_that_is_in_memory(tmp_path: Path) -> None:
    """However long a recording is, the check takes no more memory than for a part of it."""
    fixture, peaks = FIXTURES[0].parent / "file-stream-6.1", []
    for times in (96, 384):  # both fill a window
        folder = tmp_path / str(times)
        tile_recording.tile(Recording(fixture), times, folder)
        tracemalloc.start()
        verdict = check(Recording(folder))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert verdict.events == times * check(Recording(fixture)).events
        assert verdict.mismatches == ()
    assert peaks[1] < 1.1 * peaks[0]


def test_every_rule_is_exercised_by_a_recording_from_a_real_kernel() -> None:
    exercised = set()
    for folder in FIXTURES:
        exercised |= {row.rule for row in check(Recording(folder)).rows if row.agrees}
    assert exercised == {rule.name for rule in RULES}


class Asked(dict):
    """The columns of a type of event, which notes for which of them a rule asks."""

    def __init__(self, event: str, columns: Columns, asked: set) -> None:
        super().__init__(columns)
        self.event, self.asked = event, asked

    def __getitem__(self, name: str) -> np.ndarray:
        self.asked.add((self.event, name))
        return super().__getitem__(name)


def test_no_column_is_read_for_nothing() -> None:
    asked: set = set()
    for folder in FIXTURES:
        recording = Recording(folder)
        noted = (
            {event: Asked(event, columns, asked) for event, columns in window.items()}
            for window in windows(recording)
        )
        run.judge(context_of(recording), noted, {})
    assert asked == {(event, name) for event, names in NEEDED.items() for name in names}


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda folder: folder.name)
def test_recordings_from_real_kernels_agree(folder: Path) -> None:
    verdict = check(Recording(folder))
    assert verdict.mismatches == ()
    assert verdict.agrees
    assert sum(row.agrees is True for row in verdict.rows) > 3
