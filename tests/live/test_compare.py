"""`rmapwatch lab compare` as a user types it: two observers of one guest count the same calls."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from matrix import KERNELS

pytestmark = pytest.mark.lab

SCENARIOS = ("fork-dup", "lock-waits")
SEEN = {
    "fork-dup": ("calls of copy_process", "chains copied by fork"),
    "lock-waits": ("waits for anon_vma write other", "waits for i_mmap read walk"),
}
"""Figures that a scenario is about: of each there must have been some."""


def test_both_backends_count_the_same() -> None:
    command = [Path(sys.executable).with_name("rmapwatch"), "lab", "compare", *SCENARIOS]
    done = subprocess.run(
        [*command, "--kernel", KERNELS[0], "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = {each["scenario"]: each for each in json.loads(done.stdout)["scenarios"]}
    assert tuple(found) == SCENARIOS
    for name, about in SEEN.items():
        figures = {row["figure"]: row for row in found[name]["figures"]}
        assert [row for row in figures.values() if row["agrees"] is False] == []
        for figure in about:
            assert figures[figure]["bcc"] > 0, figures.keys()
