"""The handlers of `bpf/memory_failure.bpf.c` over events. Pure."""

from __future__ import annotations

from ...kernels.changes import DEFINED
from .. import memory_failure
from ..events import ALL_ONES, NO_COUNT, NOT_KNOWN
from .counting import Call, Counting, Given

_CODES = {DEFINED[name].value: place for place, name in enumerate(memory_failure.CODES)}
_RESULTS = len(memory_failure.RESULTS)


class MemoryFailure(Counting):
    """What mm/memory-failure.c does."""

    def _failure_enter(self, probe: int, handler: int, time: int, tid: int, given: Given) -> None:
        told = {
            "handler": handler,
            "pfn": given["pfn"],
            "mf_flags": given["flags"],
            "collect_ns": 0,
            "page_type": NOT_KNOWN,
            "result": NOT_KNOWN,
            "victims": 0 if self._kernel.victims else NO_COUNT,
        }
        self._begins("failure", probe, tid, Call(probe, time, handler, told=told))

    def _failure_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("failure", probe, tid)
        if call is not None:
            ns, returned = time - call.begin, given["ret"]
            self._timed("failures", call.number, "calls", ns)
            self._count("failure_errors", call.number, bool(returned))
            self._tell("memory_failure", time, tid, ns=ns, returned=returned, **call.told)

    def _action(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        if given["type"] < memory_failure.TYPES and given["result"] < _RESULTS:
            self._count("actions", given["type"] * _RESULTS + given["result"])
        failure = self.open["failure"].get(tid)
        if failure is not None:
            failure.told.update(page_type=given["type"], result=given["result"])

    def _collect_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._begins("collect", probe, tid, Call(probe, time))

    def _collect_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("collect", probe, tid)
        if call is not None:
            self._timed("collects", 0, "calls", time - call.begin)
            failure = self.open["failure"].get(tid)
            if failure is not None:
                failure.told["collect_ns"] += time - call.begin

    def _victim(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        failure = self.open["failure"].get(tid)
        if failure is not None:
            failure.told["victims"] += 1

    def _mceerr(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        code = _CODES.get(given["code"])
        if code is None:
            return
        self._count("signals", code)
        failure = self.open["failure"].get(tid)
        told = {name: given[name] for name in ("address", "lsb")}
        told["pfn"] = failure.told["pfn"] if failure else ALL_ONES
        # One that is forced is to the thread that runs, and names none.
        told["target"] = given.get("target", 0) if "task" in given else self._process_of(tid)
        self._tell("signal", time, tid, code=code, **told)
