"""A workload that takes longer than it may is ended, with whom it forked."""

import json
import time
from pathlib import Path

import pytest
from rmapwatch.errors import RmapwatchError
from rmapwatch.lab import agent


class Tape:
    """Stands for what records meanwhile: nothing comes."""

    def step(self) -> bool:
        return False


def test_over_its_budget(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid}; wait"
    with pytest.raises(RmapwatchError, match="over its budget: it took more"):
        agent._workload(["sh", "-c", script], Tape().step, tmp_path / "ledger", 0.5)
    stat, end = Path(f"/proc/{pid.read_text().strip()}/stat"), time.monotonic() + 20
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.01)


def test_within_its_budget(tmp_path: Path) -> None:
    told = {"workload": "none"}
    command = ["echo", json.dumps(told)]
    assert agent._workload(command, Tape().step, tmp_path / "ledger", 60) == told
