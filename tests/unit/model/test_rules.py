"""The catalogue of rules: complete, and its commits are known."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from rmapwatch.kernels.changes import CHANGES
from rmapwatch.kernels.semantics import PRESETS, Semantics, changes_setting
from rmapwatch.model import rules
from rmapwatch.model.rules import RULES, Rule

MODEL = Path(rules.__file__).parent
BY_NAME = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@BY_NAME
def test_every_case_has_an_outcome_on_some_kernel(rule: Rule) -> None:
    for labels, values in rule.cases():
        outcomes = [rule.outcome(semantics, **values) for semantics in PRESETS.values()]
        assert any(outcomes) or "yes" in labels, labels


@BY_NAME
def test_a_rule_depends_on_the_fields_that_it_names_alone(rule: Rule) -> None:
    """A change that sets none of them leaves every outcome as it was."""
    assert set(rule.fields) <= {field.name for field in dataclasses.fields(Semantics)}
    assert changes_setting(*rule.fields)
    newest = PRESETS["v7.3"]
    for field in dataclasses.fields(Semantics):
        if field.name in (*rule.fields, *ALWAYS_ASKED.get(rule.name, ())):
            continue
        other = dataclasses.replace(newest, **{field.name: field.default})
        for labels, values in rule.cases():
            assert rule.outcome(other, **values) == rule.outcome(newest, **values), (
                field.name,
                labels,
            )


# What a rule asks to know whether it applies, or takes from another rule.
ALWAYS_ASKED = {
    "The reference check": ("mglru", "exiting_owner_gives_up"),
    "The reference check under MGLRU": (
        "used_once", "locked", "contended_walk_gives_up", "exiting_owner_gives_up",
    ),
    "The reference walk": ("locked",),
    "Walks of a KSM page": ("cow", "linking"),
    "Memory failure: type and result": ("simulated_flag",),
    "Memory failure: signals": ("memory_failure", "hwpoison_injectors"),
    "Walks of a fork storm": ("large_reuse",),
}  # fmt: skip


def test_every_commit_that_the_model_cites_is_in_the_table_of_changes() -> None:
    known = {change.commit for change in CHANGES.values()}
    for file in MODEL.glob("*.py"):
        for commit in re.findall(r"\b[0-9a-f]{12}\b", file.read_text()):
            assert commit in known, f"{file.name}: {commit}"


def test_the_subject_that_a_comment_quotes_is_the_commits() -> None:
    by_commit = {change.commit: change for change in CHANGES.values()}
    quoted = re.compile(r'commit ([0-9a-f]{12})\s+\("(.*?)"[,)]')
    for file in MODEL.glob("*.py"):
        text = re.sub(r"\n\s*#? *", " ", file.read_text())
        for commit, subject in quoted.findall(text):
            assert subject == by_commit[commit].subject, file.name


def test_no_rule_knows_a_release() -> None:
    """Releases are for people: nothing but comments and texts names one."""
    for file in MODEL.glob("*.py"):
        assert "PRESETS" not in file.read_text(), file.name
