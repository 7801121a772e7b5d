"""What the commands of `rmapwatch model` share: options, choices, tables, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from .. import errors
from ..kernels.semantics import PRESETS, Semantics
from . import model_plots

LAB = ("v5.10", "v6.1", "v6.12", "v7.3")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Draw a plot: .png, .svg or .pdf."),
]
Kernels = Annotated[
    list[str] | None,
    typer.Option("--kernel", "-k", help=f"One of {', '.join(PRESETS)}; again for more."),
]
Count = Annotated[int, typer.Option(min=1)]
Named = TypeVar("Named", bound=Enum)


def kernels(names: list[str] | None) -> dict[str, Semantics]:
    """Return the semantics asked for, those of the lab kernels if none is named."""
    for name in names or ():
        if name not in PRESETS:
            raise errors.UsageError(
                f"--kernel {name}", f"the model knows {', '.join(PRESETS)}", "--kernel v6.12"
            )
    return {name: PRESETS[name] for name in names or LAB}


def kernels_with(names: list[str] | None, feature: str) -> dict[str, Semantics]:
    """Return the semantics asked for, each of which must have a feature: "ksm" or "thp"."""
    found = kernels(names)
    for name, rules in found.items():
        if not getattr(rules, feature):
            raise errors.UsageError(f"--kernel {name}", f"it has no {feature.upper()}")
    return found


def choice(kind: type[Named], option: str, text: str) -> Named:
    """Return the member of an enum that an option names."""
    names = {member.name.lower().replace("_", "-"): member for member in kind}
    if text not in names:
        raise errors.UsageError(f"{option} {text}", f"one of {', '.join(names)} is meant")
    return names[text]


def draw_to(output: Path | None, draw: Callable[[Path], None]) -> None:
    """Draw where a plot was asked for; its name is checked before anything is printed."""
    if output is not None:
        wrong = model_plots.suffix_error(output)
        if wrong is not None:
            raise wrong
        draw(output)


def show(as_json: bool, data: Mapping[str, Any], *tables: Table) -> None:
    """Print the data as JSON, or the tables, each with its title above and its caption below."""
    if as_json:
        print(json.dumps(data, indent=1, default=_plain))
        return
    console = Console()
    for table in tables:
        title, caption = table.title, table.caption
        table.title = table.caption = None  # rich would fold them to the width of the table
        console.print(title, style="bold", highlight=False, markup=False)
        console.print(table)
        if caption:
            console.print(f"  {caption}", style="dim", highlight=False, markup=False)


def _plain(value: object) -> object:
    """Return what JSON can say of a value of the model."""
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{value!r} is not JSON")


def new_table(title: str, *columns: str, left: int = 1) -> Table:
    """Return an empty table; the first `left` columns are text, the others figures."""
    table = Table(box=box.SIMPLE_HEAD)
    table.title = title
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right")
    return table


def figure(value: Fraction | int) -> str:
    """Return an exact number for a table: whole as it is, otherwise with a few decimals."""
    exact = Fraction(value)
    if exact.denominator == 1:
        return f"{exact.numerator:,}"
    return f"{float(exact):,.3f}" if exact < 1000 else f"{float(exact):,.1f}"
