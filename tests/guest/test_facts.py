"""The saved facts of this kernel are what it says and answers now."""

import dataclasses
import os
from pathlib import Path

from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.views import explain

SAVED = Path(__file__).parents[1] / "data" / "facts"


def test_the_saved_facts_hold() -> None:
    series = os.environ["RMAPWATCH_SERIES"]
    now = explain.facts_here()
    saved = KernelFacts.from_json((SAVED / f"{series}.json").read_text())
    # A distribution's update keeps the series: what may differ is its name, nothing else.
    same_name = dataclasses.replace(saved, release=now.release, version=now.version)
    assert now.to_json() == same_name.to_json(), f"rmapwatch lab facts --kernel {series}"
