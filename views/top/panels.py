"""A Frame as tables of cells: columns, rows, order and filter. Pure; knows no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ...collectors.frame import Frame
from ...collectors.readings import ProbeReading
from .. import plain
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
    idle: float | str | None = None
    wide: bool = False

    @property
    def text(self) -> bool:
        """Whether it names things; figures are set to the right, and sorted largest first."""
        return self.show is str


@dataclass(frozen=True)
class Panel:
    """
    A table of the screen. ``names``: how many leading columns tell one row from another. ``rare``:
    not there before it has a row. ``most``: shows so many rows at most, and none that has gone; 0
    for all, those that have gone as idle.
    """

    name: str
    title: str
    names: int
    sort: str
    columns: tuple[Column, ...]
    rows: Callable[[Frame], list[Row]]
    rare: bool = False
    most: int = 0

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
    if panel.most:
        return rows
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
    known += [row for row in found if row[place] is None]
    return known[: panel.most or None]


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


def _maps(frame: Frame) -> list[Row]:
    return [
        (
            row.kind, row.map or "others", plain.owner(row), row.walks,
            _over(row.vmas, row.walks), row.seconds, _over(row.seconds, row.walks), row.longest,
            _over(row.walks, frame.seconds),
        )
        for row in frame.maps
    ]  # fmt: skip


def _payers(frame: Frame) -> list[Row]:
    return [
        (
            row.command, row.reclaimer or plain.ABSENT, row.cgroup or plain.ABSENT, row.walks,
            _over(row.walks, frame.seconds), row.seconds, _over(row.seconds, row.walks),
        )
        for row in frame.payers
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


def _ksm(frame: Frame) -> list[Row]:
    told = [(row.event, row.pages) for row in frame.ksm_pages]
    told += [(f"swapped in, {row.outcome}", row.pages) for row in frame.ksm_swapins]
    return [(what, pages, _over(pages, frame.seconds)) for what, pages in told]


def _failures(frame: Frame) -> list[Row]:
    return [(row.page_type, row.result, row.failures) for row in frame.failures]


def _handled(frame: Frame) -> list[Row]:
    return [
        (row.handler, row.calls, row.errors, row.seconds, _over(row.seconds, row.calls), row.p99)
        for row in frame.handled
    ]


def _signals(frame: Frame) -> list[Row]:
    return [(row.signal, row.code, row.signals) for row in frame.signals]


def _migrations(frame: Frame) -> list[Row]:
    return [
        (
            row.reason, row.calls, row.succeeded, row.failed, row.split, row.seconds,
            _over(row.seconds, row.calls), row.p99,
        )
        for row in frame.migrations
    ]  # fmt: skip


def _waits(frame: Frame) -> list[Row]:
    return [
        (
            row.lock, row.mode, row.during, row.waits, row.seconds,
            _over(row.seconds, row.waits), row.p99,
        )
        for row in frame.lock_waits
    ]  # fmt: skip


def _forks(frame: Frame) -> list[Row]:
    return [
        (row.step, row.calls, row.errors, row.seconds, _over(row.seconds, row.calls), row.p99)
        for row in frame.forks
    ]


def _clones(frame: Frame) -> list[Row]:
    return [
        (
            row.cloner, row.calls, _over(row.links, row.calls), row.links_p99, row.seconds,
            _over(row.seconds, row.calls), row.p99,
        )
        for row in frame.clones
    ]  # fmt: skip


def _cow(frame: Frame) -> list[Row]:
    return [
        (row.page, row.outcome, row.faults, _over(row.faults, frame.seconds))
        for row in frame.cow_faults
    ]


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
    Panel("maps", "hottest maps: whose memory walks are about", 2, "time", (
        Column("kind", 4), Column("map", 8), Column("first entered", 23, idle=plain.ABSENT),
        _count("walks", 9), Column("vmas", 6, number), _TIME, Column("mean", 7, duration),
        Column("longest", 7, duration), _count("walks/s", 8, wide=True),
    ), _maps, rare=True, most=10),
    Panel("payers", "who walks", 3, "time", (
        Column("thread", 15), Column("for", 9), Column("cgroup", 16), _count("walks", 10),
        _count("walks/s", 8), _TIME, Column("mean", 7, duration),
    ), _payers, rare=True, most=10),
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
    Panel("ksm", "KSM, in pages", 1, "pages", (
        Column("what", 24), _count("pages", 10), _count("pages/s", 8),
    ), _ksm, rare=True),
    Panel("cow", "copy on write", 2, "faults", (
        Column("page", 14), Column("outcome", 10), _count("faults", 10), _count("faults/s", 8),
    ), _cow, rare=True),
    Panel("forks", "forks", 1, "time", (
        Column("step", 20), _count("calls", 10), _count("errors", 8), _TIME, *_DURATIONS,
    ), _forks, rare=True),
    Panel("clones", "chains of anon_vmas copied", 1, "time", (
        Column("by", 12), _count("calls", 10), Column("links", 7, number),
        Column("links p99", 9, number), _TIME, *_DURATIONS,
    ), _clones, rare=True),
    Panel("migrations", "migration, in pages", 1, "time", (
        Column("why", 16), _count("calls", 8), _count("moved", 9), _count("failed", 7),
        _count("split", 6), _TIME, *_DURATIONS,
    ), _migrations, rare=True),
    Panel("waits", "waits for locks of the reverse map", 3, "time", (
        Column("lock", 8), Column("to", 5), Column("inside of", 9), _count("waits", 8), _TIME,
        *_DURATIONS,
    ), _waits, rare=True),
    Panel("failures", "memory failures", 2, "count", (
        Column("page", 30), Column("result", 12), _count("count", 8),
    ), _failures, rare=True),
    Panel("handled", "memory failures: handlers", 1, "time", (
        Column("what", 16), _count("calls", 8), _count("errors", 7), _TIME, *_DURATIONS,
    ), _handled, rare=True),
    Panel("signals", "memory failures: signals", 2, "count", (
        Column("signal", 8), Column("code", 14), _count("count", 8),
    ), _signals, rare=True),
    Panel("probes", "probes", 1, "calls", (
        Column("probe", 27), Column("calls", 10, number), Column("missed", 6, number),
        Column("attached to", 72),
    ), _probes),
)  # fmt: skip
