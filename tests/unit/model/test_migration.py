"""A page that is moved: how many VMAs the two walks enter, by how processes came to share it."""

import pytest
from rmapwatch.kernels.semantics import PRESETS
from rmapwatch.model.history import Write
from rmapwatch.model.migration import Entered, Kind, history, move, walks

LAB = ("v5.10", "v6.1", "v6.12", "v7.3")


@pytest.mark.parametrize("release", LAB)
@pytest.mark.parametrize("kind", Kind)
def test_both_walks_enter_every_process(release: str, kind: Kind) -> None:
    assert move(PRESETS[release], kind, 3) == Entered(3, 3)
    assert move(PRESETS[release], kind, 1) == Entered(1, 1)


@pytest.mark.parametrize("release", LAB)
def test_a_page_that_the_others_have_copied(release: str) -> None:
    copies = [Write(1, 0, 0), Write(2, 0, 0)]
    assert walks(PRESETS[release], [*history(Kind.ANON, 3), *copies]) == Entered(1, 3)


def test_a_ksm_page_could_not_be_moved_at_first() -> None:
    assert move(PRESETS["v2.6.32"], Kind.KSM, 3) == Entered(0, 0)
    assert move(PRESETS["v2.6.33"], Kind.KSM, 3) == Entered(3, 3)
