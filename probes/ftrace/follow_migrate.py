"""The handlers of `bpf/migrate.bpf.c` over events. Pure."""

from __future__ import annotations

from ..events import NOT_KNOWN
from ..migrate import REASONS
from .counting import Call, Counting, Given

_UNREPORTED = dict.fromkeys(("succeeded", "failed", "split"), NOT_KNOWN)
"""What the kernel reports of a call, before it has."""


class Migrate(Counting):
    """What mm/migrate.c does."""

    def _migrate_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        told = {"reason": given["reason"], "mode": given["mode"], **_UNREPORTED}
        self._begins("migration", probe, tid, Call(probe, time, _cell(given["reason"]), told=told))

    def _migrate_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("migration", probe, tid)
        if call is not None:
            ns = time - call.begin
            self._timed("migrations", call.number, "call.calls", ns)
            self._tell("migration", time, tid, ns=ns, returned=given["ret"], **call.told)

    def _migrate_report(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        told = {name: given[name] for name in _UNREPORTED}
        self._add("migrations", _cell(given["reason"]), **told)
        call = self.open["migration"].get(tid)
        if call is not None:
            call.told.update(told)


def _cell(reason: int) -> int:
    return min(reason, REASONS - 1)
