"""
What a scenario does inside a guest: swap, cgroups, reclaim. Standard library only.

Everything here changes the kernel it runs on, so it refuses to run outside a guest of the lab.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RmapwatchError

_CGROUPS = Path("/sys/fs/cgroup")
_CONTROL = Path("/run/lab/command.sh")
_BPF_STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
_AN_HOUR_MS = "3600000"
_AT_REST = {
    Path("/sys/module/damon_stat/parameters/enabled"): "N",
    Path("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"): _AN_HOUR_MS,
    Path("/proc/sys/kernel/numa_balancing"): "0",
    Path("/proc/sys/vm/compaction_proactiveness"): "0",
}
_LRU_GEN = Path("/sys/kernel/mm/lru_gen/enabled")
_REFRESH = Path("/proc/sys/vm/stat_refresh")

LRUS = ("classic", "mglru")
"""What a kernel can reclaim by."""

DISK = Path("/run/lab/disk")
"""Where a scenario's file system is mounted."""


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
    Stop what touches pages of its own accord, so that a workload's counts are its own.

    Kernels that have DAMON's statistics sample pages all the time; khugepaged reads pages of a file
    back in that were reclaimed, to make huge ones of all; with several nodes, pages are unmapped to
    see who uses them, and moved there; and where free memory is in pieces, kcompactd moves pages
    before anybody has asked for more.
    """
    require_guest()
    for path, value in _AT_REST.items():
        if path.exists():
            path.write_text(value)


def count_program_runs() -> None:
    """Have the kernel count the runs of BPF programs and their time, which it does when asked."""
    require_guest()
    _BPF_STATS.write_text("1")


def zram_swap(size_bytes: int) -> None:
    """Make a compressed swap of ``size_bytes`` in memory, so that anonymous pages can go."""
    require_guest()
    device = _zram(size_bytes)
    _run("mkswap", device)
    _run("swapon", device)


def zram_disk(size_bytes: int) -> None:
    """
    Mount a file system of ``size_bytes`` in memory at `DISK`, whose files are the page cache's.

    It is without read-ahead: no page comes but those that somebody touches.
    """
    require_guest()
    device = _zram(size_bytes)
    (Path("/sys/block") / Path(device).name / "queue" / "read_ahead_kb").write_text("0")
    _run("mkfs.ext4", "-q", "-O", "^has_journal", device)
    DISK.mkdir(parents=True)
    _run("mount", "-t", "ext4", "-o", "noatime", device, str(DISK))


def drop_disk() -> None:
    """Unmount what `zram_disk` mounted."""
    require_guest()
    _run("umount", str(DISK))
    DISK.rmdir()


def _zram(size_bytes: int) -> str:
    """Return a new compressed device in memory."""
    _run("modprobe", "zram", "num_devices=0")
    number = Path("/sys/class/zram-control/hot_add").read_text().strip()
    (Path("/sys/block") / f"zram{number}" / "disksize").write_text(str(size_bytes))
    return f"/dev/zram{number}"


def lrus() -> tuple[str, ...]:
    """Return what this kernel can reclaim by, what it comes with first."""
    if not _LRU_GEN.exists():
        return (lru(),)
    return LRUS[::-1] if lru() == "mglru" else LRUS


def load(modules: Iterable[str]) -> None:
    """Load modules of the kernel."""
    require_guest()
    for module in modules:
        _run("modprobe", module)


def choose_lru(algorithm: str) -> None:
    """Have the kernel reclaim by "mglru" or by the "classic" LRU; raise where it cannot."""
    require_guest()
    if algorithm not in lrus():
        raise RmapwatchError(f"this kernel has no {algorithm} LRU", f"{_LRU_GEN} is missing")
    if algorithm != lru():
        _LRU_GEN.write_text("y" if algorithm == "mglru" else "n")


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


def lru() -> str:
    """Return by which LRU the kernel reclaims: "mglru" or "classic"."""
    # The lowest bit is the switch itself; the others are what it makes use of.
    enabled = int(_LRU_GEN.read_text(), 16) if _LRU_GEN.exists() else 0
    return "mglru" if enabled & 1 else "classic"


def settled_vmstat() -> dict[str, int]:
    """Return ``/proc/vmstat`` with what the CPUs had still to themselves."""
    require_guest()
    _REFRESH.write_text("1")
    return vmstat()


def vmstat() -> dict[str, int]:
    """Return ``/proc/vmstat``: counters of events and numbers of pages."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RmapwatchError(f"{' '.join(command)} failed", done.stderr.strip())
