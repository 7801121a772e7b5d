"""The screen of `rmapwatch lab run`: what was seen, and whether it agrees with what must be."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..views.plain import ABSENT, duration, number

_VERDICT = {True: "yes", False: "NO", None: "not exercised"}


def agrees(result: dict[str, Any]) -> bool:
    """Return whether a scenario ran and no rule was broken."""
    if "error" in result:
        return False
    return all(rule["agrees"] is not False for rule in result["agreement"])


def screen(result: dict[str, Any]) -> RenderableType:
    """Return the result of a run as tables."""
    if "error" in result:
        return Text(f"{result['scenario']}: {result['error']['what']}: {result['error']['why']}")
    title = (
        f"{result['scenario']} on {result['kernel']}, {result['lru']} LRU,"
        f" backend {result['backend']}"
    )
    lost = result["events"]
    told = f"events: {lost['produced']} produced, {lost['received']} received, {lost['lost']} lost"
    return Group(Text(title), _walks(result["walks"]), _rules(result["agreement"]), Text(told))


def _walks(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="reverse-map walks", title_justify="left", box=None, pad_edge=False)
    for place, column in enumerate(("op", "kind", "walks", "vmas", "ptes", "time", "p50", "p99")):
        table.add_column(column, justify="left" if place < 2 else "right")
    for row in rows:
        counts = [number(row[key]) for key in ("walks", "vmas", "ptes")]
        times = [duration(row[key]) for key in ("seconds", "p50", "p99")]
        table.add_row(row["op"], row["kind"], *counts, *times)
    return table


def _rules(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="agreement", title_justify="left", box=None, pad_edge=False)
    table.add_column("rule", overflow="fold")
    for column in ("predicted", "observed", "agrees"):
        table.add_column(column, justify="right")
    for row in rows:
        observed = ABSENT if row["observed"] is None else number(row["observed"])
        rule = "; ".join([row["rule"], *(f"{why}: {count}" for why, count in row["explained"])])
        table.add_row(rule, number(row["predicted"]), observed, _VERDICT[row["agrees"]])
    return table
