"""
How long a start takes: of rmapwatch, and of a peer that is asked for the time of the same walks.

From the command to the end of what it prints over a window of a second: time on the CPU, by the
clock that counts instructions. While nothing runs that clock goes on to the next timer, however
far, so that what a start takes in all cannot be told by it.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..guest import rest

BOUND = 1.5
"""What a start of rmapwatch may take at most, as a multiple of the peer's."""

ROUNDS = 4
"""Starts of each, in turn; the first finds nothing of it in memory, and nothing compiled."""

FIGURES = {"first": "first start", "again": "again"}
"""What is held against the peer: the first start, and the median of the others."""

_CACHES = Path("/proc/sys/vm/drop_caches")

Figures = Mapping[str, float | None]

_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Command:
    """What is started. ``package``: where it comes from, for a peer."""

    name: str
    words: tuple[str, ...]
    package: str = ""


_RMAPWATCH = str(Path(sys.executable).with_name("rmapwatch"))

COMMANDS = (
    Command(
        "funclatency",
        ("funclatency-bpfcc", "-d", "1", "-r", "^rmap_walk_(anon|file|ksm)$"),
        "bpfcc-tools",
    ),
    Command("rmapwatch", (_RMAPWATCH, "top", "--once", "--interval", "1", "--backend", "bcc")),
    Command(
        "rmapwatch-ftrace",
        (_RMAPWATCH, "top", "--once", "--interval", "1", "--backend", "ftrace"),
    ),
)
"""The first is what the others are held against."""


def measure(say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Start each command in turn; return what its starts took, in s, or why there are none."""
    rest()
    found: dict[str, dict[str, Any]] = {
        each.name: {"name": each.name, "command": _shown(each.words), "took": [], "reason": ""}
        for each in COMMANDS
    }
    for number in range(ROUNDS):
        for each in COMMANDS:
            row = found[each.name]
            if not number:
                forget()
            row["reason"] = row["reason"] or _started(each, row["took"], say)
    return list(found.values())


def _shown(words: Sequence[str]) -> str:
    return " ".join([Path(words[0]).name, *words[1:]])


def _started(command: Command, took: list[float], say: Callable[[str], None]) -> str:
    """Start it once and add what that took; return why it could not be."""
    if shutil.which(command.words[0]) is None:
        return f"it is not installed: sudo apt install {command.package}"
    before = _cpu_s()
    done = subprocess.run(
        command.words, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode:
        return (done.stderr or done.stdout).strip().splitlines()[-1]
    took.append(_cpu_s() - before)
    say(f"{command.name}: {took[-1]:.2f} s on the CPU")
    return ""


def forget() -> None:
    """Have the guest forget what it has read from its disk."""
    os.sync()
    _CACHES.write_text("3")


def _cpu_s() -> float:
    """Return the CPU time of all processes that this one has waited for, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def whole(raw: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what ``--json`` prints: of each command its `FIGURES`, and the ratios to the peer's.

    None where either could not be started.
    """
    rows = [{**row, "seconds": _seconds(row["took"])} for row in raw["starts"]]
    peer: Figures = rows[0]["seconds"]
    held = [_held(row["seconds"], {} if row is rows[0] else peer) for row in rows]
    starts = [{**row, **of_row} for row, of_row in zip(rows, held, strict=True)]
    return {**raw, "bound": BOUND, "starts": starts}


def _seconds(took: Sequence[float]) -> Figures:
    """Return the figures in s; None where it did not start as often as it was to."""
    if len(took) < ROUNDS:
        return dict.fromkeys(FIGURES)
    return {"first": took[0], "again": median(took[1:])}


def _held(seconds: Figures, peer: Figures) -> dict[str, Any]:
    """Return the ratios, and whether all are within the bound; nothing is held against itself."""
    ratio = {figure: _ratio(own, peer.get(figure)) for figure, own in seconds.items()}
    known = [each for each in ratio.values() if each is not None]
    holds = all(each <= BOUND for each in known) if len(known) == len(ratio) else None
    return {"ratio": ratio, "holds": holds}


def _ratio(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None else round(own / other, 3)
