"""The verdict as a table, and as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .run import Verdict
from .verdict import Mismatch, Row

_ABSENT = "-"
_AGREES = {True: "yes", False: "NO", None: "not exercised"}


def as_json(verdict: Verdict, kernel: str) -> dict[str, Any]:
    """Return the verdict as JSON values: absent is null, `explained` a list of pairs."""
    return {
        "kernel": kernel,
        "agrees": verdict.agrees,
        "events": verdict.events,
        "rules": [dataclasses.asdict(row) for row in verdict.rows],
        "mismatches": [dataclasses.asdict(mismatch) for mismatch in verdict.mismatches],
    }


def screen(verdict: Verdict, kernel: str) -> RenderableType:
    """Return the verdict as a table, and below it the mismatches that nothing explains."""
    parts: list[RenderableType] = [Text(f"kernel {kernel}, {verdict.events:,} events")]
    parts.append(_table(verdict.rows))
    parts += [_mismatch(mismatch) for mismatch in verdict.mismatches]
    told, all_of_them = len(verdict.mismatches), sum(row.mismatches for row in verdict.rows)
    if told < all_of_them:
        parts.append(Text(f"and {all_of_them - told:,} mismatches more"))
    return Group(*parts)


def _table(rows: tuple[Row, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("rule", overflow="fold")
    for column in ("unit", "predicted", "observed", "agrees"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for row in rows:
        table.add_row(
            "; ".join([row.rule, *map(_reason, row.explained)]),
            row.unit,
            _number(row.predicted),
            _number(row.observed),
            _AGREES[row.agrees],
        )
    return table


def _reason(reason: tuple[str, int]) -> str:
    why, count = reason
    return f"{why}: {count:,}" if count else why


def _number(value: int | None) -> str:
    return _ABSENT if value is None else f"{value:,}"


def _mismatch(found: Mismatch) -> Text:
    where = "total" if found.seq is None else f"{found.event} event {found.seq}"
    return Text(
        f"{where}: {found.rule}\n  model: {found.model}\n  observed: {found.observed}\n"
        f"  source: {found.source}"
    )
