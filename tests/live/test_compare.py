"""`rmapwatch lab compare` as a user types it: two observers of one guest count the same calls."""

import json

import pytest
from matrix import COMPARED

pytestmark = pytest.mark.lab

ABOUT = {
    "fork-dup": ("calls of copy_process", "chains copied by fork"),
    "lock-waits": ("waits for anon_vma write other", "waits for i_mmap read walk"),
}
"""Figures that a scenario is about: of each there must have been some."""


def test_both_backends_count_the_same(guests) -> None:
    done = guests.compared.result()
    assert done.returncode == 0, done.stderr
    found = {each["scenario"]: each for each in json.loads(done.stdout)["scenarios"]}
    assert tuple(found) == COMPARED == tuple(ABOUT)
    for name, about in ABOUT.items():
        figures = {row["figure"]: row for row in found[name]["figures"]}
        assert [row for row in figures.values() if row["agrees"] is False] == []
        for figure in about:
            assert figures[figure]["bcc"] > 0, figures.keys()
