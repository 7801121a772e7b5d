"""The handlers of `bpf/migrate.bpf.c` over events. Pure."""

from __future__ import annotations

from ..migrate import REASONS
from .counting import Call, Counting, Given


class Migrate(Counting):
    """What mm/migrate.c does."""

    def _migrate_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._begins("migration", probe, tid, Call(probe, time, _cell(given["reason"])))

    def _migrate_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("migration", probe, tid)
        if call is not None:
            self._timed("migrations", call.number, "call.calls", time - call.begin)

    def _migrate_report(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        told = {name: given[name] for name in ("succeeded", "failed", "split")}
        self._add("migrations", _cell(given["reason"]), **told)


def _cell(reason: int) -> int:
    return min(reason, REASONS - 1)
