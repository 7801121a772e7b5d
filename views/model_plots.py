"""Plots of the reference model, drawn with matplotlib, which is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import errors

SUFFIXES = (".png", ".svg", ".pdf")
BEFORE, AFTER, MARK = "#b5483a", "#2a6f97", "#8a8a8a"
# Where the benchmark stopped scaling, as the message of commit 5beb49305251 reports it.
AIM7_USERS = {"before": 9_700, "after": 29_700}


def suffix_error(path: Path) -> errors.UsageError | None:
    """Return what is wrong with a plot's file name, None if nothing is."""
    if path.suffix.lower() in SUFFIXES:
        return None
    return errors.UsageError(
        f"-o {path}",
        f"a plot is written as {', '.join(SUFFIXES)}",
        f"-o {path.with_suffix('.png')}",
    )


def _figure() -> tuple[Any, Any]:
    """Return an empty figure and its axes; without matplotlib an error that says how to get it."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise errors.RmapwatchError(
            "-o", "matplotlib is not installed", "pip install 'rmapwatch[plot]'"
        ) from None
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise errors.RmapwatchError(f"-o {path}", error.strerror or str(error)) from None


def used_once(path: Path, working_set: int, refaults: Mapping[str, Sequence[int]]) -> None:
    """Draw how many pages of the working set had to be read again in each round."""
    figure, axes = _figure()
    for (name, values), colour, marker in zip(
        refaults.items(), (BEFORE, AFTER), ("s", "o"), strict=True
    ):
        rounds = range(1, len(values) + 1)
        axes.plot(rounds, values, color=colour, marker=marker, markersize=5, label=name)
    axes.set(
        title=f"A working set of {working_set:,} pages beside a stream of pages used once",
        xlabel="round",
        ylabel="pages of the working set read again",
        xlim=(0.5, len(next(iter(refaults.values()))) + 0.5),
    )
    axes.set_ylim(bottom=-0.02 * working_set)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="upper right")
    _save(figure, path)


def fork_storm(
    path: Path, pages: int, children: Sequence[int], scans: Mapping[str, Sequence[float]]
) -> None:
    """Draw the VMAs entered by one restore walk of every page, against the number of children."""
    figure, axes = _figure()
    for (name, values), colour in zip(scans.items(), (BEFORE, AFTER), strict=True):
        axes.loglog(children, values, color=colour, linewidth=2, label=name)
    for (name, users), colour in zip(AIM7_USERS.items(), (BEFORE, AFTER), strict=True):
        axes.axvline(users, color=colour, linestyle=":", linewidth=1.2)
        axes.text(users, 0.02, f" AIM7 {name}:\n {users:,} users", color=colour, fontsize=8,
                  ha="right" if name == "before" else "left", va="bottom",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set(
        title=f"Walking every page of a fork storm once, {pages:,} pages a process",
        xlabel="child processes",
        ylabel="VMAs entered",
        xlim=(children[0], children[-1]),
    )
    axes.legend(frameon=False, loc="upper left")
    _save(figure, path)


def lines(
    path: Path, title: str, axis: tuple[str, str], x: Sequence[int], y: Mapping[str, Sequence[int]]
) -> None:
    """Draw one line for each named series; ``axis``: the labels of x and y."""
    figure, axes = _figure()
    for number, (name, values) in enumerate(y.items()):
        # Lines that lie on each other stay visible: the later the thinner.
        axes.plot(x, values, marker="o", clip_on=False, markersize=9 - 2 * number, label=name,
                  linewidth=max(1, 5 - number * 1.4),
                  color=(BEFORE, AFTER, "#e0a030", "#3d3d3d")[number % 4])  # fmt: skip
    axes.set(title=title, xlabel=axis[0], ylabel=axis[1], xlim=(x[0], x[-1]))
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="upper left")
    _save(figure, path)
