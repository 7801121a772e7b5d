"""
The consumer of the kernel's ring buffer: mapped memory, no system call, a batch at a time.

Layout: Documentation/bpf/ringbuf.rst. Page 0 holds the consumer's position (ours to write), page
1 the producer's, then the data twice in a row, so that no record is ever cut. x86-64 only: loads
there are not reordered with older loads, nor stores with older ones.
"""

from __future__ import annotations

import hashlib
import mmap

import numpy as np
import numpy.typing as npt

from . import events

_PAGE = mmap.PAGESIZE
_BUSY, _DISCARD = np.uint32(1 << 31), np.uint32(1 << 30)
_PAYLOAD = events.STRIDE - events.HEADER

Batch = npt.NDArray[np.uint8]
"""Whole slots of the ring: shape (n, STRIDE) bytes, seq in the place of the header."""

Records = npt.NDArray[np.void]
"""Events of one type, as `dtype` has them."""


class Ring:
    """Reads whole records; `seq` of the next one is how many slots were consumed before it."""

    def __init__(self, fd: int, size: int) -> None:
        """Map the ring buffer map `fd` of `size` bytes of data; `fd` stays its owner's."""
        self._consumer = mmap.mmap(fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._shared = mmap.mmap(
            fd, _PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE
        )
        self._size = size
        self._position = np.frombuffer(self._consumer, "<u8", 1)
        self._producer = np.frombuffer(self._shared, "<u8", 1)
        self._slots = np.frombuffer(self._shared, np.uint8, 2 * size, _PAGE).reshape(
            -1, events.STRIDE
        )
        self._headers = self._slots[:, :4].view("<u4")[:, 0]
        self.seq = int(self._position[0]) // events.STRIDE

    def drain(self) -> tuple[int, Batch]:
        """
        Consume what is there, up to the first record still being written.

        Return the seq of the first slot and a copy of the slots, discarded ones left out.
        """
        consumed, produced = int(self._position[0]), int(self._producer[0])
        first = consumed % self._size // events.STRIDE
        count = (produced - consumed) // events.STRIDE
        headers = self._headers[first : first + count]
        busy = np.flatnonzero(headers & _BUSY)
        if busy.size:
            count = int(busy[0])
            headers = headers[:count]
        kept = np.flatnonzero((headers & _DISCARD) == 0)
        batch = self._slots[first + kept]
        seq = self.seq
        batch[:, : events.HEADER].view("<u8")[:, 0] = seq + kept
        self.seq += count
        self._position[0] = consumed + count * events.STRIDE
        return seq, batch


def dtype(event: str) -> np.dtype[np.void]:
    """Return the type of one slot of the ring that holds such an event."""
    found: np.dtype[np.void] = np.dtype(events.numpy_fields(event))  # type: ignore[call-overload]
    return found


def decode(batch: Batch) -> dict[str, npt.NDArray[np.void]]:
    """Return the records of a batch by event type, as structured arrays in order of arrival."""
    if not len(batch):
        return {}
    kinds = batch[:, events.HEADER + events.offsets("walk")["type"]]
    return {
        name: batch[kinds == events.type_number(name)].view(dtype(name)).reshape(-1)
        for name in events.EVENTS
    }


def hide_pointers(records: npt.NDArray[np.void], event: str, key: bytes) -> None:
    """Replace, in place, the kernel addresses by keyed hashes of 56 bits; 0 stays 0."""
    for member in events.EVENTS[event]:
        if member.pointer:
            unique, places = np.unique(records[member.name], return_inverse=True)
            hidden = [_hidden(int(value), key) for value in unique]
            records[member.name] = np.array(hidden, "<u8")[places]


def _hidden(value: int, key: bytes) -> int:
    if not value:
        return 0
    # Seven bytes: no hash is ever in the kernel's half of the addresses, so a leak can be seen.
    digest = hashlib.blake2b(value.to_bytes(8, "little"), digest_size=7, key=key).digest()
    return int.from_bytes(digest, "little")
