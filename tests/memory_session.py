"""A session over memory that no kernel writes, for tests of what reads it."""

import mmap
from pathlib import Path

from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import catalogue, resolve, session

FACTS = Path(__file__).parent / "data" / "facts" / "6.1.json"
CPUS = 4


class Program:
    """A program that the kernel never skipped."""

    def recursion_misses(self) -> int:
        return 0


class MemorySession(session.Session):
    """All probes of a 6.1 kernel; ``words`` are those of `cpu_state`, of all CPUs."""

    def __init__(self) -> None:
        facts = KernelFacts.from_json(FACTS.read_text())
        points = [point for point in catalogue.POINTS if not point.opt_in]
        found, missing = resolve.resolve_all(points, facts)
        rows = [
            {
                "probe": each.point.name,
                "symbol": each.source.symbol,
                "mechanism": "+".join(each.mechanisms),
                "reason": each.reason,
                "links": [],
                "programs": [],
            }
            for each in found
        ]
        manifest = {
            "facts": facts.to_json(),
            "backend": "bcc",
            "probes": [each.point.name for each in found],
            "attached": rows,
            "unavailable": [{"probe": m.point.name, "reason": m.reason} for m in missing],
            "maps": dict.fromkeys(("state", "work", "control", "events"), 0),
            "possible_cpus": CPUS,
            "cost": None,
        }
        super().__init__(manifest, [0])
        self._programs = {row["probe"]: [Program(), Program()] for row in rows}
        self.words, self.layout = self._state, self._layout

    def _map(self, fd: int, struct: str, count: int = 1) -> memoryview:
        count = CPUS if struct == "cpu_state" else count
        return memoryview(mmap.mmap(-1, 8 * self._layout.words(struct) * count)).cast("Q")
