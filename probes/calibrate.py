"""
Measures what the probes' programs cost on this machine, for the loader: once per boot.

The kernel has test functions for exactly such programs, which nothing else calls: a system call
has it call all of them once. The programs of a walk are attached to them, with maps of their own,
so that what is measured is their own code on its usual way, and nothing is counted. How much longer
the system call takes then is what they cost. See net/bpf/test_run.c.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..kernels import syscalls
from . import compiled, source, state
from .compiled import Compiled
from .cost import Cost

TEST_FUNCTIONS = tuple(f"bpf_fentry_test{n}" for n in range(1, 7))
"""Those that every kernel with such functions has; they are called in this order."""

_FIRST, *_BETWEEN, _LAST = TEST_FUNCTIONS
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ROUNDS, _BATCHES, _CALLS = 3, 80, 8
_ALL = (1 << 64) - 1


def cost(
    ready: Compiled, btf_ids: Mapping[str, int], make: Callable[[], dict[str, int]]
) -> Cost | None:
    """
    Return what programs cost: kept from before in this boot, or measured now, and then kept.

    `make` makes maps for `ready`. None where the kernel has no such functions, or refuses.
    """
    path = compiled.FOLDER / "cost.json"
    boot = _BOOT_ID.read_text().strip()
    found = _kept(path, boot)
    if found is None and set(TEST_FUNCTIONS) <= btf_ids.keys():
        with contextlib.suppress(syscalls.RefusedError, OSError):
            found = _measured(ready, btf_ids, make)
    if found is not None:
        compiled.keep(path, json.dumps([boot, found.to_json()]))
    return found


def _kept(path: Path, boot: str) -> Cost | None:
    text = compiled.kept(path)
    try:
        of, found = json.loads(text or "null")
        return Cost.from_json(found) if of == boot else None
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True)
class _Trial:
    """Loads programs over maps of its own, and attaches them to test functions."""

    ready: Compiled
    btf_ids: Mapping[str, int]
    maps: Mapping[str, int]
    opened: list[int]

    def load(self, function: str, mechanism: str, test: str) -> int:
        code = self.ready.linked(function, self.maps)
        self.opened.append(syscalls.load(code, mechanism, function, self.btf_ids[test]))
        return self.opened[-1]

    def attach(self, function: str, mechanism: str, test: str) -> None:
        program = self.load(function, mechanism, test)
        self.opened.append(syscalls.attach(program, mechanism, test))

    def control(self, **words: int) -> None:
        layout = state.layout(())
        with mmap.mmap(self.maps["control"], mmap.PAGESIZE) as page:
            for name, value in words.items():
                at = 8 * layout.find("control", name)[0]
                page[at : at + 8] = value.to_bytes(8, "little")


@contextlib.contextmanager
def _trial(
    ready: Compiled, btf_ids: Mapping[str, int], make: Callable[[], dict[str, int]]
) -> Iterator[_Trial]:
    """Yield a trial of which nothing is left afterwards."""
    trial = _Trial(ready, btf_ids, make(), [])
    try:
        yield trial
    finally:
        for fd in (*reversed(trial.opened), *trial.maps.values()):
            os.close(fd)


def _measured(
    ready: Compiled, btf_ids: Mapping[str, int], make: Callable[[], dict[str, int]]
) -> Cost | None:
    """Return the costs by the shortest times of some rounds: a machine is not always as fast."""
    rounds = []
    for _ in range(_ROUNDS):
        with _trial(ready, btf_ids, make) as trial:
            rounds.append(_times(trial))
    return _cost([min(times) for times in zip(*rounds, strict=True)])


def _times(trial: _Trial) -> tuple[float, float, float, float]:
    """Return how long a call takes without programs, with a walk's, with all, with VMAs skipped."""
    trial.control(steps=_ALL)
    trigger = trial.load(source.CALIBRATE_STEP, syscalls.FENTRY, _FIRST)
    call = syscalls.caller_of_test_functions(trigger)
    bare = _nanoseconds(call)
    trial.attach(source.CALIBRATE_ENTER, syscalls.FENTRY, _FIRST)
    trial.attach(source.CALIBRATE_EXIT, syscalls.FEXIT, _LAST)
    walk = _nanoseconds(call)
    for test in _BETWEEN:
        trial.attach(source.CALIBRATE_STEP, syscalls.FENTRY, test)
    stepped = _nanoseconds(call)
    trial.control(gate=_ALL)
    return bare, walk, stepped, _nanoseconds(call)


def _cost(times: Sequence[float]) -> Cost | None:
    """Return the costs by `_times`; None where they do not tell, as in a busy virtual machine."""
    bare, walk, stepped, skipped = times
    if not bare < walk < stepped:
        return None
    step = (stepped - walk) / len(_BETWEEN)
    return Cost(walk - bare, step, min(step, max(0.0, skipped - walk) / len(_BETWEEN)))


def _nanoseconds(call: Callable[[], None]) -> float:
    """Return how long a call takes: of the batch that nothing interrupted."""
    return min(_batch(call) for _ in range(_BATCHES)) / _CALLS


def _batch(call: Callable[[], None]) -> int:
    began = time.perf_counter_ns()
    for _ in range(_CALLS):
        call()
    return time.perf_counter_ns() - began
