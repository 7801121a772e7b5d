"""A bench's result: what was measured, and the rows and bars that derive from it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ...errors import RmapwatchError
from . import loads
from .figures import BARS, ROUNDS, Cost, Held, Interval, added, cost, held
from .variants import BASE, VARIANTS

Raw = Mapping[str, Any]
"""What the guest has left."""

FIGURES = ("per_walk", "per_step")


def whole(raw: Raw) -> dict[str, Any]:
    """Return what ``--json`` prints: rows and bars, and all that they were made from."""
    require_exact(raw)
    return {
        **{key: value for key, value in raw.items() if key != "variants"},
        "rows": list(rows(raw)),
        "bars": [
            {**asdict(each.bar), "ratio": _dict(each.ratio), "holds": each.holds}
            for each in bars(raw)
        ],
        "growth": list(growth(raw)),
        "variants": raw["variants"],
    }


def costs(raw: Raw) -> dict[str, Cost]:
    """Return what each variant adds that could be measured; of the base, what it takes itself."""
    steps = {load.name: raw["steps"][load.name] for load in loads.FITTED}
    measured = {row["name"]: row["rounds"] for row in raw["variants"] if row["rounds"]}
    base = measured[BASE]
    return {
        name: cost(rounds, None if name == BASE else base, steps, raw["walks"])
        for name, rounds in measured.items()
    }


def rows(raw: Raw) -> Iterator[dict[str, Any]]:
    """
    Yield a row for each variant: instructions a walk and a step, with the interval of each.

    None where it could not be measured; then ``reason`` says why.
    """
    found = costs(raw)
    for variant in raw["variants"]:
        row = {"name": variant["name"], "tells": variant["tells"]}
        cost_of = found.get(variant["name"])
        for what, bound in (("", "median"), ("low", "low"), ("high", "high")):
            values = {
                figure: None if cost_of is None else round(getattr(_of(cost_of, figure), bound), 2)
                for figure in FIGURES
            }
            row |= {what: values} if what else values
        yield row | {"reason": variant["reason"]}


def _of(cost_of: Cost, figure: str) -> Interval:
    found: Interval = getattr(cost_of, figure)
    return found


def bars(raw: Raw) -> list[Held]:
    """Hold every bar against what was measured."""
    found = costs(raw)
    return [held(bar, found) for bar in BARS]


def growth(raw: Raw) -> Iterator[dict[str, Any]]:
    """
    Yield for each load what a walk costs more, as measured and by the line of the fitted loads.

    ``base``: what it takes by itself. Only of variants that were measured under all loads.
    """
    rounds = {row["name"]: row["rounds"] for row in raw["variants"]}
    found = costs(raw)
    growing = [v.name for v in VARIANTS if v.grows and v.name in found and v.name != BASE]
    for load, base in rounds[BASE].items():
        steps = raw["steps"][load]
        row: dict[str, Any] = {"load": load, "steps": steps}
        row["base"] = round(added(base, [0] * ROUNDS, raw["walks"]).median, 1)
        for name in growing:
            of = found[name]
            by_line = of.per_walk.median + of.per_step.median * steps
            measured = added(rounds[name][load], base, raw["walks"])
            row[name] = {**_rounded(measured), "line": round(by_line, 1)}
        yield row


def _rounded(value: Interval) -> dict[str, float]:
    return {key: round(each, 1) for key, each in asdict(value).items()}


def _dict(value: Interval | None) -> dict[str, float] | None:
    return {k: round(v, 3) for k, v in asdict(value).items()} if value else None


def require_exact(raw: Raw) -> None:
    """Raise where rmapwatch has not counted exactly the walks and steps that the model gives."""
    exact = {variant.name for variant in VARIANTS if variant.exact}
    for row in raw["variants"]:
        if row["name"] not in exact or not row["rounds"]:
            continue
        must = loads.told(row["rounds"], raw["steps"], ROUNDS)
        counted = (row["told"]["walks"], row["told"]["steps"])
        if counted != must:
            why = f"{counted[0]} walks and {counted[1]} steps, where the model has {must[0]} and"
            raise RmapwatchError(f"{row['name']} has miscounted", f"{why} {must[1]}")


def agree(one: Raw, other: Raw) -> list[str]:
    """Return the figures of which two boots have no value in common: `name, figure`."""
    there = costs(other)
    return [
        f"{name}, {figure}"
        for name, of in costs(one).items()
        if name in there
        for figure in FIGURES
        if not _of(of, figure).overlaps(_of(there[name], figure))
    ]
