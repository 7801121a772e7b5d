"""
What runs inside a guest: the probes and the reader around a scenario's workload.

Started by `lab.run` on the host as a module; it tells what it does on stderr, and leaves what it
found in files of its working folder, which the host sees.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import errors
from ..collectors.frame import frame, frames
from ..kernels.semantics import changes_of
from ..probes import backend as backends
from ..probes import catalogue, events
from ..probes.backend import Attached, Backend
from ..probes.sample import Sample
from ..recordings.reader import Recording
from ..recordings.recorder import SESSION, Tape
from ..views import explain, live
from ..views.pace import Pace
from . import agreement, both, exchange, guest
from .bench import agent as bench
from .bench import starts
from .exchange import EACH_LRU, ERROR, FRAMES, LEDGER, RECORDING, RESULT, WANTED
from .rules.row import Run
from .scenarios import Scenario, find, formed

_SAMPLE_S = 0.5
_POLL_S = 0.02
_SETTLE_S = 0.5


def say(text: str) -> None:
    """Tell the host what is being done."""
    print(text, file=sys.stderr, flush=True)


def prepare(scenarios: Sequence[Scenario]) -> None:
    """Give the guest what the scenarios need."""
    guest.rest()
    guest.count_program_runs()
    if swap := max(scenario.swap_bytes for scenario in scenarios):
        guest.zram_swap(swap)
    if disk := max(scenario.disk_bytes for scenario in scenarios):
        guest.zram_disk(disk)
    guest.load({module for scenario in scenarios for module in scenario.modules})


def run_all(
    scenarios: Sequence[Scenario], programs: Sequence[str], lru: str | None, backend: Backend
) -> list[dict[str, Any]]:
    """
    Run each scenario once under all probes; return for each what the JSON of `lab run` shows.

    With ``lru`` "each", one whose outcome depends on the LRU runs once by each that there is. One
    that breaks down leaves its error, and the next has its turn.
    """
    say("attaching the probes")
    # A rule of a scenario may be about the length of walks: by events there is none without steps.
    steps = backend == Backend.FTRACE or any(scenario.steps for scenario in scenarios)
    # Events are asked for by each run, so that none is told from before it.
    request = replace(SESSION, probes=catalogue.names(steps), events=())
    attached = backends.start(request, backend, say)
    there, results = guest.lrus(), []
    for scenario, program in zip(scenarios, programs, strict=True):
        for chosen in _lrus(scenario, there, lru):
            guest.choose_lru(chosen)
            say(f"running {scenario.name}, {chosen} LRU")
            try:
                results.append(run(attached, scenario, program))
            except errors.RmapwatchError as error:
                told = {"scenario": scenario.name, "lru": chosen, "error": errors.told(error)}
                results.append(told)
    attached.close()
    return results


def _lrus(scenario: Scenario, there: tuple[str, ...], asked: str | None) -> tuple[str, ...]:
    if asked == EACH_LRU:
        return there if scenario.reclaims else there[:1]
    return (asked or there[0],)


def run(attached: Attached, scenario: Scenario, program: str) -> dict[str, Any]:
    """Run the scenario once; what it leaves lies in a folder of its name, and of the LRU's."""
    folder = Path(exchange.left_by(scenario.name, guest.lru()))
    folder.mkdir()
    attached.restart()
    attached.want_events(SESSION.events)
    before = guest.settled_vmstat()
    samples, ledger = _recorded(attached, scenario, program, folder)
    after = guest.settled_vmstat()
    last = samples[-1]
    recording = Recording(folder / RECORDING)
    records = {name: recording.records(name) for name in events.EVENTS}
    vmstat = {name: value - before[name] for name, value in after.items()}
    cpus = os.cpu_count() or 1
    changes = changes_of(attached.facts)
    found = Run(last, records, ledger, attached.facts, cpus, guest.lru(), vmstat, changes)
    rules = agreement.every_rule(found, scenario.rules)
    shown = asdict(frame(last))
    return {
        "scenario": scenario.name,
        "seed_rows": scenario.seed_rows,
        "lru": guest.lru(),
        **shown,
        "seconds": (last.time_ns - samples[0].time_ns) / 1e9,
        "events": _totals(shown["events"]),
        "events_by_type": shown["events"],
        "ledger": ledger,
        "cpus": cpus,
        "vmstat": vmstat,
        "agreement": [asdict(rule) for rule in rules],
    }


def _recorded(
    attached: Attached, scenario: Scenario, program: str, folder: Path
) -> tuple[list[Sample], dict[str, Any]]:
    """Record while the workload runs and settles; return all Samples and the ledger."""
    samples: list[Sample] = []
    told = (scenario.workload, *scenario.arguments)
    tape = Tape(attached, folder / RECORDING, _SAMPLE_S, told, samples.append)
    command = (program, *scenario.arguments)
    ledger = _workload(command, tape.step, folder / LEDGER, scenario.budget_s)
    _settle(tape)
    tape.close(ledger)
    with gzip.open(folder / FRAMES, "wt") as out:
        json.dump([asdict(shown) for shown in frames(samples)], out)
    return samples, ledger


def _workload(
    command: Sequence[str], step: Callable[[], int], ledger_file: Path, budget_s: float
) -> dict[str, Any]:
    """Run the workload, taking each `step` of draining the ring meanwhile; return its ledger."""
    name, end = Path(command[0]).name, time.monotonic() + budget_s
    with (
        ledger_file.open("wb") as out,
        subprocess.Popen(command, stdout=out, start_new_session=True) as process,
    ):
        while process.poll() is None:
            if time.monotonic() > end:
                os.killpg(process.pid, signal.SIGKILL)  # and whom it forked
                raise errors.RmapwatchError(
                    f"the workload {name} is over its budget", f"it took more than {budget_s:g} s"
                )
            if not step():
                time.sleep(_POLL_S)
    if process.returncode:
        raise errors.RmapwatchError(
            f"the workload {name} failed", f"exit status {process.returncode}"
        )
    ledger: dict[str, Any] = json.loads(ledger_file.read_text().splitlines()[-1])
    return ledger


def _settle(tape: Tape) -> None:
    """Drain until nothing has come for a while."""
    end = time.monotonic() + _SETTLE_S
    while time.monotonic() < end:
        if tape.step():
            end = time.monotonic() + _SETTLE_S
        time.sleep(_POLL_S)


def compare_all(scenarios: Sequence[Scenario], programs: Sequence[str]) -> list[dict[str, Any]]:
    """Run each scenario once under both backends at once; return what each of them counted."""
    say("attaching the probes of both backends")
    found = []
    with both.attached() as pair:
        for scenario, program in zip(scenarios, programs, strict=True):
            say(f"running {scenario.name}, {guest.lru()} LRU")
            told = {"scenario": scenario.name, "kernel": pair.bcc.facts.release, "lru": guest.lru()}
            command = (program, *scenario.arguments)
            run_it = partial(_workload, command, lambda: 0, Path(LEDGER), scenario.budget_s)
            try:
                found.append(told | asdict(pair.compare(run_it)))
            except errors.RmapwatchError as error:
                found.append(told | {"error": errors.told(error)})
    return found


def _totals(by_type: list[dict[str, Any]]) -> dict[str, int]:
    return {key: sum(row[key] for row in by_type) for key in ("produced", "received", "lost")}


@contextmanager
def endless(scenario: Scenario, program: str) -> Iterator[None]:
    """Keep the scenario's workload running in the background."""
    command = [program, *scenario.endless]
    # In a session of its own: Ctrl-C ends the screen, and the screen ends the workload.
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def top(scenario: Scenario, wanted: dict[str, Any]) -> None:
    """Show the live screen over the scenario, going on and on."""
    attached = backends.start(live.request(scenario.steps), Backend(wanted["backend"]), say)
    feed = live.of(attached)
    interval = wanted["interval"]
    with endless(scenario, wanted["programs"][0]):
        if wanted["once"]:
            live.one_frame(feed.samples(Pace(interval)), wanted["json"])
        else:
            live.watch(feed, interval, wanted["json"])


def _keep(result: dict[str, Any]) -> None:
    Path(RESULT).write_text(json.dumps(result))


def main() -> int:
    """Do what the host asks for in `WANTED`; return the exit code."""
    wanted = json.loads(Path(WANTED).read_text())
    try:
        guest.require_guest()
        if wanted["what"] == "facts":
            Path(RESULT).write_text(explain.facts_here().to_json())
            return 0
        if wanted["what"] == "bench":
            bench.measure(wanted["program"], wanted["variants"], say, _keep)
            return 0
        if wanted["what"] == "starts":
            _keep({"release": os.uname().release, "starts": starts.measure(say)})
            return 0
        chosen = [formed(find(name), wanted["form"]) for name in wanted["scenarios"]]
        prepare(chosen)
        if wanted["what"] == "run":
            backend = Backend(wanted["backend"])
            results = run_all(chosen, wanted["programs"], wanted["lru"], backend)
            Path(RESULT).write_text(json.dumps(results, indent=1))
            return 0
        if wanted["what"] == "compare":
            Path(RESULT).write_text(json.dumps(compare_all(chosen, wanted["programs"]), indent=1))
            return 0
        if wanted["lru"]:
            guest.choose_lru(wanted["lru"])
        top(chosen[0], wanted)
    except errors.RmapwatchError as error:
        Path(ERROR).write_text(json.dumps(errors.told(error)))
        return error.code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
