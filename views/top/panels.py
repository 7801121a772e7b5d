"""A Frame as tables of cells: columns, rows, order and filter. Pure; knows no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ...collectors.frame import Frame
from ...collectors.readings import ProbeReading
from ..plain import duration, number

WIDE = 112
"""Terminal columns from which on the columns marked `wide` are shown too."""

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Column:
    """
    One column: ``width`` in characters, ``show`` from value to text.

    ``idle`` is the value in a row of which nothing occurred in the window: 0 of what is counted,
    None of what then has no meaning. ``wide``: shown on wide terminals alone.
    """

    name: str
    width: int
    show: Callable[[Any], str] = str
    idle: float | None = None
    wide: bool = False

    @property
    def text(self) -> bool:
        """Whether it names things; figures are set to the right, and sorted largest first."""
        return self.show is str


@dataclass(frozen=True)
class Panel:
    """A table of the screen. ``names``: how many leading columns tell one row from another."""

    name: str
    title: str
    names: int
    sort: str
    columns: tuple[Column, ...]
    rows: Callable[[Frame], list[Row]]

    def shown(self, width: int) -> tuple[Column, ...]:
        """Return the columns for a terminal of ``width`` characters."""
        return tuple(column for column in self.columns if not column.wide or width >= WIDE)

    def key(self, row: Row) -> Row:
        """Return what tells the row from others."""
        return row[: self.names]


@dataclass(frozen=True)
class View:
    """How a panel is looked at: by which column sorted, and the text that a row must have."""

    sort: str
    inverted: bool = False
    needle: str = ""


def kept(panel: Panel, frame: Frame, seen: Iterable[Row]) -> list[Row]:
    """Return the rows of `frame`, and an idle one for each key in `seen` that it lacks."""
    rows = panel.rows(frame)
    present = {panel.key(row) for row in rows}
    idle = tuple(column.idle for column in panel.columns[panel.names :])
    return rows + [(*key, *idle) for key in seen if key not in present]


def arranged(panel: Panel, rows: Iterable[Row], view: View) -> list[Row]:
    """Return the rows that the filter lets through, in order; what is not known comes last."""
    place = [column.name for column in panel.columns].index(view.sort)
    largest_first = panel.columns[place].text == view.inverted
    found = sorted((row for row in rows if _matches(panel, row, view.needle)), key=panel.key)
    known = [row for row in found if row[place] is not None]
    known.sort(key=lambda row: row[place], reverse=largest_first)
    return known + [row for row in found if row[place] is None]


def _matches(panel: Panel, row: Row, needle: str) -> bool:
    texts = (str(value) for value, c in zip(row, panel.columns, strict=True) if c.text)
    return needle.lower() in " ".join(texts).lower()


def cells(panel: Panel, row: Row, width: int) -> list[str]:
    """Return the texts of a row for a terminal of ``width`` characters."""
    pairs = zip(panel.columns, row, strict=True)
    shown = panel.shown(width)
    return [column.show(value) for column, value in pairs if column in shown]


def _over(total: float | None, count: float | None) -> float | None:
    return total / count if total is not None and count else None


def _walks(frame: Frame) -> list[Row]:
    return [
        (
            row.op, row.kind, row.walks, _over(row.walks, frame.seconds),
            _over(row.vmas, row.walks), row.vmas_p99,
            row.seconds, _over(row.seconds, row.walks), row.p99,
            row.p50, _over(row.ptes, row.walks), _over(row.looked_at, row.walks),
        )
        for row in frame.walks
    ]  # fmt: skip


def _batches(frame: Frame) -> list[Row]:
    return [
        (
            row.caller, row.reclaimer, row.batches, row.reclaimed, row.kept, row.activated,
            row.seconds, row.p99, _over(row.reclaimed, frame.seconds),
            _over(row.seconds, row.batches), row.dirty, row.writeback,
        )
        for row in frame.batches
    ]  # fmt: skip


def _stalls(frame: Frame) -> list[Row]:
    return [
        (
            row.reclaimer, row.calls, _over(row.calls, frame.seconds),
            row.seconds, _over(row.seconds, row.calls), row.p99,
        )
        for row in frame.stalls
    ]  # fmt: skip


def _decisions(frame: Frame) -> list[Row]:
    return [
        (row.lru, row.decision, row.checks, _over(row.checks, frame.seconds))
        for row in frame.decisions
    ]


def _references(frame: Frame) -> list[Row]:
    return [
        (row.caller, row.lru, row.result, row.checks, _over(row.checks, frame.seconds))
        for row in frame.references
    ]


def _probes(frame: Frame) -> list[Row]:
    return [(row.probe, row.entries, row.missed, _where(row)) for row in frame.probes]


def _where(row: ProbeReading) -> str:
    return f"{row.attached} by {row.mechanism}" if row.attached else f"missing: {row.reason}"


_DURATIONS = tuple(Column(name, 7, duration) for name in ("mean", "p99"))
_TIME = Column("time", 7, duration, idle=0.0)


def _count(name: str, width: int, wide: bool = False) -> Column:
    return Column(name, width, number, idle=0, wide=wide)


PANELS = (
    Panel("walks", "reverse-map walks", 2, "time", (
        Column("op", 9), Column("kind", 4), _count("walks", 10), _count("walks/s", 8),
        Column("vmas", 6, number), Column("vmas p99", 8, number), _TIME, *_DURATIONS,
        Column("p50", 7, duration, wide=True), Column("ptes", 6, number, wide=True),
        Column("looked at", 9, number, wide=True),
    ), _walks),
    Panel("reclaim", "reclaim, in pages", 2, "time", (
        Column("asked by", 8), Column("for", 9), _count("batches", 8), _count("reclaimed", 10),
        _count("kept", 9), _count("activated", 9), _TIME, Column("p99", 7, duration),
        _count("pages/s", 8, wide=True), Column("mean", 7, duration, wide=True),
        _count("dirty", 7, wide=True), _count("writeback", 9, wide=True),
    ), _batches),
    Panel("stalls", "calls for memory", 1, "time", (
        Column("by", 9), _count("calls", 8), _count("calls/s", 8), _TIME, *_DURATIONS,
    ), _stalls),
    Panel("decisions", "reference checks: decisions", 2, "checks", (
        Column("lru", 4), Column("decision", 16), _count("checks", 10), _count("checks/s", 8),
    ), _decisions),
    Panel("references", "reference checks: VMAs that had used the page", 3, "checks", (
        Column("asked by", 18), Column("lru", 4), Column("vmas", 6), _count("checks", 10),
        _count("checks/s", 8),
    ), _references),
    Panel("probes", "probes", 1, "calls", (
        Column("probe", 27), Column("calls", 10, number), Column("missed", 6, number),
        Column("attached to", 72),
    ), _probes),
)  # fmt: skip
