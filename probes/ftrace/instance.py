"""An instance of the trace buffers with the events of the probe points that the kernel allows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ... import errors
from ...kernels.facts import KernelFacts
from ..resolve import Candidate, Unavailable
from ..sample import Attachment
from . import clean, formats, pages, plan, tracefs
from .buffers import Buffers
from .plan import Side


@dataclass(frozen=True)
class Hits:
    """How often the kernel ran into a kprobe event, and how often it could not tell of it."""

    hits: int = 0
    missed: int = 0

    def __sub__(self, other: Hits) -> Hits:
        return Hits(self.hits - other.hits, self.missed - other.missed)


def profile(text: str) -> dict[str, Hits]:
    """Return what `kprobe_profile` tells, by name of the event."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: Hits(int(row[1]), int(row[2])) for row in rows if len(row) == 3}


class Instance:
    """
    What this process has in tracefs, until it is closed or the process ends.

    ``attached``: the events of each probe point that is watched, those of its exit first.
    ``unavailable``: why others are not.
    """

    def __init__(self, facts: KernelFacts, buffer_kb: int) -> None:
        """Make it, without an event; raise what a user can act on."""
        self._root = tracefs.root()
        tracefs.sweep(self._root)
        self._facts, self._owner = facts, str(os.getpid())
        self.attached: dict[str, list[Side]] = {}
        self.rows: list[Attachment] = []
        self.unavailable: dict[str, str] = {}
        self._supervisor = tracefs.Supervisor(self._root)
        try:
            tracefs.make(self._root, plan.setup(self._owner, buffer_kb))
            events = self._root / "events"
            self.shape = pages.layout(
                (events / "header_page").read_text(), (events / "header_event").read_text()
            )
            folder = self._root / f"{clean.INSTANCE}{self._owner}"
            self.buffers = Buffers(folder, self.shape.size)
        except BaseException:
            self._supervisor.end()
            raise
        # Opened now: after privileges are dropped it could not be.
        self._profile = (self._root / "kprobe_profile").open("rb", buffering=0)

    def attach(self, candidates: Sequence[Candidate], refused: Sequence[Unavailable]) -> None:
        """Switch on the events of `candidates`; raise where nothing comes of it."""
        self.unavailable = {answer.point.name: answer.reason for answer in refused}
        for candidate in candidates:
            self._attach(candidate)
        if not self.attached:
            why = next(iter(self.unavailable.values()), "no probe was asked for")
            raise errors.NothingAttachedError(
                "no event could be set up", why, "rmapwatch probes --explain --backend ftrace"
            )

    def _attach(self, candidate: Candidate) -> None:
        point = candidate.point.name
        sides = plan.sides(candidate, self._facts, self._owner)
        try:
            for side in sides:
                for write in (*plan.define(side), plan.enable(side, self._owner)):
                    tracefs.attempt(self._root, write)
        except tracefs.RefusedError as refused:
            self.unavailable[point] = f"{candidate.source.symbol}: answered {refused}"
            return  # what is switched on of it goes with the instance, and is passed over
        self.attached[point] = sides
        mechanism = "+".join(f"{name} event" for name in candidate.mechanisms)
        self.rows.append(Attachment(point, candidate.source.symbol, mechanism, candidate.reason))

    def format(self, side: Side) -> formats.Format:
        """Return where an event carries what."""
        return formats.parse((self._root / "events" / side.path / "format").read_text())

    def hits(self) -> dict[str, Hits]:
        """Return by name of the event how often the kernel ran into it."""
        self._profile.seek(0)
        ours = {side.name for sides in self.attached.values() for side in sides}
        told = profile(self._profile.readall().decode())
        return {name: hits for name, hits in told.items() if name in ours}

    def close(self) -> bool:
        """Remove everything; return whether nothing is left."""
        self.buffers.close()
        self._profile.close()
        return self._supervisor.end()
