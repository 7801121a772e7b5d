"""
The handlers of `bpf/cow.bpf.c` over events. Pure.

That somebody wrote, and how long it took; what was mapped, and what is afterwards, lies in the page
table, where no event looks.
"""

from __future__ import annotations

from .. import cow
from .counting import Call, Counting, Given

_UNSEEN = cow.OUTCOMES.index("other")


class Cow(Counting):
    """Writes to write-protected pages."""

    def _cow_enter(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        self._begins("cow", probe, tid, Call(probe, time))

    def _cow_exit(self, probe: int, number: int, time: int, tid: int, given: Given) -> None:
        call = self._ends("cow", probe, tid)
        if call is not None:
            self._timed("cows", _UNSEEN, "calls", time - call.begin)
