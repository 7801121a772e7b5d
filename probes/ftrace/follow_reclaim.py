"""
The handlers of `bpf/reclaim.bpf.c` over events. Pure.

A batch counts only where it is known what its thread was inside of.
"""

from __future__ import annotations

from ...kernels.changes import DEFINED
from .. import reclaim, state
from .counting import Call, Counting, Given, Kernel
from .tape import Tape

_PROACTIVE = DEFINED["MEMCG_RECLAIM_PROACTIVE"].value
_KDAMOND, _KDAMOND_MASK = int.from_bytes(b"kdamond", "little"), (1 << 56) - 1
_UNASKED_FOR = (reclaim.CALLERS.index("pages"), reclaim.CALLERS.index("clean"))


class Reclaim(Counting):
    """What mm/vmscan.c does."""

    def __init__(self, layout: state.Layout, kernel: Kernel, tape: Tape) -> None:
        """As `Counting`."""
        super().__init__(layout, kernel, tape)
        self._batches = 0
        self._known: set[int] = set()

    def forget(self) -> None:
        """Give up what is under way, and what is known of who asked for it."""
        super().forget()
        self._known.clear()

    def _reclaim_enter(self, probe: int, reclaimer: int, time: int, tid: int, given: Given) -> None:
        name = reclaim.RECLAIMERS[reclaimer]
        if name == "memcg" and given.get("options", 0) & _PROACTIVE:
            name = "proactive"
        if name == "direct" and given.get("khugepaged") and given["khugepaged_tid"] == tid:
            name = "khugepaged"
        self._known.add(tid)
        self._begins("reclaim", probe, tid, Call(probe, time, reclaim.RECLAIMERS.index(name)))

    def _reclaim_exit(self, probe: int, reclaimer: int, time: int, tid: int, given: Given) -> None:
        self._known.add(tid)
        call = self._ends("reclaim", probe, tid)
        if call is not None:
            self._timed("stalls", call.number, "calls", time - call.begin)

    def _shrink_enter(self, probe: int, caller: int, time: int, tid: int, given: Given) -> None:
        self._begins("shrink", probe, tid, Call(probe, time, caller, given))

    def _shrink_exit(self, probe: int, caller: int, time: int, tid: int, given: Given) -> None:
        self._ends("shrink", probe, tid)

    def _age_enter(self, probe: int, ager: int, time: int, tid: int, given: Given) -> None:
        self._begins("age", probe, tid, Call(probe, time, ager))

    def _age_exit(self, probe: int, ager: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("age", probe, tid)
        if call is not None:
            self._timed("ages", call.number, "calls", time - call.begin)

    def _batch_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._batches += 1
        self._begins("batch", probe, tid, Call(probe, time, self._batches))

    def _batch_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        if tid in self.open["batch"] and not self._is_known(tid):
            self._gives_up("batch", tid)
            return
        call = self._ends("batch", probe, tid)
        if call is None:
            return
        shrink, asked = self.open["shrink"].get(tid), self.open["reclaim"].get(tid)
        caller = shrink.number if shrink else reclaim.CALLERS.index("inactive")
        reclaimer = asked.number if asked else self._unasked_for(caller, tid)
        cell = caller * len(reclaim.RECLAIMERS) + reclaimer
        self._timed("batches", cell, "batches", time - call.begin)
        self._add("batches", cell, reclaimed=given["ret"])

    def _is_known(self, tid: int) -> bool:
        """Return whether it is known what called this thread's batch, and on whose behalf."""
        shrink = self.open["shrink"].get(tid)
        return tid in self._known or (shrink is not None and shrink.number in _UNASKED_FOR)

    def _unasked_for(self, caller: int, tid: int) -> int:
        """Return on whose behalf a batch is that no call for memory asked for."""
        if reclaim.CALLERS[caller] != "pages":
            return reclaim.RECLAIMERS.index("other")
        of_damon = self.open["shrink"][tid].given.get("comm", 0) & _KDAMOND_MASK == _KDAMOND
        return reclaim.RECLAIMERS.index("damon" if of_damon else "madvise")

    def _algorithm(self, probe: int, tid: int) -> int | None:
        """Return which LRU a report is of; None where nobody knows, which is counted."""
        shrink = self.open["shrink"].get(tid)
        if shrink is not None and reclaim.CALLERS[shrink.number] == "evict":
            return reclaim.ALGORITHMS.index("mglru")
        if not self._kernel.evicts or self._is_known(tid):
            return reclaim.ALGORITHMS.index("classic")
        self.doubtful[probe] += 1
        return None

    def _reported_isolate(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        algorithm = self._algorithm(probe, tid)
        if algorithm is not None:
            cell = algorithm * len(reclaim.LISTS) + self._kernel.lists[given["lru"]]
            self._report("isolations", cell, "isolations", given, "scanned", "taken")

    def _reported_shrink_inactive(
        self, probe: int, number: int, time: int, tid: int, given: Given
    ) -> None:
        algorithm = self._algorithm(probe, tid)
        if algorithm is not None:
            self._report("shrunk", algorithm, "lists", given, "scanned", "reclaimed")

    def _reported_shrink_active(
        self, probe: int, number: int, time: int, tid: int, given: Given
    ) -> None:
        self._report("deactivation", 0, "lists", given, "taken", "activated", "deactivated")

    def _report(self, member: str, index: int, counted: str, given: Given, *names: str) -> None:
        self._add(member, index, **{counted: 1}, **{name: given[name] for name in names})
