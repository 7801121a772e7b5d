"""
The handlers of `bpf/locks.bpf.c` over events. Pure.

Threads wait for every rwsem in the same functions, and most of these are not ours: a wait that is
not followed ends without a beginning, and that is no account's business.
"""

from __future__ import annotations

from .. import locks
from . import walks
from .counting import FAILED, Call, Counting, Given

_ANON_VMA, _I_MMAP = map(locks.LOCKS.index, ("anon_vma", "i_mmap"))
_WALK, _OTHER = map(locks.DURING.index, ("walk", "other"))


class Locks(Counting):
    """Waits for the locks that walks take."""

    def _wait_enter(self, probe: int, mode: int, time: int, tid: int, given: Given) -> None:
        found = self._lock(given)
        if found is None:
            self._gives_up("wait", tid)
            return
        lock, holder = found
        walk = self.open["walk"].get(tid)
        during = _WALK if walk else _OTHER
        cell = (lock * len(locks.MODES) + mode) * len(locks.DURING) + during
        known = locks.MODES[mode] == "write" or self._is_met(tid)  # no walk waits to write
        told = {"root": holder, "lock": lock, "mode": mode, "during": during}
        told["walk"] = walk.begin if walk else 0
        self._begins("wait", probe, tid, Call(probe, time, cell, given, told=told, known=known))

    def _lock(self, given: Given) -> tuple[int, int] | None:
        """
        Return which lock it is and whose, by what would be its holder pointing to itself.

        Nothing else is read than what lies beside the lock: where a kprobe has a fault_handler
        (kernels before v5.14), an event that reads where nothing is counts as one that was missed.
        """
        of_anon_vma, of_mapping, of_inode = self._kernel.locks
        lock = given["lock"]
        if given["root"] == lock - of_anon_vma:
            return _ANON_VMA, given["root"]
        return (_I_MMAP, lock - of_mapping) if given["host"] == lock - of_inode else None

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
        ns, name = time - call.begin, walks.comm(call.given)
        self._tell("lock_wait", time, tid, ns=ns, comm=name, **call.told)
