from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from rmapwatch.errors import RmapwatchError, UsageError
from rmapwatch.lab import guest, workloads


def test_there_is_the_storm() -> None:
    assert "fork_storm" in workloads.names()


def test_unknown_workload(cache: Path) -> None:
    with pytest.raises(UsageError, match="fork_storm"):
        workloads.build("no_such")


def test_no_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RmapwatchError, match="no C compiler") as error:
        workloads.build("fork_storm")
    assert "sudo apt install gcc" in error.value.hint


def test_built_once_and_refuses_nonsense(cache: Path) -> None:
    program = workloads.build("fork_storm")
    built = program.stat().st_mtime_ns
    assert workloads.build("fork_storm").stat().st_mtime_ns == built
    done = subprocess.run([program, "--pages", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: fork_storm" in done.stderr


@pytest.mark.parametrize("name", workloads.names())
def test_each_says_how_it_is_used(cache: Path, name: str) -> None:
    program = workloads.build(name)
    done = subprocess.run([program, "--no-such"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"usage: {name}" in done.stderr


def test_a_failed_build_leaves_no_program(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "_FLAGS", ("-no-such-flag",))
    with pytest.raises(RmapwatchError, match="cannot be built"):
        workloads.build("fork_storm")
    assert list((cache / "workloads").iterdir()) == []


def test_this_machine_is_no_guest(tmp_path: Path) -> None:
    for change in (
        guest.count_program_runs,
        lambda: guest.zram_swap(1),
        lambda: guest.reclaim(tmp_path, 1),
    ):
        with pytest.raises(RmapwatchError, match="no guest of the lab"):
            change()


@pytest.fixture
def _as_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "control").touch()
    monkeypatch.setattr(guest, "_CONTROL", tmp_path / "control")
    monkeypatch.setattr(guest, "_CGROUPS", tmp_path)


@pytest.mark.usefixtures("_as_guest")
def test_reclaim_by_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("100\n")
    (tmp_path / "memory.high").write_text("")
    assert guest.reclaim(tmp_path, 30) == "memory.high"
    assert (tmp_path / "memory.high").read_text() == "max"
    (tmp_path / "memory.reclaim").write_text("")
    assert guest.reclaim(tmp_path, 30) == "memory.reclaim"
    assert (tmp_path / "memory.reclaim").read_text() == "30"


@pytest.mark.usefixtures("_as_guest")
def test_cgroup_goes_with_its_block(tmp_path: Path) -> None:
    with guest.cgroup("storm") as path:
        assert path.is_dir()
        assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
    assert not path.exists()


def test_vmstat() -> None:
    assert guest.vmstat()["nr_free_pages"] > 0
