"""What the model is told of each kernel of the lab, from facts read in a guest of it."""

from pathlib import Path

import pytest
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.kernels.semantics import PRESETS, semantics_of

FACTS = sorted((Path(__file__).parents[1] / "data" / "facts").glob("*.json"))


@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.stem)
def test_the_facts_select_the_preset(path: Path) -> None:
    assert semantics_of(KernelFacts.from_json(path.read_text())) == PRESETS[f"v{path.stem}"]
