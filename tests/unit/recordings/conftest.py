"""What a recording needs, without a kernel: samples, events, a session over a memory file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rings import MemoryRing
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import events, ring, rmap, state
from rmapwatch.probes.sample import (
    Account,
    Attachment,
    CallCounts,
    DeactivationCounts,
    EventCounts,
    IsolationCounts,
    Sample,
    ShrunkCounts,
    WalkCounts,
)
from rmapwatch.recordings.meta import Clocks, Ending, Meta, Plan
from rmapwatch.recordings.writer import Writer


def some_records(event: str, count: int, seed: int = 0) -> np.ndarray:
    """Records with random bytes in every field, and with what the kernel can write alone."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (count, events.STRIDE), np.uint8)
    records = raw.view(ring.dtype(event)).reshape(-1)
    records["type"] = events.type_number(event)
    records["reserved"] = 0
    records["seq"] = np.arange(count)
    for member in events.fields(event):
        if member.names:
            records[member.name] %= len(member.names)
        if member.ctype == "char":
            records[member.name] = rng.choice([b"", b"kswapd0", b"a 15 byte name."], count)
        if member.unknown is not None:
            records[member.name][::3] = np.array(member.unknown).astype(records[member.name].dtype)
    return records


def some_meta() -> Meta:
    facts = KernelFacts("6.1.0-test", "#1 SMP", "x86_64")
    attached = (Attachment("rmap_walk_anon", "rmap_walk_anon", "fentry+fexit", "it is traceable"),)
    return Meta(
        facts, Plan("bcc", attached, {"step_x": "not here"}), Clocks(5, 7), command=("true", "-v")
    )


def some_end() -> Ending:
    counts = {name: EventCounts(3, 1, 2) for name in events.EVENTS}
    return Ending(Clocks(9, 11), (5, 8), {"rmap_walk_anon": 0, "x": None}, counts, {"pages": 101})


def some_sample(time_ns: int, scale: int) -> Sample:
    slots = (0, scale) + (0,) * (state.SLOTS - 2)
    counts = WalkCounts(scale, 0, 1000 * scale, scale, scale, slots, slots, slots)
    unwatched = WalkCounts(scale, 0, 1000 * scale, None, scale, slots, None, slots)
    keys = [(c, u, r) for c in state.ASKED_BY for u in state.LRUS for r in state.RESULTS]
    return Sample(
        time_ns=time_ns,
        quiet=bool(scale % 2),
        backend="bcc",
        release="6.1.0-test",
        attached=some_meta().plan.attached,
        unavailable={"step_x": "not here"},
        accounts={"rmap_walk_anon": Account(scale, scale, 0, 0, None, 0, 0, 0)},
        walks={
            (op.name, kind): unwatched if kind == "ksm" else counts
            for op in rmap.OPS[:2]
            for kind in rmap.KINDS
        },
        references=dict.fromkeys(keys, scale),
        decisions={("anon", "keep"): scale},
        batches={},
        stalls={"direct": CallCounts(scale, 1000 * scale, slots)},
        ages={"generation": CallCounts(scale, 1000 * scale, slots)},
        isolations={("mglru", "inactive_file"): IsolationCounts(scale, 2 * scale, scale)},
        shrunk={"mglru": ShrunkCounts(scale, 2 * scale, scale)},
        deactivation=DeactivationCounts(scale, 3 * scale, scale, 2 * scale),
        events={name: EventCounts(scale, 0, scale) for name in events.EVENTS},
        stray_steps=scale,
    )


class FakeSession(MemoryRing):
    """A session whose kernel is a memory file laid out as a ring buffer."""

    SIZE = 1 << 16

    def __init__(self) -> None:
        super().__init__(self.SIZE)
        self.backend, self.facts = "bcc", some_meta().kernel
        self.attached, self.unavailable = some_meta().plan.attached, {}
        self.counts = dict.fromkeys(events.EVENTS, 0)
        self.wanted: tuple[str, ...] | None = None
        self.samples: list[Sample] = []

    def received(self, event: str, count: int) -> None:
        self.counts[event] += count

    def want_events(self, names: tuple[str, ...]) -> None:
        self.wanted = names

    def sample(self) -> Sample:
        self.samples.append(some_sample(1000 + len(self.samples), len(self.samples)))
        return self.samples[-1]


def a_recording(folder: Path, batches: int = 3, whole: bool = True) -> Writer:
    """Two samples and `batches` batches of 5 events of each type."""
    writer = Writer(folder, some_meta())
    writer.sample(some_sample(1_000_000_000, 1))
    for number in range(batches):
        for event in events.EVENTS:
            writer.append(event, some_records(event, 5, number))
        writer.flush()
    writer.sample(some_sample(3_000_000_000, 4))
    if whole:
        writer.close(some_end())
    return writer


@pytest.fixture
def records() -> Callable[..., np.ndarray]:
    return some_records


@pytest.fixture
def sample() -> Callable[[int, int], Sample]:
    return some_sample


@pytest.fixture
def meta() -> Meta:
    return some_meta()


@pytest.fixture
def end() -> Ending:
    return some_end()


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def new_session() -> type[FakeSession]:
    return FakeSession


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A whole recording on disk."""
    a_recording(tmp_path / "recording")
    return tmp_path / "recording"


@pytest.fixture
def write() -> Callable[..., Writer]:
    return a_recording
