"""A memory file laid out as the kernel's ring buffer, for tests without a kernel."""

import mmap
import os

import numpy as np
from rmapwatch.probes import events
from rmapwatch.probes.ring import Ring

PAGE = mmap.PAGESIZE


class MemoryRing:
    """What produces into such a ring."""

    def __init__(self, size: int = 1 << 16) -> None:
        self.ring_size = size
        self.ring_fd = os.memfd_create("ring")
        os.ftruncate(self.ring_fd, 2 * PAGE + 2 * size)
        self._area = mmap.mmap(self.ring_fd, 2 * PAGE + 2 * size)
        self._produced = 0

    def ring(self) -> Ring:
        """What consumes from it."""
        return Ring(self.ring_fd, self.ring_size)

    def put(self, records: np.ndarray, discard: bool = False) -> None:
        header = (events.STRIDE - events.HEADER) | (discard << 30)
        for record in records:
            data = header.to_bytes(8, "little") + record.tobytes()[events.HEADER :]
            at = self._produced % self.ring_size
            for copy in (at, at + self.ring_size):
                self._area[2 * PAGE + copy : 2 * PAGE + copy + events.STRIDE] = data
            self._produced += events.STRIDE
        self._area[PAGE : PAGE + 8] = self._produced.to_bytes(8, "little")
