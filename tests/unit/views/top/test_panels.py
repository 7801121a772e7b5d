"""A Frame as tables of cells: pure, so no terminal is needed."""

from dataclasses import replace

import pytest
from rmapwatch.collectors.frame import frame
from rmapwatch.views.top import panels
from rmapwatch.views.top.panels import PANELS, View, arranged, cells, kept
from samples import sample

WALKS, MAPS, PAYERS, RECLAIM, STALLS, DECISIONS, REFERENCES = PANELS[:7]
PROBES = PANELS[-1]
NOW = frame(sample(3_000_000_000, 3), sample(1_000_000_000, 1))


def column(panel: panels.Panel, name: str, row: panels.Row) -> object:
    return row[[each.name for each in panel.columns].index(name)]


def names(rows: list[panels.Row]) -> list[object]:
    return [row[0] for row in rows]


def test_walks_with_rate_means_and_quantiles() -> None:
    row = next(row for row in WALKS.rows(NOW) if row[:2] == ("reference", "anon"))
    assert column(WALKS, "walks", row) == 2018
    assert column(WALKS, "walks/s", row) == 1009
    assert column(WALKS, "vmas", row) == pytest.approx(4006 / 2018)
    assert column(WALKS, "vmas p99", row) == 1
    assert column(WALKS, "mean", row) == pytest.approx(0.01 / 2018)
    assert column(WALKS, "p99", row) == NOW.walks[1].p99
    assert cells(WALKS, row, 80) == [
        "reference", "anon", "2,018", "1,009", "2.0", "1", "10 ms", "4.96 us", "4.08 us",
    ]  # fmt: skip


def test_what_is_not_told_is_no_zero() -> None:
    damon = next(row for row in WALKS.rows(NOW) if row[0] == "damon")
    assert column(WALKS, "vmas", damon) is None
    assert cells(WALKS, damon, 80)[4:6] == ["-", "-"]
    first = frame(sample(1_000_000_000, 1))
    assert {column(WALKS, "walks/s", row) for row in WALKS.rows(first)} == {None}


def test_reclaim_stalls_decisions_and_references() -> None:
    assert cells(RECLAIM, RECLAIM.rows(NOW)[0], 80) == [
        "evict", "kswapd", "34", "986", "102", "34", "68 ms", "1.04 ms",
    ]  # fmt: skip
    assert cells(STALLS, STALLS.rows(NOW)[0], 80)[:3] == ["direct", "6", "3"]
    assert cells(DECISIONS, DECISIONS.rows(NOW)[0], 80) == ["anon", "keep", "62", "31"]
    assert cells(REFERENCES, REFERENCES.rows(NOW)[0], 80) == [
        "shrink_list", "anon", "one", "2,018", "1,009",
    ]  # fmt: skip


def test_probes_attached_and_missing() -> None:
    shown = {row[0]: cells(PROBES, row, 80)[1:] for row in PROBES.rows(NOW)}
    assert shown == {
        "rmap_walk_anon": ["3,351", "1", "rmap_walk_anon by fentry+fexit"],
        "step_unmap": ["-", "-", "try_to_unmap_one by fentry"],
        "step_migrate": ["-", "-", "missing: this kernel has no traceable try_to_migrate_one"],
    }


def test_a_row_once_seen_stays() -> None:
    quiet = replace(NOW, walks=NOW.walks[:1])
    rows = kept(WALKS, quiet, [row[:2] for row in WALKS.rows(NOW)])
    assert len(rows) == len(NOW.walks)
    assert [cells(WALKS, row, 80) for row in rows if row[0] == "reference"] == [
        ["reference", "anon", "0", "0", "-", "-", "0 ns", "-", "-"]
    ]
    assert kept(WALKS, NOW, [row[:2] for row in WALKS.rows(NOW)]) == WALKS.rows(NOW)


def test_the_largest_comes_first_and_names_by_the_alphabet() -> None:
    rows = WALKS.rows(NOW)
    assert names(arranged(WALKS, rows, View("time"))) == ["unmap", "reference", "damon"]
    assert names(arranged(WALKS, rows, View("walks"))) == ["reference", "unmap", "damon"]
    assert names(arranged(WALKS, rows, View("op"))) == ["damon", "reference", "unmap"]


def test_the_order_turned_round() -> None:
    rows = WALKS.rows(NOW)
    assert names(arranged(WALKS, rows, View("time", inverted=True))) == [
        "damon", "reference", "unmap",
    ]  # fmt: skip
    assert names(arranged(WALKS, rows, View("op", inverted=True))) == [
        "unmap", "reference", "damon",
    ]  # fmt: skip


@pytest.mark.parametrize("inverted", [False, True])
def test_what_is_not_known_comes_last(inverted: bool) -> None:
    assert names(arranged(WALKS, WALKS.rows(NOW), View("vmas", inverted)))[-1] == "damon"


@pytest.mark.parametrize(
    ("needle", "found"),
    [("", 3), ("ANON", 2), ("file", 1), ("ref", 1), ("2,018", 0), ("rain", 0)],
)
def test_the_filter(needle: str, found: int) -> None:
    assert len(arranged(WALKS, WALKS.rows(NOW), View("time", needle=needle))) == found


def test_the_filter_finds_what_is_missing() -> None:
    rows = arranged(PROBES, PROBES.rows(NOW), View("calls", needle="missing"))
    assert names(rows) == ["step_migrate"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_panel_fits_its_terminal(panel: panels.Panel) -> None:
    scrollbar = 1
    for terminal in (80, panels.WIDE):
        columns = panel.shown(terminal)
        whole = columns[:-1] if panel is PROBES else columns  # the reason goes on to the right
        assert sum(column.width + 1 for column in whole) + scrollbar <= terminal
    assert panel.sort in [column.name for column in panel.shown(80)]
    assert all(column.text for column in panel.columns[: panel.names])
