import pytest
from rmapwatch.collectors.histograms import difference, quantile
from rmapwatch.probes.state import SLOTS, count_bound, duration_bound_ns


def slots(**counts: int) -> list[int]:
    found = [0] * SLOTS
    for slot, count in counts.items():
        found[int(slot[1:])] = count
    return found


def test_nothing_counted_has_no_quantile() -> None:
    assert quantile(0.5, [0] * SLOTS, count_bound) is None


def test_a_count_in_an_exact_slot_is_that_count() -> None:
    assert quantile(1.0, slots(s3=10), count_bound) == 3
    assert quantile(0.1, slots(s3=10), count_bound) == 3
    assert quantile(0.5, slots(s0=10), count_bound) == 0
    assert quantile(0.5, slots(s17=10), count_bound) == 24


def test_the_median_of_two_slots_lies_at_their_border() -> None:
    assert quantile(0.5, slots(s10=5, s11=5), duration_bound_ns) == 1 << 10


def test_the_last_slot_answers_with_its_lower_bound() -> None:
    assert quantile(0.99, slots(s35=1), duration_bound_ns) == 1 << 34


@pytest.mark.parametrize(("before", "expected"), [(None, (5, 7)), ([2, 7], (3, 0))])
def test_difference(before, expected) -> None:
    assert difference([5, 7], before) == expected
