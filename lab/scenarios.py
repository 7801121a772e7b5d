"""The scenarios of the lab: a workload whose counts are known, and the rules it must obey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import UsageError


@dataclass(frozen=True)
class Scenario:
    """
    A scenario: ``workload`` run with ``arguments`` once, or with ``endless`` for a live view.

    ``seed_rows``: which of the ten systems it provokes. ``rules``: the name in `agreement` of what
    must hold beside the rules for every run. ``swap_bytes``: compressed swap that it needs.
    """

    name: str
    summary: str
    seed_rows: tuple[int, ...]
    workload: str
    arguments: tuple[str, ...]
    endless: tuple[str, ...]
    rules: str
    swap_bytes: int = 0


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Scenario(
                name="fork-storm",
                summary="23 children copy 101 pages each of their parent; reclaim looks at all",
                seed_rows=(3,),
                workload="fork_storm",
                arguments=("--children", "23", "--pages", "101"),
                endless=("--children", "23", "--pages", "101", "--duration", "86400"),
                rules="fork_storm",
                swap_bytes=256 << 20,
            ),
        )
    }
)


def find(name: str) -> Scenario:
    """Return the scenario of that name; raise `UsageError` where there is none."""
    if name not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        hint = f"rmapwatch lab run {next(iter(SCENARIOS))}"
        raise UsageError(f"no scenario {name}", f"there are {known}", hint)
    return SCENARIOS[name]
