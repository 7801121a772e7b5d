"""A page that is moved: how many VMAs the two walks enter, by how processes came to share it."""

import pytest
from rmapwatch.kernels.semantics import PRESETS
from rmapwatch.model.migration import Entered, Kind, move

LAB = ("v5.10", "v6.1", "v6.12", "v7.3")


@pytest.mark.parametrize("release", LAB)
@pytest.mark.parametrize("kind", Kind)
def test_both_walks_enter_every_process(release: str, kind: Kind) -> None:
    assert move(PRESETS[release], kind, 3) == Entered(3, 3)
    assert move(PRESETS[release], kind, 1) == Entered(1, 1)


def test_a_ksm_page_could_not_be_moved_at_first() -> None:
    assert move(PRESETS["v2.6.32"], Kind.KSM, 3) == Entered(0, 0)
    assert move(PRESETS["v2.6.33"], Kind.KSM, 3) == Entered(3, 3)
