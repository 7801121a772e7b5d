"""
What a scenario does inside a guest: swap, cgroups, reclaim. Standard library only.

Everything here changes the kernel it runs on, so it refuses to run outside a guest of the lab.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RmapwatchError

_CGROUPS = Path("/sys/fs/cgroup")
_CONTROL = Path("/run/lab/command.sh")
_DAMON_STAT = Path("/sys/module/damon_stat/parameters/enabled")
_ZRAM = Path("/sys/block/zram0")


def in_guest() -> bool:
    """Return whether this process runs in a guest of the lab."""
    return _CONTROL.exists()


def require_guest() -> None:
    """Raise RmapwatchError unless this process runs in a guest of the lab."""
    if not in_guest():
        raise RmapwatchError(
            "this changes the kernel it runs on",
            "and this is no guest of the lab",
            "rmapwatch lab run --help",
        )


def rest() -> None:
    """
    Stop what walks reverse maps of its own accord, so that a workload's counts are its own.

    Kernels that have DAMON's statistics sample pages all the time.
    """
    require_guest()
    if _DAMON_STAT.exists():
        _DAMON_STAT.write_text("N")


def zram_swap(size_bytes: int) -> None:
    """Make a compressed swap of ``size_bytes`` in memory, so that anonymous pages can go."""
    require_guest()
    _run("modprobe", "zram")
    (_ZRAM / "disksize").write_text(str(size_bytes))
    device = f"/dev/{_ZRAM.name}"
    _run("mkswap", device)
    _run("swapon", device)


@contextmanager
def cgroup(name: str) -> Iterator[Path]:
    """Yield the folder of a new cgroup with the memory controller; it must be empty at the end."""
    require_guest()
    (_CGROUPS / "cgroup.subtree_control").write_text("+memory")
    path = _CGROUPS / name
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


def reclaim(group: Path, wanted_bytes: int) -> str:
    """
    Take ``wanted_bytes`` from a cgroup, or as much as can be had; return the trigger used.

    Kernels before 5.19 have no ``memory.reclaim``: there ``memory.high`` is lowered, and raised
    again.
    """
    require_guest()
    trigger = "memory.reclaim" if (group / "memory.reclaim").exists() else "memory.high"
    if trigger == "memory.high":
        current = int((group / "memory.current").read_text())
        (group / trigger).write_text(str(max(0, current - wanted_bytes)))
        (group / trigger).write_text("max")
    else:
        _ask(group / trigger, wanted_bytes)
    return trigger


def _ask(path: Path, wanted_bytes: int) -> None:
    try:
        path.write_text(str(wanted_bytes))
    except OSError as error:
        if error.errno != errno.EAGAIN:  # less than that could be had
            raise


def vmstat() -> dict[str, int]:
    """Return ``/proc/vmstat``: counters of events and numbers of pages."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RmapwatchError(f"{' '.join(command)} failed", done.stderr.strip())
