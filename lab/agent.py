"""
What runs inside a guest: the probes and the reader around a scenario's workload.

Started by `lab.run` on the host as a module; it tells what it does on stderr, and leaves what it
found in files of its working folder, which the host sees.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import errors
from ..collectors.frame import frame
from ..probes import events, ring, session
from ..views import explain, live
from . import agreement, guest
from .exchange import ERROR, RESULT, WANTED
from .scenarios import Scenario, find

RING_PAGES = 4096
_POLL_S = 0.02
_SETTLE_S = 0.5


class Recorder:
    """Collects the events of a session in memory, in order, kernel addresses hidden."""

    def __init__(self, attached: session.Session) -> None:
        self._attached = attached
        self._ring = ring.Ring(attached.ring_fd, attached.ring_size)
        self._key = secrets.token_bytes(32)
        self._batches: dict[str, list[npt.NDArray[np.void]]] = {name: [] for name in events.EVENTS}

    def drain(self) -> int:
        """Take what the ring holds; return how many records that was."""
        _, batch = self._ring.drain()
        for name, records in ring.decode(batch).items():
            self._attached.received(name, len(records))
            ring.hide_pointers(records, name, self._key)
            self._batches[name].append(records)
        return len(batch)

    def records(self) -> dict[str, npt.NDArray[np.void]]:
        """Return all events so far, by type."""
        return {
            name: np.concatenate([np.empty(0, ring.dtype(name)), *batches])
            for name, batches in self._batches.items()
        }


def say(text: str) -> None:
    """Tell the host what is being done."""
    print(text, file=sys.stderr, flush=True)


def run(scenario: Scenario, program: str) -> dict[str, Any]:
    """Run the scenario once under all probes; return what the JSON of `lab run` shows."""
    guest.rest()
    if scenario.swap_bytes:
        guest.zram_swap(scenario.swap_bytes)
    say("compiling and attaching the probes")
    wanted = session.Request(events=tuple(events.EVENTS), ring_pages=RING_PAGES)
    attached = session.start(wanted)
    recorder = Recorder(attached)
    first = attached.sample()
    say(f"running {scenario.name}")
    ledger = _workload([program, *scenario.arguments], recorder)
    _settle(recorder)
    last = attached.sample()
    attached.close()
    records = recorder.records()
    for name, told in records.items():
        np.save(f"{name}.npy", told)
    rules = [
        *agreement.accounts(last),
        *agreement.losses(last),
        *agreement.counters(last, records),
        *agreement.batches(last),
        *getattr(agreement, scenario.rules)(records, ledger),
    ]
    shown = asdict(frame(last))
    return {
        "scenario": scenario.name,
        "seed_rows": scenario.seed_rows,
        **shown,
        "seconds": (last.time_ns - first.time_ns) / 1e9,
        "events": _totals(shown["events"]),
        "events_by_type": shown["events"],
        "ledger": ledger,
        "agreement": [asdict(rule) for rule in rules],
    }


def _workload(command: list[str], recorder: Recorder) -> dict[str, Any]:
    """Run the workload, draining the ring all the while; return its ledger."""
    with Path("ledger.json").open("wb") as out, subprocess.Popen(command, stdout=out) as process:
        while process.poll() is None:
            if not recorder.drain():
                time.sleep(_POLL_S)
    if process.returncode:
        raise errors.RmapwatchError(
            f"the workload {Path(command[0]).name} failed", f"exit status {process.returncode}"
        )
    ledger: dict[str, Any] = json.loads(Path("ledger.json").read_text().splitlines()[-1])
    return ledger


def _settle(recorder: Recorder) -> None:
    """Drain until nothing has come for a while."""
    end = time.monotonic() + _SETTLE_S
    while time.monotonic() < end:
        if recorder.drain():
            end = time.monotonic() + _SETTLE_S
        time.sleep(_POLL_S)


def _totals(by_type: list[dict[str, Any]]) -> dict[str, int]:
    return {key: sum(row[key] for row in by_type) for key in ("produced", "received", "lost")}


@contextmanager
def endless(scenario: Scenario, program: str) -> Iterator[None]:
    """Keep the scenario's workload running in the background."""
    if scenario.swap_bytes:
        guest.zram_swap(scenario.swap_bytes)
    command = [program, *scenario.endless]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def top(scenario: Scenario, wanted: dict[str, Any]) -> None:
    """Show the live screen over the scenario, going on and on."""
    attached = session.start(session.Request())
    with endless(scenario, wanted["program"]):
        if wanted["once"]:
            live.one_frame(attached, wanted["interval"], wanted["json"])
        else:
            live.frames(attached, wanted["interval"], wanted["json"])


def main() -> int:
    """Do what the host asks for in `WANTED`; return the exit code."""
    wanted = json.loads(Path(WANTED).read_text())
    try:
        guest.require_guest()
        if wanted["what"] == "facts":
            Path(RESULT).write_text(explain.facts_here().to_json())
            return 0
        scenario = find(wanted["scenario"])
        if wanted["what"] == "run":
            result = run(scenario, wanted["program"])
            Path(RESULT).write_text(json.dumps(result, indent=1))
            return 0
        top(scenario, wanted)
    except errors.RmapwatchError as error:
        refusal = {"what": error.what, "why": error.why, "hint": error.hint, "code": error.code}
        Path(ERROR).write_text(json.dumps(refusal))
        return error.code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
