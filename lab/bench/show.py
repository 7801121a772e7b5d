"""A bench's result on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from .starts import FIGURES


def screen(found: Mapping[str, Any]) -> RenderableType:
    """Return the rows, the growth and the bars as tables."""
    return Group(_rows(found), _growth(found), _bars(found))


def starts(found: Mapping[str, Any]) -> Table:
    """Return what starts take as a table."""
    title = f"on the CPU from the command to its first figures, {found['release']}"
    table = Table(title=title, title_justify="left")
    for column in ("command", *FIGURES.values(), "holds"):
        table.add_column(column)
    for row in found["starts"]:
        table.add_row(row["command"], *start_cells(row))
    return table


def start_cells(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield a command's figures with their ratios, and whether these hold."""
    for figure in FIGURES:
        took, ratio = row["seconds"][figure], row["ratio"][figure]
        yield "-" if took is None else f"{took:.1f} s" + (f" ({ratio:.2f})" if ratio else "")
    yield f"not measured: {row['reason']}" if row["reason"] else _said(row["holds"])


def _said(holds: bool | None) -> str:
    return "-" if holds is None else "yes" if holds else "NO"


def span(row: Mapping[str, Any], figure: str, digits: int = 0) -> str:
    """Return a figure with its interval; ``-`` where there is none."""
    if row[figure] is None:
        return "-"
    low, high = row["low"][figure], row["high"][figure]
    return f"{row[figure]:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def _rows(found: Mapping[str, Any]) -> Table:
    table = Table(title=f"instructions that are added, {found['release']}", title_justify="left")
    table.add_column("variant")
    table.add_column("a walk", justify="right")
    table.add_column("a step", justify="right")
    table.add_column("tells")
    for row in found["rows"]:
        told = f"not measured: {row['reason']}" if row["reason"] else row["tells"]
        table.add_row(row["name"], span(row, "per_walk"), span(row, "per_step", 1), told)
    return table


def _growth(found: Mapping[str, Any]) -> Table:
    names = [key for key in found["growth"][0] if key not in ("load", "steps", "base")]
    table = Table(title="a walk by its length: measured, by the line", title_justify="left")
    for column in ("load", "steps", "base", *names):
        table.add_column(column, justify="left" if column == "load" else "right")
    for row in found["growth"]:
        cells = (f"{row[name]['median']:,.0f}, {row[name]['line']:,.0f}" for name in names)
        table.add_row(row["load"], f"{row['steps']:g}", f"{row['base']:,.0f}", *cells)
    return table


def _bars(found: Mapping[str, Any]) -> Table:
    table = Table(title="bars", title_justify="left")
    for column in ("bar", "ratio", "holds"):
        table.add_column(column)
    for cells in bar_cells(found["bars"]):
        table.add_row(*cells)
    return table


def bar_cells(bars: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield of each bar what it says, the ratio with its interval, and whether it holds."""
    for bar in bars:
        figure = bar["figure"].replace("per_", "a ")
        what = f"{bar['variant']} at most {bar['bound']:g} of {bar['other']}, {figure}"
        ratio = bar["ratio"]
        if ratio is None:
            yield what, "-", "not measured"
        else:
            span_ = f"{ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]"
            yield what, span_, _said(bar["holds"])
