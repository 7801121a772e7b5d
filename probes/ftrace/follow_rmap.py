"""The handlers of `bpf/rmap.bpf.c` over events: walks, their VMAs, the reference check. Pure."""

from __future__ import annotations

from .. import rmap, state
from . import walks
from .counting import Call, Counting, Given, WalkEnd, count_slot

_REFERENCE = next(number for number, op in enumerate(rmap.OPS) if op.name == "reference")
_OTHER = next(number for number, op in enumerate(rmap.OPS) if op.name == "other")


class Rmap(Counting):
    """What mm/rmap.c does."""

    def _walk_enter(self, probe: int, kind: int, time: int, tid: int, given: Given) -> None:
        op = self._kernel.op(given["one"], given["arg"], _OTHER)
        self._begins("walk", probe, tid, Call(probe, time, op, given))

    def _step(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self.open["walk"].get(tid)
        if call is None:
            self._count("stray_steps")
        else:
            call.vmas += 1

    def _walk_exit(self, probe: int, kind: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("walk", probe, tid)
        if call is None:
            return
        op = call.number
        cell = kind * len(rmap.OPS) + op
        self._timed("walks", cell, "walks", time - call.begin)
        vmas = call.vmas if self._kernel.steps >> op & 1 else None
        if vmas is not None:
            self._add("walks", cell, vmas=vmas)
            self.words[self._at("walks", cell, "vmas_slots") + count_slot(vmas)] += 1
        common = self._common(time, tid) if "walk" in self._tape.wanted else None
        end = WalkEnd(kind, call, time, vmas, common)
        check = self.open["check"].get(tid)
        if op == _REFERENCE and check is not None:
            check.walk = end  # whether it gave up is what the check returns
        else:
            self._tell_walk(end, gave_up=False)

    def _tell_walk(self, walk: WalkEnd, gave_up: bool) -> None:
        if walk.common is not None:
            told = walks.of_walk(self._kernel, walk, gave_up)
            self._tape.add("walk", {**walk.common, **told})

    def _reference_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._begins("check", probe, tid, Call(probe, time, given=given))

    def _reference_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("check", probe, tid)
        if call is None:
            return
        result, asked_by = given["ret"], 1 if call.given["is_locked"] else 0
        lru = state.LRUS.index("anon" if call.given["flags"] & self._kernel.swapbacked else "file")
        cell = (asked_by * len(state.LRUS) + lru) * len(state.RESULTS)
        self._count("references", cell + (0 if result < 0 else min(result, 2) + 1))
        walk = call.walk
        if walk is not None:
            cell = walk.kind * len(rmap.OPS) + _REFERENCE
            self._add("walks", cell, bailouts=int(result < 0))
            self._tell_walk(walk, gave_up=result < 0)
        if "reference" in self._tape.wanted:
            told = walks.of_check(self._kernel, call, result)
            self._tape.add("reference", {**self._common(time, tid), **told})
