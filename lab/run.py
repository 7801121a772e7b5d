"""The host's side of a scenario: fetch the kernel, build the workload, boot, bring the result."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import errors
from ..kernels.facts import KernelFacts
from ..probes.backend import Backend
from ..recordings.meta import require_new
from . import apt, boot, exchange, kernels, scenarios, workloads
from .guest import LRUS
from .qemu import Machine
from .scenarios import Scenario

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """
    What is asked of a guest; `json`, `once` and `interval` are those of `rmapwatch top`.

    ``lru``: one of `guest.LRUS`, or `exchange.EACH_LRU`; None: as the kernel comes. ``form``: of
    the scenarios, "" for their usual one. ``append``: further options of the guest's kernel.
    """

    scenarios: tuple[str, ...]
    kernel: str
    out: Path | None = None
    json: bool = False
    once: bool = False
    interval: float = 2.0
    lru: str | None = None
    form: str = ""
    append: str = ""
    backend: Backend = Backend.AUTO


def run(wanted: Wanted, progress: Progress) -> list[dict[str, Any]]:
    """
    Run scenarios once each in one guest and return what was found; files are left in `wanted.out`.

    Raise what the guest raised, or RmapwatchError where it broke down. Where there are several
    scenarios, what one of them raised stands in its result.
    """
    with _folder(wanted.out) as out:
        for scenario in wanted.scenarios:
            for lru in LRUS:
                require_new(out / exchange.left_by(scenario, lru))
        return _results(wanted, "run", out, progress)


def compare(wanted: Wanted, progress: Progress) -> list[dict[str, Any]]:
    """Run scenarios once each under both backends at once; return what each of them counted."""
    with _folder(wanted.out) as out:
        return _results(wanted, "compare", out, progress)


def _results(wanted: Wanted, what: str, out: Path, progress: Progress) -> list[dict[str, Any]]:
    limit_s = _BOOT_S + _SCENARIO_S * len(wanted.scenarios)
    machine = Machine(append=wanted.append, timeout_s=limit_s)
    _boot(wanted, what, out, machine, progress)
    results: list[dict[str, Any]] = json.loads((out / exchange.RESULT).read_text())
    if len(results) == 1 and "error" in results[0]:
        raise errors.retold(results[0]["error"])
    return results


ALL = "all"
"""Instead of a kernel: each of the lab, one after the other."""


Runs = Callable[[Wanted, Progress], list[dict[str, Any]]]


def on_kernels(runs: Runs, wanted: Wanted, progress: Progress) -> list[dict[str, Any]]:
    """
    Return what `runs` (`run`, `compare`) does, on each kernel of the lab where `ALL` are wanted.

    Each has a folder of its own then.
    """
    if wanted.kernel != ALL:
        return runs(wanted, progress)
    results = []
    for series in kernels.SUITES:
        out = wanted.out / series if wanted.out else None
        results += runs(replace(wanted, kernel=series, out=out), progress)
    return results


def record(wanted: Wanted, folders: Sequence[Path], progress: Progress) -> list[dict[str, Any]]:
    """Run scenarios, leave each one's recording in its new folder, and return what `run` does."""
    for folder in folders:
        require_new(folder)
    with _folder() as out:
        results = run(replace(wanted, out=out), progress)
        for folder, result in zip(folders, results, strict=True):
            if "error" in result:
                raise errors.retold(result["error"])
            left = out / exchange.left_by(result["scenario"], result["lru"])
            (left / exchange.RECORDING / exchange.RESULT).write_text(json.dumps(result, indent=1))
            (left / exchange.FRAMES).rename(left / exchange.RECORDING / exchange.FRAMES)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                folder.rmdir()
            shutil.move(left / exchange.RECORDING, folder)
        return results


def top(wanted: Wanted, progress: Progress) -> None:
    """Show `rmapwatch top` of a guest in which the scenario goes on and on."""
    with _folder() as out:
        interactive = not (wanted.once or wanted.json) and sys.stdout.isatty()
        machine = Machine(interactive=interactive, timeout_s=_DAY_S)
        _boot(wanted, "top", out, machine, progress)


_DAY_S = 86400.0

# Wall time after which a guest hangs, on a machine with much else to do.
_BOOT_S = 480.0
_SCENARIO_S = 60.0


@contextmanager
def _folder(out: Path | None = None) -> Iterator[Path]:
    """Give the folder that the guest leaves its files in; one of our own is kept for a failure."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    own, wanted = Path(tempfile.mkdtemp(prefix="rmapwatch-lab-")), False
    try:
        yield own
    except errors.RmapwatchError:
        wanted = (own / boot.CONSOLE_LOG).exists()
        raise
    finally:
        if not wanted:
            shutil.rmtree(own)


def facts(kernel: str, progress: Progress) -> KernelFacts:
    """Return the facts of a kernel, read and tried in a guest of it."""
    with _folder() as out:
        _ask({"what": "facts"}, at_hand(kernel, progress), out, Machine(), progress)
        return KernelFacts.from_json((out / exchange.RESULT).read_text())


def bench(
    kernel: str, request: dict[str, Any], machine: Machine, progress: Progress
) -> dict[str, Any]:
    """Return what a guest of `kernel` leaves of the bench that `request` describes."""
    with _folder() as out:
        _ask(request, at_hand(kernel, progress), out, machine, progress)
        left: dict[str, Any] = json.loads((out / exchange.RESULT).read_text())
    return left


def _boot(wanted: Wanted, what: str, out: Path, machine: Machine, progress: Progress) -> None:
    chosen = [scenarios.find(name) for name in wanted.scenarios]
    machine = fitting(machine, chosen, wanted.form)
    kernel = at_hand(wanted.kernel, progress)
    request = {
        "what": what,
        "scenarios": wanted.scenarios,
        "programs": [str(workloads.build(scenario.workload)) for scenario in chosen],
        "json": wanted.json,
        "once": wanted.once,
        "interval": wanted.interval,
        "lru": wanted.lru,
        "form": wanted.form,
        "backend": wanted.backend,
    }
    _ask(request, kernel, out, machine, progress)


def fitting(machine: Machine, chosen: Sequence[Scenario], form: str) -> Machine:
    """Return the machine with the nodes and the memory that the scenarios need in that form."""
    if form and not any(form in each.forms for each in chosen):
        there = ", ".join(sorted({name for each in chosen for name in each.forms})) or "none"
        raise errors.UsageError(f"no {form} form of any of these", f"there are: {there}")
    machine = replace(machine, far=next((each.far for each in chosen if each.far), ""))
    wanted = [each.forms[form].memory for each in chosen if form in each.forms]
    if memory := next(filter(None, wanted), ""):
        machine = replace(machine, memory=memory, far=memory, timeout_s=_DAY_S)
    return machine


def _ask(
    request: dict[str, Any],
    kernel: kernels.LabKernel,
    out: Path,
    machine: Machine,
    progress: Progress,
) -> None:
    """Boot `kernel`, have the agent do what `request` says, and raise what it raised."""
    for name in (exchange.RESULT, exchange.ERROR):
        (out / name).unlink(missing_ok=True)
    (out / exchange.WANTED).write_text(json.dumps(request))
    progress(f"booting {kernel.release}")
    argv = [sys.executable, "-m", exchange.AGENT]
    on_line = print if request["what"] == "top" else progress
    result = boot.run_guest(kernel, argv, out, machine, on_line)
    if (out / exchange.ERROR).exists():
        raise errors.retold(json.loads((out / exchange.ERROR).read_text()))
    if result.exit_code:
        raise errors.RmapwatchError(
            "the guest's reader failed",
            f"exit status {result.exit_code}",
            f"its last words are above; the kernel's: tail {result.log_path}",
        )


def at_hand(name: str, progress: Progress) -> kernels.LabKernel:
    """Return the kernel of that name, fetched now where it is one of the lab and not here yet."""
    if name in kernels.SUITES and not kernels.folder(name).is_dir():
        return apt.fetch(name, progress)
    return kernels.find(name)
