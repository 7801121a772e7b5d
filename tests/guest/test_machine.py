"""The machine that all of this runs on: what numpy answers there is what Python answers."""

import random

import numpy as np
import pytest


@pytest.mark.parametrize("dtype", ["u8", "i8", "f8", "u4", "i4", "f4", "u2"])
def test_numpy_sorts_as_python_does(dtype: str) -> None:
    """An emulator may execute what numpy uses only where a processor has it, and wrongly."""
    chance = random.Random(dtype)
    for size in (5, 14, 33, 64, 101, 128, 257, 1000):
        for _ in range(5):
            numbers = [chance.randrange(1 << 15) for _ in range(size)]
            array = np.array(numbers, dtype)
            order = np.argsort(array)
            assert sorted(order.tolist()) == list(range(size))
            assert array[order].tolist() == sorted(numbers)
            assert np.sort(array).tolist() == sorted(numbers)
            assert np.unique(array, return_inverse=True)[0].tolist() == sorted(set(numbers))
            asked = np.array([chance.randrange(1 << 15) for _ in range(14)], dtype)
            found = np.isin(asked, array).tolist()
            assert found == [number in set(numbers) for number in asked.tolist()]
