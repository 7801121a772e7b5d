"""
The handlers of `bpf/locks.bpf.c` over events. Pure.

Threads wait for every rwsem in the same functions, and most of these are not ours: a wait that is
not followed ends without a beginning, and that is no account's business.
"""

from __future__ import annotations

from .. import locks
from .counting import FAILED, Call, Counting, Given


class Locks(Counting):
    """Waits for the locks that walks take."""

    def _wait_enter(self, probe: int, mode: int, time: int, tid: int, given: Given) -> None:
        lock = self._lock(given)
        if lock is None:
            self._gives_up("wait", tid)
            return
        during = "walk" if tid in self.open["walk"] else "other"
        cell = (locks.LOCKS.index(lock) * len(locks.MODES) + mode) * len(locks.DURING)
        cell += locks.DURING.index(during)
        known = locks.MODES[mode] == "write" or self._is_met(tid)  # no walk waits to write
        self._begins("wait", probe, tid, Call(probe, time, cell, given, known=known))

    def _lock(self, given: Given) -> str | None:
        """
        Return whose lock it is, by what would be its holder pointing to itself.

        Nothing else is read than what lies beside the lock: where a kprobe has a fault_handler
        (kernels before v5.14), an event that reads where nothing is counts as one that was missed.
        """
        of_anon_vma, of_inode = self._kernel.locks
        if given["root"] == given["lock"] - of_anon_vma:
            return "anon_vma"
        return "i_mmap" if given["host"] == given["lock"] - of_inode else None

    def _wait_exit(self, probe: int, mode: int, time: int, tid: int, given: Given) -> None:
        waiting = self.open["wait"].get(tid)
        if waiting is None:
            return
        if given["ret"] != waiting.given["lock"] and given["ret"] < FAILED:
            self._gives_up("wait", tid)  # this one waited for another lock
            return
        call = self._ends("wait", probe, tid)
        if call is None:
            return
        self._timed("waits", call.number, "calls", time - call.begin)
        walk = self.open["walk"].get(tid)
        if walk is not None:
            walk.waited = True
