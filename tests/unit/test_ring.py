"""The ring's consumer, against a memory file laid out as the kernel lays out a ring buffer."""

import mmap
import os

import numpy as np
from rmapwatch.probes import events, ring

SIZE = 4096
PAGE = mmap.PAGESIZE
SLOTS = SIZE // events.STRIDE


class Kernel:
    """Plays the producer. The data pages stand once here; the kernel maps them twice."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.area = mmap.mmap(self.fd, 2 * PAGE + 2 * SIZE)
        self.words = np.frombuffer(self.area, "<u8")
        self.produced = 0

    def put(self, event: str, flags: int = 0, **values: int) -> None:
        slot = np.zeros(1, np.dtype(events.numpy_fields(event)))
        slot["type"] = events.type_number(event)
        for name, value in values.items():
            slot[name] = value
        header = (events.STRIDE - events.HEADER) | flags
        record = header.to_bytes(4, "little") + bytes(4) + slot.tobytes()[events.HEADER :]
        at = self.produced % SIZE
        for copy in (at, at + SIZE):
            self.area[2 * PAGE + copy : 2 * PAGE + copy + events.STRIDE] = record
        self.produced += events.STRIDE
        self.words[PAGE // 8] = self.produced

    def finish(self, slot: int) -> None:
        """Clear the BUSY bit of a slot."""
        for copy in (slot * events.STRIDE, slot * events.STRIDE + SIZE):
            self.area[2 * PAGE + copy + 3] &= 0x7F

    def consumed(self) -> int:
        return int(self.words[0])


def test_records_come_out_in_order_and_by_type() -> None:
    kernel = Kernel()
    reader = ring.Ring(kernel.fd, SIZE)
    kernel.put("walk", vmas=3, ns=500)
    kernel.put("reference", result=-1)
    kernel.put("walk", vmas=-1)
    seq, batch = reader.drain()
    decoded = ring.decode(batch)
    assert seq == 0
    assert decoded["walk"]["vmas"].tolist() == [3, -1]
    assert decoded["walk"]["ns"][0] == 500
    assert decoded["reference"]["result"].tolist() == [-1]
    assert kernel.consumed() == 3 * events.STRIDE
    assert reader.drain()[0] == 3


def test_it_stops_at_a_record_still_being_written_and_goes_on_later() -> None:
    kernel = Kernel()
    reader = ring.Ring(kernel.fd, SIZE)
    kernel.put("walk", vmas=1)
    kernel.put("walk", flags=1 << 31, vmas=2)
    kernel.put("walk", vmas=3)
    assert len(reader.drain()[1]) == 1
    assert len(reader.drain()[1]) == 0
    kernel.finish(1)
    seq, batch = reader.drain()
    assert seq == 1
    assert ring.decode(batch)["walk"]["vmas"].tolist() == [2, 3]


def test_a_discarded_record_is_left_out_and_still_counted_in_seq() -> None:
    kernel = Kernel()
    reader = ring.Ring(kernel.fd, SIZE)
    kernel.put("walk", flags=1 << 30, vmas=1)
    kernel.put("walk", vmas=2)
    assert ring.decode(reader.drain()[1])["walk"]["vmas"].tolist() == [2]
    assert reader.seq == 2


def test_a_batch_may_run_over_the_end_of_the_data() -> None:
    kernel = Kernel()
    reader = ring.Ring(kernel.fd, SIZE)
    for vmas in range(SLOTS - 1):
        kernel.put("walk", vmas=vmas)
    reader.drain()
    for vmas in (100, 101, 102):
        kernel.put("walk", vmas=vmas)
    assert ring.decode(reader.drain()[1])["walk"]["vmas"].tolist() == [100, 101, 102]
