"""CPU time of the kernel's own threads: the one place that asks psutil."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

_KTHREADD = 2
_WANTED = re.compile(r"kswapd\d+|ksmd")


@dataclass(frozen=True)
class CpuTimes:
    """CPU seconds by thread, cumulative, at ``time_s`` (monotonic); threads not seen are absent."""

    time_s: float
    seconds: Mapping[str, float]


class KernelThreads:
    """kswapd of each node and ksmd, as far as this process may see them."""

    def __init__(self) -> None:
        """Find them; a process that only calls itself so is none of kthreadd's."""
        self._threads = [
            process
            for process in psutil.process_iter(["name", "ppid"])
            if process.info["ppid"] == _KTHREADD and _WANTED.fullmatch(process.info["name"])
        ]

    def read(self) -> CpuTimes:
        """Return what they have used so far."""
        seconds = {}
        for process in self._threads:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                seconds[process.info["name"]] = times.user + times.system
        return CpuTimes(time.monotonic(), seconds)


def shares(now: CpuTimes | None, before: CpuTimes | None) -> dict[str, float] | None:
    """Return the share of one CPU by thread between two readings; None where one is missing."""
    if now is None or before is None or now.time_s <= before.time_s:
        return None
    return {
        name: (seconds - before.seconds[name]) / (now.time_s - before.time_s)
        for name, seconds in now.seconds.items()
        if name in before.seconds
    }
