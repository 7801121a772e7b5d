"""What trace buffers of the lab's kernels held around a small fork storm, and their decoding."""

import base64
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import catalogue, events, ring, state
from rmapwatch.probes.ftrace import formats, pages, plan
from rmapwatch.probes.ftrace.buffers import Kind, Merger, reader
from rmapwatch.probes.ftrace.follow import Follower, kernel
from rmapwatch.probes.ftrace.instance import Hits, profile
from rmapwatch.probes.ftrace.plan import Side
from rmapwatch.probes.ftrace.tape import Tape
from rmapwatch.probes.resolve import Candidate
from rmapwatch.probes.state import Block

DATA = Path(__file__).parent / "data"
SERIES = tuple(sorted(p.name.partition(".json")[0] for p in (DATA / "ftrace").glob("*.json.gz")))
MISSED = 1 << 31

Pages = list[tuple[int, bytes]]
"""(CPU, page), each CPU's in order."""


@dataclass
class Recorded:
    """One kernel's."""

    series: str
    facts: KernelFacts
    told: dict[str, Any]

    @classmethod
    def of(cls, series: str) -> "Recorded":
        told = json.loads(gzip.decompress((DATA / "ftrace" / f"{series}.json.gz").read_bytes()))
        facts = KernelFacts.from_json((DATA / "facts" / f"{series}.json").read_text())
        return cls(series, facts, told)

    @property
    def shape(self) -> pages.Layout:
        return pages.layout(self.told["header_page"], self.told["header_event"])

    def pages(self, which: str) -> Pages:
        by_cpu = self.told[which]["pages"]
        return [(int(cpu), base64.b64decode(p)) for cpu, of_cpu in by_cpu.items() for p in of_cpu]

    def hits(self, which: str) -> dict[str, Hits]:
        return profile(self.told[which]["profile"])

    def format(self, which: str, side: Side) -> formats.Format:
        return formats.parse(self.told[which]["formats"][side.path])

    def candidates(self, which: str) -> list[Candidate]:
        """The probe points that were watched when this was recorded."""
        found, _ = plan.resolve_all(catalogue.names(steps=True), self.facts)
        formats = self.told[which]["formats"]
        return [c for c in found if plan.sides(c, self.facts, "PID")[0].path in formats]

    def sides(self, which: str, candidate: Candidate) -> list[Side]:
        """The events of a probe point, with what they carried when this was recorded."""
        found = plan.sides(candidate, self.facts, "PID")
        return [
            replace(
                side,
                fetches={
                    name: fetch
                    for name, fetch in side.fetches.items()
                    if side.carried[name] in self.format(which, side).places
                },
            )
            for side in found
        ]

    def followed(self, which: str, found: Iterable[tuple[int, bytes]]) -> "Followed":
        return Followed(self, which, found)


def buffers(*which: str) -> list[tuple[str, str]]:
    """(Series, which) of the buffers that held something."""
    return [(s, w) for s in SERIES for w in which if Recorded.of(s).pages(w)]


class Followed:
    """What following these pages gave."""

    def __init__(self, recorded: Recorded, which: str, found: Iterable[tuple[int, bytes]]) -> None:
        candidates = recorded.candidates(which)
        self.probes = [c.point.name for c in candidates]
        tape = Tape(1 << 20, ["walk"])
        layout = state.layout(self.probes)
        symbols = [c.source.symbol for c in candidates]
        self.follower = Follower(
            layout,
            kernel(recorded.facts, recorded.told["addresses"], symbols),
            tape,
        )
        self.kinds: dict[str, Kind] = {}
        for number, candidate in enumerate(candidates):
            for side in recorded.sides(which, candidate):
                form = recorded.format(which, side)
                handle = self.follower.handler(side.call, side.constant, number)
                self.kinds[side.name] = Kind(form.number, reader(form, side.carried), handle)
        self.merger = Merger(
            recorded.shape, {kind.number: kind for kind in self.kinds.values()}, self.follower
        )
        for cpu, page in found:
            self.merger.add(cpu, page)
        self.merger.handle(1 << 62)
        self.walks = taken(tape)["walk"]
        self.block = Block(layout, "cpu_state", tuple(self.follower.words))

    def account(self, probe: str) -> dict[str, int]:
        block = self.block.inner("accounts", self.probes.index(probe))
        return {name: block[name] for name in ("entries", "exits", "stale", "unmatched")}


def taken(tape: Tape) -> dict[str, np.ndarray]:
    """What a tape holds, by type of event, in the order of the tape."""
    slots = tape.take()
    assert {len(slot) for slot in slots} <= {events.STRIDE}
    none = {name: np.empty(0, ring.dtype(name)) for name in events.EVENTS}
    return none | ring.decode(np.frombuffer(b"".join(slots), np.uint8).reshape(-1, events.STRIDE))


def with_page_lost(found: Pages, lost: int) -> Pages:
    """The pages without one, as the kernel tells of it on the next page of that CPU."""
    cpu = found[lost][0]
    left = [(c, bytearray(page)) for n, (c, page) in enumerate(found) if n != lost]
    for place, (of, page) in enumerate(left):
        if of == cpu and place >= lost:
            page[8:12] = (int.from_bytes(page[8:12], "little") | MISSED).to_bytes(4, "little")
            break
    return [(c, bytes(page)) for c, page in left]
