"""`rmapwatch model`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rmapwatch import errors
from rmapwatch.views.model_cli import app
from typer.testing import CliRunner

COMMANDS = (
    "used-once", "fork-storm", "cow-reuse", "ksm", "memory-failure", "references", "mapcount",
    "mapping 0x3",
)  # fmt: skip
DRAWING = ("used-once", "fork-storm", "cow-reuse", "ksm")


def run(command: str) -> str:
    done = CliRunner().invoke(app, command.split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def data(command: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(f"{command} --json"))
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_a_table_and_json(command: str) -> None:
    assert run(command).strip()
    assert data(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_table_fits_on_a_terminal(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run(command)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_seeds_storm() -> None:
    found = data("fork-storm --children 1000 --pages 1000")
    assert found["mean_linked_before"] == 1001
    assert found["mean_linked_after"] == (1000 * 1000 + 1000 * 1001) / 1001000
    assert found["method"] == "simulation"
    assert [each["pages"] for each in found["after"]] == [1000, 1_000_000]


def test_a_million_processes_are_answered_in_closed_form() -> None:
    found = data("fork-storm --children 1000000")
    assert found["method"] == "closed form"
    assert found["mean_linked_before"] == 1_000_001


def test_a_simulated_storm_and_its_closed_form_agree() -> None:
    small = "fork-storm --children 9 --pages 3 --cowed 4 --first"
    simulated, closed = data(small), data(f"{small} --closed-form")
    assert simulated.pop("method") != closed.pop("method")
    assert simulated == closed


def test_used_once() -> None:
    found = data("used-once")
    assert found["before"]["survivors"] == []
    assert len(found["after"]["survivors"]) == 300


def test_kernels_are_chosen_by_name() -> None:
    found = data("cow-reuse --children 8 -k v5.10 -k v6.1")["kernels"]
    assert {name: each["restore_after"] for name, each in found.items()} == {"v5.10": 9, "v6.1": 1}


def test_ksm() -> None:
    found = data("ksm --pages 4 --forks 2 --scanned -k v6.12")
    assert found["entered"]["v6.12"] == {
        "reference": 12, "unmap": 12, "migrate": 12, "restore": 20,
    }  # fmt: skip


def test_memory_failure() -> None:
    found = data("memory-failure --kind ksm -k v6.1 -k v7.3")["kernels"]
    assert found["v6.1"]["type"] == "MF_MSG_UNMAP_FAILED"
    assert found["v7.3"]["signals"]["caller"] == "SIGBUS BUS_MCEERR_AR"


def test_mapping() -> None:
    found = data("mapping 0xffff888000100002")["kernels"]
    assert found["v6.12"]["kind"] == "MOVABLE"
    assert found["v7.3"]["kind"] == "INVALID"


@pytest.mark.parametrize("command", DRAWING)
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_plots(command: str, suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / f"plot{suffix}"
    run(f"{command} -o {target}")
    begins = {".png": b"\x89PNG", ".svg": b"<?xml"}[suffix]
    assert target.read_bytes().startswith(begins)


@pytest.mark.parametrize(
    "command",
    [
        "fork-storm -o plot.txt",
        "fork-storm --children 3 --cowed 4",
        "used-once --working-set 2000",
        "cow-reuse -k v9.9",
        "ksm -k v2.6.31",
        "mapcount -k v2.6.34",
        "memory-failure --kind nothing",
        "memory-failure --injector nobody",
        "memory-failure -k v2.6.31",
        "references --referenced -1 -k v5.10",
        "mapping nonsense",
        "mapping -- -1",
        "mapping 0x10000000000000000",
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_printed(command: str) -> None:
    runner = CliRunner()
    done = runner.invoke(app, command.split())
    assert isinstance(done.exception, errors.UsageError)
    assert done.stdout == ""


def test_impossible_numbers_are_refused_by_the_parser() -> None:
    assert CliRunner().invoke(app, ["fork-storm", "--children", "0"]).exit_code == 2
    assert CliRunner().invoke(app, ["ksm", "--pages", "1"]).exit_code == 2


def test_a_plot_that_cannot_be_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = CliRunner().invoke(app, ["ksm", "-o", str(tmp_path / "no" / "plot.png")])
    assert isinstance(done.exception, errors.RmapwatchError)
    assert "No such file" in done.exception.why


def test_without_matplotlib_the_hint_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    done = CliRunner().invoke(app, ["ksm", "-o", "plot.png"])
    assert isinstance(done.exception, errors.RmapwatchError)
    assert done.exception.hint == "pip install 'rmapwatch[plot]'"
