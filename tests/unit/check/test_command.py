"""`rmapwatch check` as a user meets it: exit codes, table, JSON, recordings that are cut off."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from handmade import Made, made
from rmapwatch.check.run import RULES, check
from rmapwatch.recordings.reader import Recording


def rmapwatch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rmapwatch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def false(found: Made) -> int:
    """Falsify a decision; return the number of its event."""
    checks = found.records["reference"]
    kept = (checks["decision"] == 2) & (checks["result"] == 1) & (checks["vm_flags"] == 0)
    at = np.flatnonzero(kept)[0]
    checks["decision"][at] = 0
    return int(checks["seq"][at])


def test_good(tmp_path: Path) -> None:
    ran = rmapwatch("check", made("6.1").write(tmp_path / "r"))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "NO" not in ran.stdout.split()
    assert "not exercised" in rmapwatch("check", made("5.10").write(tmp_path / "s")).stdout


def test_a_mismatch_is_told_with_its_event(tmp_path: Path) -> None:
    wrong = made("6.1")
    seq = false(wrong)
    ran = rmapwatch("check", wrong.write(tmp_path / "r"))
    assert ran.returncode == 1
    assert f"reference event {seq}: reference check: keep" in ran.stdout
    assert "model: keep: result 1, PG_swapbacked, classic LRU" in ran.stdout
    assert "observed: activate" in ran.stdout
    assert "source: mm/vmscan.c" in ran.stdout


def test_json(tmp_path: Path) -> None:
    wrong = made("7.3", "evict")
    seq = false(wrong)
    ran = rmapwatch("check", "--json", wrong.write(tmp_path / "r"))
    told = json.loads(ran.stdout)
    assert ran.returncode == 1
    assert told["agrees"] is False
    assert told["events"] == sum(map(len, wrong.records.values()))
    assert [row["rule"] for row in told["rules"]] == [rule.name for rule in RULES]
    assert seq in [mismatch["seq"] for mismatch in told["mismatches"]]
    clean = next(row for row in told["rules"] if row["rule"] == "reference check: reclaim_clean")
    assert (clean["predicted"], clean["observed"], clean["agrees"]) == (None, None, None)


@pytest.mark.parametrize("what", ["nothing", "no meta", "rot", "unknown kernel"])
def test_what_cannot_be_checked(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    if what != "nothing":
        made("6.1").write(folder)
    if what == "no meta":
        (folder / "meta.json").write_text("{}")
    if what == "rot":
        (folder / "walk.arrows").write_bytes(b"no arrow stream at all")
    if what == "unknown kernel":
        meta = json.loads((folder / "meta.json").read_text())
        meta["kernel"]["structs"] = {}
        (folder / "meta.json").write_text(json.dumps(meta))
    ran = rmapwatch("check", folder)
    assert ran.returncode == 2
    assert ran.stderr.startswith("rmapwatch: ")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("stream", ["walk", "reference", "batch", "cow", "ksm", "memory_failure"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_stream_is_no_mismatch(stream: str, share: float, tmp_path: Path) -> None:
    torn = made("6.1")
    torn.per_flush, torn.closed = 4, False
    folder = torn.write(tmp_path / "r")
    path = folder / f"{stream}.arrows"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    recording = Recording(folder)
    assert not recording.complete
    verdict = check(recording)
    assert verdict.mismatches == ()
    totals = [row for row in verdict.rows if row.rule.endswith("counted = told by events")]
    assert [row.agrees for row in totals] == [None] * 6


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    torn = made("6.1")
    torn.closed = False
    ran = rmapwatch("check", torn.write(tmp_path / "r"))
    assert ran.returncode == 0
    assert "its writer did not end it" in ran.stderr
