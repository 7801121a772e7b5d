"""The screen of `rmapwatch lab run`: what was seen, and whether it agrees with what must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..views.plain import ABSENT, duration, number

if TYPE_CHECKING:
    from .diff import Cause, Difference, Figure

_AGREE = {True: "yes", False: "NO", None: "calls were missed"}
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


def backends_agree(result: dict[str, Any]) -> bool:
    """Return whether a scenario ran, and no figure differs that both backends followed."""
    return "error" not in result and all(row["agrees"] is not False for row in result["figures"])


def comparison(result: dict[str, Any]) -> RenderableType:
    """Return what both backends counted of a scenario as a table."""
    title = f"{result['scenario']} on {result['kernel']}, {result['lru']} LRU"
    if "error" in result:
        return Text(f"{title}: {result['error']['what']}: {result['error']['why']}")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("figure", overflow="fold")
    for column in ("bcc", "ftrace", "agrees"):
        table.add_column(column, justify="right")
    for row in result["figures"]:
        verdict = _AGREE[row["agrees"]]
        table.add_row(row["figure"], number(row["bcc"]), number(row["ftrace"]), verdict)
    ours, theirs = (result["missed"][backend] for backend in ("bcc", "ftrace"))
    for probe in sorted({*ours, *theirs}):
        counts = (number(missed.get(probe, 0)) for missed in (ours, theirs))
        table.add_row(f"calls missed, {probe}", *counts, "")
    return table


def summary(results: list[dict[str, Any]]) -> RenderableType:
    """Return a line per scenario, and for each kernel how many rules hold of those exercised."""
    kernels = list(dict.fromkeys(result["kernel"] for result in results if "kernel" in result))
    table = Table(title="rules that hold", title_justify="left", box=None, pad_edge=False)
    table.add_column("scenario")
    table.add_column("LRU")
    for kernel in kernels:
        table.add_column(kernel, justify="right")
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for result in results:
        row = cells.setdefault((result["scenario"], result["lru"]), {})
        row[result.get("kernel", "")] = _held(result)
    for (scenario, lru), row in cells.items():
        table.add_row(scenario, lru, *(row.get(kernel, ABSENT) for kernel in kernels))
    return table


def _held(result: dict[str, Any]) -> str:
    if "error" in result:
        return "failed"
    exercised = [rule for rule in result["agreement"] if rule["agrees"] is not None]
    return f"{sum(rule['agrees'] for rule in exercised)} of {len(exercised)}"


def difference(found: Difference) -> RenderableType:
    """Return what differs between two kernels as tables."""
    title = Text(f"{found.scenario}: {found.one} and {found.other}")
    counts = [figure for figure in found.figures if not figure.is_time]
    times = [figure for figure in found.figures if figure.is_time]
    return Group(
        title,
        _figures("what was counted", counts, found, number),
        _figures("what it cost", times, found, duration),
        _causes(found.causes),
    )


def _figures(
    title: str,
    figures: Sequence[Figure],
    found: Difference,
    shown: Callable[[float | None], str],
) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("figure")
    for kernel in (found.one, found.other):
        table.add_column(kernel, justify="right")
    for figure in figures:
        name = " ".join((figure.section, *figure.labels, figure.name))
        table.add_row(name, shown(figure.one), shown(figure.other))
    return table


def _causes(causes: Sequence[Cause]) -> RenderableType:
    if not causes:
        return Text("no change that the two kernels differ by shows in this scenario")
    table = Table(title="changes that say so", title_justify="left", box=None, pad_edge=False)
    for column in ("change", "had by", "rules that hold with it alone"):
        table.add_column(column, overflow="fold")
    for cause in causes:
        told = f"{cause.change.since} {cause.change.commit} {cause.change.subject}"
        table.add_row(" ".join(told.split()), cause.kernel, "\n".join(cause.rules))
    return table


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
