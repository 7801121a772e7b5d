"""``rmapwatch lab``: the commands that deal with kernels in virtual machines."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .. import errors
from ..probes.backend import Backend
from . import accel, apt, exchange, kernels, report, run, scenarios
from .kernels import LabKernel

if TYPE_CHECKING:
    from .left import Left

app = typer.Typer(no_args_is_help=True, help="Real kernels in virtual machines.")

DEFAULT_KERNEL = "6.1"

_stderr = Console(stderr=True, highlight=False)


@app.callback()
def lab() -> None:
    """Boot real kernels in virtual machines and run known workloads in them."""


@app.command("kernels")
def kernels_command(
    fetch: Annotated[
        str | None, typer.Option(metavar="SERIES|all", help="Download a kernel, or all of them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    retry_kvm: Annotated[bool, typer.Option(help="Try once more whether KVM works here.")] = False,
) -> None:
    """Show the kernels of the lab and what guests run on; with --fetch, get them first."""
    for series in _chosen(fetch):
        apt.fetch(series, _stderr.print)
    here = kernels.installed()
    if retry_kvm:
        _try_kvm(here)
    if as_json:
        print(_json(here))
    else:
        Console().print(_table(here))


Kernel = Annotated[
    str,
    typer.Option(
        "--kernel", "-k", metavar="SERIES|PATH", help="A series of the lab, or a bzImage."
    ),
]
Kernels = Annotated[
    str,
    typer.Option(
        "--kernel", "-k", metavar="SERIES|PATH|all", help="A series of the lab, or a bzImage."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Lru(StrEnum):
    """What the kernel of a guest is made to reclaim by."""

    CLASSIC = "classic"
    MGLRU = "mglru"


BackendChoice = Annotated[Backend, typer.Option("--backend", help="What attaches the probes.")]
LruChoice = Annotated[
    Lru | None, typer.Option("--lru", help="Reclaim by this LRU; default: as the kernel comes.")
]


Form = Annotated[
    str, typer.Option("--form", help="short or long: another size, of scenarios that have it.")
]


@app.command("run")
def run_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO...", help="Such as fork-storm.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All scenarios, in one boot.")] = False,
    kernel: Kernels = DEFAULT_KERNEL,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Keep each scenario's recording and ledger in here."),
    ] = None,
    lru: LruChoice = None,
    backend: BackendChoice = Backend.AUTO,
    each_lru: Annotated[
        bool, typer.Option("--each-lru", help="Reclaim by each LRU in turn, where that matters.")
    ] = False,
    form: Form = "",
    append: Annotated[
        str, typer.Option(help="Further options of the guest's kernel, such as preempt=full.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Run scenarios once each under all probes and hold what was seen against what must be."""
    chosen = tuple(scenarios.SCENARIOS) if every else tuple(names or ())
    if not chosen:
        known = ", ".join(scenarios.SCENARIOS)
        raise errors.UsageError("no scenario", f"there are {known}", "rmapwatch lab run --all")
    by = exchange.EACH_LRU if each_lru else lru
    wanted = run.Wanted(chosen, kernel, out, lru=by, form=form, append=append, backend=backend)
    results = run.on_kernels(run.run, wanted, _progress)
    if len(results) == 1:
        _told(results, results[0], as_json)
    else:
        _told(results, {"kernel": kernel, "scenarios": results}, as_json)


@app.command("compare")
def compare_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO...", help="Such as fork-storm.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All scenarios, in one boot.")] = False,
    kernel: Kernels = DEFAULT_KERNEL,
    form: Form = "",
    as_json: Json = False,
) -> None:
    """Run scenarios under both backends at once, and hold what one counted against the other."""
    chosen = tuple(scenarios.SCENARIOS) if every else tuple(names or ())
    if not chosen:
        known = ", ".join(scenarios.SCENARIOS)
        raise errors.UsageError("no scenario", f"there are {known}", "rmapwatch lab compare --all")
    wanted = run.Wanted(chosen, kernel, form=form)
    results = run.on_kernels(run.compare, wanted, _progress)
    if as_json:
        whole = {"kernel": kernel, "scenarios": results}
        print(json.dumps(results[0] if len(results) == 1 else whole, indent=1))
    else:
        for result in results:
            Console().print(report.comparison(result))
    if not all(map(report.backends_agree, results)):
        raise typer.Exit(errors.FAILED)


@app.command("record")
def record_command(
    scenario: Annotated[str, typer.Argument(help="The scenario, such as fork-storm.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The new folder for the recording.")],
    kernel: Kernel = DEFAULT_KERNEL,
    lru: LruChoice = None,
    form: Form = "",
    backend: BackendChoice = Backend.AUTO,
    as_json: Json = False,
) -> None:
    """Run a scenario once and leave its recording: how the fixtures of the tests are made."""
    wanted = run.Wanted((scenario,), kernel, lru=lru, form=form, backend=backend)
    results = run.record(wanted, [out], _progress)
    _told(results, results[0], as_json)


def _told(results: list[dict[str, Any]], whole: dict[str, Any], as_json: bool) -> None:
    """Print the results of a run, as JSON in `whole`; fail where a rule does not hold."""
    if as_json:
        print(json.dumps(whole, indent=1))
    else:
        for result in results:
            Console().print(report.screen(result))
        if len(results) > 1:
            Console().print(report.summary(results))
    if not all(map(report.agrees, results)):
        raise typer.Exit(errors.FAILED)


@app.command("diff")
def diff_command(
    one: Annotated[str, typer.Argument(metavar="A", help="A kernel, or a scenario's recording.")],
    other: Annotated[str, typer.Argument(metavar="B", help="What it is held against.")],
    scenario: Annotated[
        str | None, typer.Option(metavar="NAME", help="The scenario to run, such as ksm-stall.")
    ] = None,
    lru: LruChoice = None,
    as_json: Json = False,
) -> None:
    """Show which costs and decisions of a scenario differ, and the kernel's changes that say so."""
    from . import diff

    with tempfile.TemporaryDirectory(prefix="rmapwatch-diff-") as name:
        sides = [
            _left(side, scenario, lru, Path(name) / place)
            for side, place in ((one, "one"), (other, "other"))
        ]
        found = diff.difference(*sides)
    if as_json:
        print(found.to_json())
    else:
        Console().print(report.difference(found))


def _left(side: str, scenario: str | None, lru: str | None, folder: Path) -> Left:
    """Return what a recording holds, or what the scenario leaves on a kernel, run now."""
    from . import left

    if Path(side).is_dir():
        return left.read(Path(side))
    if scenario is None:
        raise errors.UsageError("no scenario", f"{side} is no recording", "--scenario ksm-stall")
    run.record(run.Wanted((scenario,), side, lru=lru), [folder], _progress)
    return left.read(folder)


@app.command("top")
def top_command(
    scenario: Annotated[str, typer.Argument(help="The scenario, such as fork-storm.")],
    kernel: Kernel = DEFAULT_KERNEL,
    backend: BackendChoice = Backend.AUTO,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit.")] = False,
    as_json: Json = False,
    interval: Annotated[float, typer.Option("--interval", "-i", min=0.5, max=3600)] = 2.0,
    lru: LruChoice = None,
) -> None:
    """Show `rmapwatch top` of a guest in which a scenario goes on and on."""
    wanted = run.Wanted(
        (scenario,), kernel, None, as_json, once, interval, lru=lru, backend=backend
    )
    run.top(wanted, _progress)


@app.command("bench")
def bench_command(
    only: Annotated[
        list[str] | None, typer.Argument(metavar="VARIANT...", help="Such as empty; default: all.")
    ] = None,
    kernel: Kernel = "6.12",
    as_json: Json = False,
    starts: Annotated[
        bool, typer.Option("--starts", help="How long it takes to the first figures instead.")
    ] = False,
) -> None:
    """
    Count the instructions that probes add to each walk and each VMA that it enters.

    rmapwatch, programs that do nothing, and other tracers that are asked for the same figures; one
    boot, in which the guest's clock counts instructions. Exit code 1 where a bar does not hold.
    """
    from .bench import host, show

    if starts and only:
        raise errors.UsageError(
            "--starts has no variants", "it is measured by commands", "rmapwatch lab bench --starts"
        )
    found = host.starts(kernel, _progress) if starts else host.bench(kernel, only or (), _progress)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        Console().print(show.starts(found) if starts else show.screen(found))
    if any(row["holds"] is False for row in found["starts" if starts else "bars"]):
        raise typer.Exit(errors.FAILED)


@app.command("facts")
def facts_command(kernel: Kernel = DEFAULT_KERNEL) -> None:
    """Print the facts of a kernel as JSON: symbols, offsets, and what really attaches."""
    print(run.facts(kernel, _progress).to_json(), end="")


def _progress(line: str) -> None:
    _stderr.print(line, markup=False)


def _chosen(fetch: str | None) -> list[str]:
    if fetch == "all":
        return list(kernels.SUITES)
    if fetch and fetch not in kernels.SUITES:
        raise typer.BadParameter(f"{fetch} is none of {', '.join(kernels.SUITES)}, all")
    return [fetch] if fetch else []


def _try_kvm(here: list[LabKernel]) -> None:
    kernel = here[-1] if here else kernels.find(next(iter(kernels.SUITES)))
    _stderr.print(f"trying KVM with {kernel.release}, {accel.TRIAL_SECONDS} s at most")
    verdict = accel.accelerator(kernel, retry=True)
    _stderr.print(f"guests run on {verdict.accel}: {verdict.reason}")


def _table(here: list[LabKernel]) -> Table:
    table = Table("series", "suite", "release", "folder")
    fetched = {kernel.series: kernel for kernel in here}
    for series, suite in kernels.SUITES.items():
        release = fetched[series].release if series in fetched else "-"
        table.add_row(series, suite, release, str(kernels.folder(series)))
    verdict = accel.remembered()
    table.caption = f"guests run on {verdict.accel}: {verdict.reason}" if verdict else None
    return table


def _json(here: list[LabKernel]) -> str:
    fetched = {kernel.series: asdict(kernel) for kernel in here}
    verdict = accel.remembered()
    found = {series: fetched.get(series) for series in kernels.SUITES}
    answer = {"kernels": found, "accelerator": asdict(verdict) if verdict else None}
    return json.dumps(answer, indent=2, default=str)
