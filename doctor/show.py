"""The tables of `rmapwatch doctor`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .checks import Check

if TYPE_CHECKING:
    from .selftest import Rule


def screen(rows: list[Check]) -> RenderableType:
    """Return the checks as a table, and below it what can be pasted."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("check", "state", "why"):
        table.add_column(column, no_wrap=column != "why", overflow="fold")
    for row in rows:
        table.add_row(row.check, row.state.value, row.why)
    hints = [Text(f"{row.check}: {row.hint}", overflow="fold") for row in rows if row.hint]
    return Group(table, *([Text("\nto mend it"), *hints] if hints else []))


def rules(rows: Iterable[Rule]) -> RenderableType:
    """Return the rules of the self-test as a table."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("rule", "predicted", "observed", "agrees"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for row in rows:
        agrees = "yes" if row.agrees else "NO"
        table.add_row(row.rule, f"{row.predicted:,}", f"{row.observed:,}", agrees)
    return table


def as_json(rows: Iterable[Check], tested: Iterable[Rule] | None) -> dict[str, Any]:
    """Return both as JSON; the self-test is null where it was not asked for."""
    return {
        "checks": [
            {"check": row.check, "state": row.state.value, "why": row.why, "hint": row.hint or None}
            for row in rows
        ],
        "self_test": None
        if tested is None
        else [
            {
                "rule": row.rule,
                "predicted": row.predicted,
                "observed": row.observed,
                "agrees": row.agrees,
            }
            for row in tested
        ],
    }
