"""Names of processes and cgroups: the one place that looks them up."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")


class Owners:
    """Looks up each name once, and keeps it: who is asked about may be gone by the next time."""

    def __init__(self, cgroups: Path = _CGROUPS) -> None:
        """Find cgroups below the folder `cgroups`, where cgroup v2 is mounted."""
        self._root = cgroups
        self._commands: dict[int, str | None] = {}
        self._cgroups: dict[int, str] = {0: ""}

    def command(self, pid: int) -> str | None:
        """Return the name of a process, None where there is none or nobody may see it."""
        if pid not in self._commands:
            try:
                self._commands[pid] = psutil.Process(pid).name()
            except psutil.Error:
                self._commands[pid] = None
        return self._commands[pid]

    def cgroup(self, inode: int) -> str:
        """Return the path of a cgroup; "" for 0, which is the whole machine."""
        if inode not in self._cgroups:
            self._look()
        return self._cgroups.setdefault(inode, f"inode {inode}")

    def _look(self) -> None:
        for folder, _, _ in os.walk(self._root):
            try:
                inode = Path(folder).stat().st_ino
            except OSError:
                continue
            self._cgroups[inode] = folder.removeprefix(str(self._root)) or "/"
