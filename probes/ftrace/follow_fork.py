"""
The handlers of `bpf/fork.bpf.c` over events. Pure.

How long the chain is that a VMA gets can only be read off its list, which no event does.
"""

from __future__ import annotations

from ...kernels.changes import DEFINED
from .. import fork
from ..events import NOT_KNOWN
from .counting import FAILED, Call, Counting, Given

_SHARES = DEFINED["CLONE_VM"].value
_ERRORS = {-DEFINED[name].value: place for place, name in enumerate(fork.ERRORS[:-1])}
_COPY_PROCESS, _DUP_MMAP = map(fork.STEPS.index, ("copy_process", "dup_mmap"))
_ANON_VMA_FORK = fork.STEPS.index("anon_vma_fork")
_CLONE = fork.FAILING.index("anon_vma_clone")
_BY_FORK, _BY_OTHERS = map(fork.CLONERS.index, ("fork", "other"))

COUNTERS = tuple(f"rss{number}" for number in range(DEFINED["NR_MM_COUNTERS"].value))
"""The counters of a child's pages and swap entries, as its fork's exit carries them."""


class Fork(Counting):
    """What copies a process's memory."""

    def _fork_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        told = {"anon_vma_ns": 0, "copy_ns": 0, "linked": 0}
        self._begins("fork", probe, tid, Call(probe, time, given=given, told=told))

    def _fork_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("fork", probe, tid)
        failed = given["ret"] >= FAILED
        process = 0 if failed else given.get("process", 0)
        if not failed:
            self._is_born(given["child"], process)
        if call is None or call.given["flags"] & _SHARES:
            return
        ns, returned = time - call.begin, given["ret"] - (1 << 64) if failed else 0
        self._timed("forks", _COPY_PROCESS, "calls", ns)
        self._failed(_COPY_PROCESS, returned)
        vmas, pages = (NOT_KNOWN, NOT_KNOWN) if failed or not given["mm"] else self._born(given)
        born = {"child": process, "vmas": vmas, "pages": pages, "returned": returned}
        chains = {"links": NOT_KNOWN, "longest": NOT_KNOWN}
        self._tell("fork", time, tid, ns=ns, **born, **call.told, **chains)

    def _born(self, given: Given) -> tuple[int, int]:
        """Count the VMAs and pages that a child is born with, and return both."""
        vmas, pages = given["vmas"], NOT_KNOWN
        self._count("fork_vmas", by=vmas)
        if COUNTERS[0] in given:
            pages = sum(given[name] for name in COUNTERS)
            self._count("fork_pages", by=pages)
        else:
            self._count("fork_unsummed")
        return vmas, pages

    def _learns(self, tid: int, name: str, value: int) -> None:
        """Add to what the fork of a thread learns, where it is inside of one."""
        fork = self.open["fork"].get(tid)
        if fork is not None:
            fork.told[name] += value

    def _failed(self, step: int, returned: int) -> None:
        if returned:
            error = _ERRORS.get(returned, len(_ERRORS))
            self._count("fork_errors", step * len(fork.ERRORS) + error)

    def _mmap_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._begins("mmap", probe, tid, Call(probe, time))

    def _mmap_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("mmap", probe, tid)
        if call is not None:
            self._step_ends(_DUP_MMAP, time - call.begin, given["ret"])

    def _vma_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._begins("vma", probe, tid, Call(probe, time))

    def _vma_exit(self, probe: int, step: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("vma", probe, tid)
        if call is not None:
            ns = time - call.begin
            self._step_ends(step, ns, given["ret"])
            self._learns(tid, "anon_vma_ns" if step == _ANON_VMA_FORK else "copy_ns", ns)

    def _step_ends(self, step: int, ns: int, returned: int) -> None:
        self._timed("forks", step, "calls", ns)
        self._failed(step, returned)

    def _clone_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        # A fork's copy is of another process by then; one that is split, merged or moved is not.
        cloner = _BY_OTHERS if given["dst_mm"] == given["src_mm"] else _BY_FORK
        self._begins("clone", probe, tid, Call(probe, time, cloner))

    def _clone_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("clone", probe, tid)
        if call is not None:
            self._timed("clones", call.number, "calls", time - call.begin)
            self._failed(_CLONE, given["ret"])
            if call.number == _BY_FORK and not given["ret"]:
                self._learns(tid, "linked", 1)
