"""Scenarios in another size, and the machine that they need."""

import pytest
from rmapwatch.errors import UsageError
from rmapwatch.lab import scenarios
from rmapwatch.lab.qemu import Machine
from rmapwatch.lab.run import fitting

MIGRATE, STORM = scenarios.find("migrate"), scenarios.find("fork-storm")


def test_another_form_has_other_arguments_and_the_same_rules() -> None:
    long = scenarios.formed(MIGRATE, "long")
    assert long.arguments != MIGRATE.arguments
    assert (long.name, long.rules, long.far) == (MIGRATE.name, MIGRATE.rules, MIGRATE.far)
    assert scenarios.formed(MIGRATE, "") == MIGRATE


def test_one_without_that_form_stays_as_it_is() -> None:
    assert scenarios.formed(STORM, "long") == STORM


def test_a_second_node_only_where_a_scenario_asks_for_one() -> None:
    assert fitting(Machine(), [STORM], "") == Machine()
    assert fitting(Machine(), [STORM, MIGRATE], "") == Machine(far=MIGRATE.far)


def test_the_long_form_has_memory_and_time() -> None:
    machine = fitting(Machine(), [STORM, MIGRATE], "long")
    assert machine.memory == machine.far == MIGRATE.forms["long"].memory
    assert machine.timeout_s > Machine().timeout_s
    short = fitting(Machine(), [MIGRATE], "short")
    assert short == Machine(far=MIGRATE.far)


def test_a_form_that_none_of_them_has() -> None:
    with pytest.raises(UsageError, match="no long form of any of these"):
        fitting(Machine(), [STORM], "long")
    with pytest.raises(UsageError, match="there are: long, short"):
        fitting(Machine(), [STORM, MIGRATE], "huge")
