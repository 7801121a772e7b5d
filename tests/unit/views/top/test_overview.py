"""The head of the screen: rates, their past, kernel threads, coverage."""

from dataclasses import replace

from rmapwatch.collectors.frame import frame
from rmapwatch.views.top import overview
from rmapwatch.views.top.overview import Rates, sparkline
from samples import sample

NOW = frame(sample(3_000_000_000, 3), sample(1_000_000_000, 1))


def attached(*probes: str) -> list:
    """The probes of NOW, those named attached and no others."""
    one = NOW.probes[0]
    return [replace(one, probe=probe, attached=probe) for probe in probes]


def test_rates() -> None:
    seen = replace(NOW, probes=attached("rmap_walk_anon", "reclaim_batch", "reclaim_direct"))
    rates = overview.rates(seen)
    assert rates.walks == 1009 + 101 + 7
    assert rates.walking == sum(row.seconds for row in NOW.walks) / 2
    assert rates.reclaimed == 493
    assert rates.stalled == 0.009


def test_kswapd_is_no_stall() -> None:
    stalls = [replace(NOW.stalls[0], reclaimer="kswapd")]
    seen = replace(NOW, stalls=stalls, probes=attached("reclaim_direct"))
    assert overview.rates(seen).stalled == 0


def test_what_no_probe_tells_is_unknown() -> None:
    assert overview.rates(replace(NOW, probes=[])) == Rates(None, None, None, None)
    assert overview.rates(replace(NOW, seconds=None)) == Rates(None, None, None, None)
    walks_alone = overview.rates(replace(NOW, probes=attached("rmap_walk_file")))
    assert walks_alone.walks is not None
    assert walks_alone.reclaimed is None
    assert walks_alone.stalled is None


def test_sparklines_start_at_zero() -> None:
    assert sparkline([0, 50, 100], 9) == "▁▄█"
    assert sparkline([99, 100], 9) == "██"
    assert sparkline([0, 0], 9) == "▁▁"
    assert sparkline([], 9) == ""


def test_sparklines_show_the_last_that_fit_and_gaps() -> None:
    assert sparkline([1000, 1, None, 8], 3) == "▁ █"
    assert sparkline([1, 2], 0) == ""


def test_the_head_fits_its_terminal() -> None:
    past = [Rates(123_456_789.0, 0.123, 987_654_321.0, None)] * 300
    for width in (80, 120, 41):
        lines = overview.head(NOW, past, {"kswapd0": 0.5}, "every 2 s", width).splitlines()
        assert len(lines) == 4
        assert all(len(line) <= max(width, 70) for line in lines)
    wide = overview.head(NOW, past, None, "every 2 s", 80).splitlines()
    assert wide[0].startswith("rmapwatch  6.1.0-test  bcc  last 2.0 s  ")
    assert wide[0].endswith("  every 2 s")
    assert len(wide[0]) == 80
    assert wide[1].startswith("walks/s     123,456,789 ███")
    assert wide[2].endswith(" in stalls             -")


def test_threads_of_the_kernel() -> None:
    assert overview.cpu({"kswapd0": 0.934, "ksmd": 0.0}) == "ksmd 0%  kswapd0 93%"
    assert overview.cpu({}) == overview.cpu(None) == "kswapd -  ksmd -"


def test_coverage() -> None:
    lost = 3 * len(NOW.events)
    assert overview.coverage(NOW) == f"probes 2 of 3  calls missed 1  events lost {lost}"
    unknown = replace(NOW, probes=[row for row in NOW.probes if row.missed is None])
    assert "calls missed -" in overview.coverage(unknown)
