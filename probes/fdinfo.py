"""What the kernel tells of descriptors of maps and programs: /proc/self/fdinfo."""

from __future__ import annotations

import os
from pathlib import Path


def fdinfo(fd: int) -> dict[str, int]:
    """Return the numbers that the kernel tells of a descriptor."""
    return _numbers(Path(f"/proc/self/fdinfo/{fd}").read_bytes())


def _numbers(text: bytes) -> dict[str, int]:
    pairs = (line.split() for line in text.decode().splitlines())
    return {p[0].rstrip(":"): int(p[1]) for p in pairs if len(p) == 2 and p[1].isdecimal()}


class Program:
    """A loaded program's own counters, read from its descriptor's fdinfo."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        # Opened now: after privileges are dropped it could not be.
        self._info = Path(f"/proc/self/fdinfo/{fd}").open("rb", buffering=0)  # noqa: SIM115

    def close(self) -> None:
        """Let go of it."""
        self._info.close()
        os.close(self._fd)

    def recursion_misses(self) -> int | None:
        """Return how often the kernel skipped it on re-entry; None where it does not say."""
        return self.counters().get("recursion_misses")

    def counters(self) -> dict[str, int]:
        """Return all that the kernel counts of it; what a kernel does not say is not there."""
        self._info.seek(0)
        return _numbers(self._info.read(4096))
