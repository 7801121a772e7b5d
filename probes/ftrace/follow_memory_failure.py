"""The handlers of `bpf/memory_failure.bpf.c` over events. Pure."""

from __future__ import annotations

from ...kernels.changes import DEFINED
from .. import memory_failure
from .counting import Call, Counting, Given

_CODES = {DEFINED[name].value: place for place, name in enumerate(memory_failure.CODES)}
_RESULTS = len(memory_failure.RESULTS)


class MemoryFailure(Counting):
    """What mm/memory-failure.c does."""

    def _failure_enter(self, probe: int, handler: int, time: int, tid: int, given: Given) -> None:
        self._begins("failure", probe, tid, Call(probe, time, handler))

    def _failure_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("failure", probe, tid)
        if call is not None:
            self._timed("failures", call.number, "calls", time - call.begin)
            self._count("failure_errors", call.number, bool(given["ret"]))

    def _action(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        if given["type"] < memory_failure.TYPES and given["result"] < _RESULTS:
            self._count("actions", given["type"] * _RESULTS + given["result"])

    def _collect_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._begins("collect", probe, tid, Call(probe, time))

    def _collect_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("collect", probe, tid)
        if call is not None:
            self._timed("collects", 0, "calls", time - call.begin)

    def _mceerr(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        if given["code"] in _CODES:
            self._count("signals", _CODES[given["code"]])
