"""What runs inside the guest of a bench: the loads, and each variant attached in turn."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from ...errors import RmapwatchError
from ...kernels.semantics import semantics_of
from .. import guest
from . import loads, tracers
from .figures import ROUNDS
from .loads import Load
from .tracers import Tracer, Watched
from .variants import VARIANTS, Variant

_CLOCK = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_STEPS = ("step_reference", "step_unmap", "step_migrate", "step_restore", "step_mkclean")
_WATCHED = ("rmap_walk_anon", "rmap_walk_file", "rmap_walk_ksm", *_STEPS)

EVERY = (*loads.FITTED, *loads.GROWTH)

Say = Callable[[str], None]


class Running:
    """A load's processes, which sleep until rounds are wanted."""

    def __init__(self, load: Load, process: subprocess.Popen[str]) -> None:
        self.load, self._process = load, process

    def answer(self) -> str:
        """Return its next line."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RmapwatchError(f"the load {self.load.name} failed", "its last words are above")
        return line.strip()

    def rounds(self, number: int) -> list[int]:
        """Return what so many rounds took, in ns each."""
        assert self._process.stdin
        print(number, file=self._process.stdin, flush=True)
        return [int(word) for word in self.answer().split()]


@contextmanager
def _running(program: str, load: Load) -> Iterator[Running]:
    command = [program, *load.arguments()]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            running = Running(load, process)
            running.answer()
            yield running
        finally:
            process.kill()


Keep = Callable[[dict[str, Any]], None]


def measure(program: str, wanted: Sequence[str], say: Say, keep: Keep) -> None:
    """
    Measure each wanted variant; ``program``: the workload's.

    ``keep`` is given all that there is after each, so that the last does not cost the others.
    """
    guest.rest()
    there = tracers.watched(_WATCHED)
    before = tracers.traced()
    found: list[dict[str, Any]] = []
    with _all_running(program, EVERY) as running:
        for variant in VARIANTS:
            if variant.name in wanted:
                say(f"measuring {variant.name}")
                found.append(_measured(variant, there, running, say))
                keep(_whole(there, found))
                tracers.require_gone(before)


def _whole(there: Watched, found: list[dict[str, Any]]) -> dict[str, Any]:
    semantics = semantics_of(there.facts)
    return {
        "release": os.uname().release,
        "clock": _CLOCK.read_text().strip(),
        "pages": loads.PAGES,
        "walks": loads.WALKS,
        "steps": {load.name: loads.steps(semantics, load) for load in EVERY},
        "watched": {"walks": there.walks, "steps": there.steps},
        "variants": found,
    }


def _measured(
    variant: Variant, there: Watched, running: Sequence[Running], say: Say
) -> dict[str, Any]:
    """Return the row of a variant: its rounds by load, and what it has told of them."""
    row: dict[str, Any] = {
        "name": variant.name,
        "tells": variant.tells,
        "rounds": {},
        "told": {},
        "reason": "",
    }
    those = [each for each in running if variant.grows or each.load in loads.FITTED]
    try:
        with variant.attach(there) as tracer:
            row["rounds"] = _rounds(tracer, those)
            row["told"] = tracer.told()
        taken = {name: round(median(r) / loads.WALKS) for name, r in row["rounds"].items()}
        say(f"{variant.name}: instructions a walk: {taken}")
    except (tracers.AbsentError, OSError, subprocess.TimeoutExpired) as why:
        row |= {"rounds": {}, "reason": str(why)}
        say(f"{variant.name}: {why}")
    return row


@contextmanager
def _all_running(program: str, those: Sequence[Load]) -> Iterator[list[Running]]:
    """Start all loads; a load's processes share nothing with another's."""
    if not those:
        yield []
        return
    with _running(program, those[0]) as first, _all_running(program, those[1:]) as rest:
        yield [first, *rest]


def _rounds(tracer: Tracer, running: Sequence[Running]) -> dict[str, list[int]]:
    found = {}
    for each in running:
        tracer.sleep()
        found[each.load.name] = each.rounds(ROUNDS)
        tracer.wake()
    return found
