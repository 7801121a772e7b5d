"""What all tests share: the facts of the lab's kernels."""

from pathlib import Path

import pytest
from rmapwatch.kernels.facts import KernelFacts

FACTS = sorted((Path(__file__).parent / "data" / "facts").glob("*.json"))


@pytest.fixture(params=FACTS, ids=lambda path: path.stem)
def kernel_facts(request: pytest.FixtureRequest) -> KernelFacts:
    """The facts of each kernel of the lab, as saved from a guest."""
    return KernelFacts.from_json(request.param.read_text())
