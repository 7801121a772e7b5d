from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rmapwatch.lab import apt
from rmapwatch.lab.cli import app
from typer.testing import CliRunner

RUNNER = CliRunner()


def test_json_names_every_series_fetched_or_not(
    cache: Path, tree: Callable[[Path, str], Path]
) -> None:
    tree(cache / "kernels/6.1", "6.1.0-1-amd64")
    answer = json.loads(RUNNER.invoke(app, ["kernels", "--json"]).stdout)
    assert list(answer["kernels"]) == ["5.10", "6.1", "6.12", "7.3"]
    assert answer["kernels"]["6.1"]["release"] == "6.1.0-1-amd64"
    assert answer["kernels"]["5.10"] is None
    assert answer["accelerator"] is None


def test_progress_is_no_data(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def fetch(series: str, progress: apt.Progress) -> None:
        fetched.append(series)
        progress(f"{series}: downloading")

    monkeypatch.setattr(apt, "fetch", fetch)
    result = RUNNER.invoke(app, ["kernels", "--fetch", "all", "--json"])
    assert fetched == ["5.10", "6.1", "6.12", "7.3"]
    assert "downloading" not in result.stdout
    json.loads(result.stdout)


def test_unknown_series(cache: Path) -> None:
    result = RUNNER.invoke(app, ["kernels", "--fetch", "4.19"])
    assert result.exit_code == 2
