"""
The handlers of `bpf/ksm.bpf.c` over events. Pure.

Writes to KSM pages are none of them: what is mapped where a write faults is not seen here.
"""

from __future__ import annotations

from ...kernels.changes import DEFINED
from .. import ksm, state
from ..events import ALL_ONES
from . import walks
from .counting import FAILED, Call, Counting, Given, Kernel
from .tape import Tape

_STABLE = DEFINED["STABLE_FLAG"].value
_SHARED, _SHARING, _FAILED, _REMOVED = map(
    ksm.PAGES.index, ("shared", "sharing", "failed", "removed")
)
_COPIED, _SCANNED = map(ksm.WHAT.index, ("copied", "scanned"))


class Ksm(Counting):
    """What mm/ksm.c does."""

    def __init__(self, layout: state.Layout, kernel: Kernel, tape: Tape) -> None:
        """As `Counting`."""
        super().__init__(layout, kernel, tape)
        self._pass_began: int | None = None

    def forget(self) -> None:
        """Give up what is under way, and ksmd's pass: its end may be lost, and the next begun."""
        super().forget()
        self._pass_began = None

    def _ksm_scan(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        if tid == self._kernel.ksmd:
            self._count("ksm_begun")
            self._pass_began = time

    def _ksm_scan_end(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        if self._pass_began is not None and tid == self._kernel.ksmd:
            ns = time - self._pass_began
            self._timed("ksm_scan", 0, "calls", ns)
            self._tell("ksm", time, tid, pfn=ALL_ONES, ns=ns, what=_SCANNED)
            self._pass_began = None

    def _page(self, what: int, time: int, tid: int, pfn: int = ALL_ONES) -> None:
        """Count what happened to a page, and tell it."""
        self._count("ksm_pages", what)
        self._tell("ksm", time, tid, pfn=pfn, ns=0, what=what)

    def _ksm_merge(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._account(probe, "exits")
        if given["ret"]:
            self._page(_FAILED, time, tid)

    def _ksm_append(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        what = _SHARING if given["items"] else _SHARED
        self._page(what, time, tid, given.get("pfn", ALL_ONES))

    def _ksm_remove_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        stable = bool(given["address"] & _STABLE)
        self._begins("remove", probe, tid, Call(probe, time, int(stable)))

    def _ksm_remove_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("remove", probe, tid)
        if call is not None and call.number:
            self._page(_REMOVED, time, tid)

    def _ksm_remove_node(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        """Count a page that is gone; whose removal found that out is counted at its end."""
        removal = self.open["remove"].get(tid)
        found_out = removal is not None and removal.number
        self._count("ksm_pages", _REMOVED, given["length"] - bool(found_out))

    def _ksm_swapin_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._begins("swapin", probe, tid, Call(probe, time, given=given))

    def _ksm_swapin(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("swapin", probe, tid)
        if call is not None:
            outcome = _swapin(given["ret"], call.given["folio"])
            self._count("ksm_swapins", ksm.SWAPINS.index(outcome))
            if outcome == "copied":
                pfn = walks.pfn(self._kernel, call.given["folio"], call.given)
                self._tell("ksm", time, tid, pfn=pfn, ns=0, what=_COPIED)


def _swapin(returned: int, folio: int) -> str:
    """Return what became of a folio, by what ksm_might_need_to_copy() returned."""
    if returned == folio:
        return "same"
    if not returned:
        return "no_memory"
    return "poisoned" if returned >= FAILED else "copied"
