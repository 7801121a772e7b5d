"""A replayed recording keeps the pace at which it was taken, from the first scrape on."""

import samples
from rmapwatch.exporters.replay import Replayed


def test_the_clock_starts_with_the_first_scrape_and_the_last_sample_stays() -> None:
    now = [1000.0]
    taken = [samples.sample(time_ns, 1) for time_ns in (5_000, 2_000_005_000, 3_000_005_000)]
    latest = Replayed(iter(taken), lambda: now[0])
    seen = []
    for at in (1007.0, 1008.9, 1009.0, 1009.5, 1011.0, 9999.0):
        now[0] = at
        seen.append(taken.index(latest()))
    assert seen == [0, 0, 1, 1, 2, 2]


def test_a_scrape_that_comes_late_skips() -> None:
    now = [0.0]
    taken = [samples.sample(n * 10**9, 1) for n in range(5)]
    latest = Replayed(iter(taken), lambda: now[0])
    latest()
    now[0] = 3.2
    assert latest() is taken[3]
