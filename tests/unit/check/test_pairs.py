"""Which walk a check made: by its end and its thread, in whatever order checks are told."""

import numpy as np
import pytest
from rmapwatch.check.pairs import Walked, pair
from rmapwatch.check.walks import OP
from rmapwatch.check.windows import Window

WALKS = ((10, 1), (20, 2), (30, 1), (40, 2))
"""When each ended, and its thread."""


def window(checks: list[tuple[int, int]]) -> Window:
    times, tids = (np.array(each, np.uint64) for each in zip(*WALKS, strict=True))
    seq = np.arange(len(WALKS))
    walks = {"seq": seq, "time": times, "tid": tids, "pfn": times, "vmas": seq, "flags": seq}
    walks["op"] = np.full(len(WALKS), OP["reference"])
    ended, by = (np.array(each, np.uint64) for each in zip(*checks, strict=True))
    told = {"seq": np.arange(len(checks)) + 100, "walk": ended, "tid": by}
    return {"walk": walks, "reference": told}


@pytest.mark.parametrize(
    "checks",
    [
        [(10, 1), (20, 2), (30, 1), (40, 2)],
        [(20, 2), (30, 1)],
        [(10, 1), (30, 1), (20, 2)],
        [(40, 2), (10, 1)],
        [(10, 1), (30, 1), (40, 2)],
    ],
    ids=["all in step", "some in step", "in another order", "the last first", "one left out"],
)
def test_each_check_finds_its_walk(checks: list[tuple[int, int]]) -> None:
    left, paired, found, there = pair(Walked(), window(checks))
    assert there.all()
    assert found["time"].tolist() == paired["walk"].tolist() == [time for time, _ in checks]
    assert set(left.walks["time"].tolist()) == {time for time, _ in WALKS} - {t for t, _ in checks}


@pytest.mark.parametrize(
    ("checks", "there"),
    [
        ([(10, 1), (20, 1), (30, 1)], [True, False, True]),
        ([(10, 1), (25, 2)], [True, False]),
        ([(50, 1)], [False]),
    ],
    ids=["of another thread", "at no walk's end", "after all walks"],
)
def test_a_check_without_a_walk(checks: list[tuple[int, int]], there: list[bool]) -> None:
    left, _, _, found = pair(Walked(), window(checks))
    assert found.tolist() == there
    taken = [time for (time, _), known in zip(checks, there, strict=True) if known]
    assert set(left.walks["time"].tolist()) == {time for time, _ in WALKS} - set(taken)
