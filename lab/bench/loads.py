"""What is measured under: pages that go to another node and back, and the walks that this takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ...kernels.semantics import Semantics
from ...model import migration

WORKLOAD = "ping_pong"
PAGES = 64

PROCESSES = (1, 8, 64, 512)
"""By how many processes each page is shared: the loads that the line is fitted to."""

MANY = 1000
"""Processes of a load that no line is fitted to: the line must meet it."""

MAPPINGS = (8, 512)
"""How often one process maps each page."""


@dataclass(frozen=True)
class Load:
    """``sharing``: processes that share each page, or mappings of one process."""

    by: str
    """``processes`` or ``mappings``."""
    sharing: int

    @property
    def name(self) -> str:
        """What it is called in the bench's result."""
        return f"{self.by}-{self.sharing}"

    def arguments(self) -> tuple[str, ...]:
        """Return those of the workload."""
        return (f"--{self.by}", str(self.sharing), "--pages", str(PAGES))


FITTED = tuple(Load("processes", number) for number in PROCESSES)
GROWTH = (Load("processes", MANY), *(Load("mappings", number) for number in MAPPINGS))

WALKS = 2 * PAGES
"""Walks of a round: one to unmap each page, and one to restore its mappings."""


def steps(semantics: Semantics, load: Load) -> float:
    """
    Return the VMAs that a walk of the load enters, on the average of both kinds, by the model.

    A walk to unmap ends when no mapping is left, one to restore has no early end: where everybody
    who is linked to a page maps it, both enter all.
    """
    if load.by == "mappings":
        return load.sharing
    entered = migration.move(semantics, migration.Kind.ANON, load.sharing)
    return (entered.migrate + entered.restore) / 2


def told(names: Iterable[str], steps_of: Mapping[str, float], rounds: int) -> tuple[int, int]:
    """
    Return the walks and the steps that are counted when each load has done so many rounds.

    The way back is walked too, and one round is to warm up.
    """
    walks = 2 * WALKS * (rounds + 1)
    each = [walks * steps_of[name] for name in names]
    return walks * len(each), round(sum(each))
