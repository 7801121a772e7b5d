"""
The handlers of `bpf/`, over events that were recorded: the same names, the same words of state.

An event of the trace buffer tells of one end of a call. Those of a thread come in order, so that a
call's end finds its beginning; where events were lost nothing is known of any thread any more, and
what was under way is given up as stale. A batch counts only where it is known what its thread was
inside of. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ...kernels.changes import DEFINED
from ...kernels.facts import KernelFacts
from .. import reclaim, rmap, state
from ..source import steps_watched
from ..spec import Op

SECTIONS = (*state.SECTIONS, "check")
"""What a thread can be inside of; `check`: a reference check, which here has an entry too."""

Given = Mapping[str, int]
"""What an event carries, by name; a text as a number, its first byte the lowest."""

Handler = Callable[[int, int, Given], None]
"""Takes the time, the thread and what the event carries."""

_PROACTIVE = DEFINED["MEMCG_RECLAIM_PROACTIVE"].value
_REFERENCE = next(number for number, op in enumerate(rmap.OPS) if op.name == "reference")
_OTHER = next(number for number, op in enumerate(rmap.OPS) if op.name == "other")
_KDAMOND, _KDAMOND_MASK = int.from_bytes(b"kdamond", "little"), (1 << 56) - 1
_UNASKED_FOR = (reclaim.CALLERS.index("pages"), reclaim.CALLERS.index("clean"))
_NUMBERED = {
    f"{prefix}_{name.upper()}": number
    for prefix, names in (
        ("KIND", rmap.KINDS),
        ("CALLER", reclaim.CALLERS),
        ("RECLAIMER", reclaim.RECLAIMERS),
        ("AGER", reclaim.AGERS),
    )
    for number, name in enumerate(names)
}
"""The constants of the handlers' calls."""


@dataclass(slots=True)
class Call:
    """
    A call under way. ``number``: its op, caller, reclaimer or ager, or a number of its own.
    ``walk``: of a reference check, the end of its walk.
    """

    probe: int
    begin: int
    number: int = 0
    given: Given = field(default_factory=dict)
    vmas: int = 0
    walk: WalkEnd | None = None


@dataclass(frozen=True, slots=True)
class WalkEnd:
    """
    A walk that is over. ``cpu``: at its end. ``batch``: number of the batch that its thread was
    inside of, 0 outside. ``vmas``: None where not all of them are watched.
    """

    kind: int
    op: int
    tid: int
    cpu: int
    batch: int
    begin: int
    end: int
    vmas: int | None
    given: Given


Told = Callable[[WalkEnd, bool], None]
"""Takes a walk that is over, and whether it gave up on a lock that somebody held."""


@dataclass(frozen=True)
class Kernel:
    """
    What the handlers know of the kernel.

    ``ops``: by address of a walk's callback the number of its op, and by mask of the callback's
    argument those of others. ``lists``: `enum lru_list` to places in `reclaim.LISTS`.
    ``swapbacked``: the mask of that page flag. ``evicts``: it has MGLRU. ``steps``: a bit per op
    whose VMAs are all watched.
    """

    ops: Mapping[int, tuple[int, tuple[tuple[int, int], ...]]]
    lists: Mapping[int, int]
    swapbacked: int
    evicts: bool
    steps: int

    def op(self, callback: int, argument: int) -> int:
        """Return the number of the op of a walk."""
        number, masks = self.ops.get(callback, (_OTHER, ()))
        return next((other for mask, other in masks if argument & mask), number)


def kernel(facts: KernelFacts, addresses: Mapping[str, int], attached: Iterable[str]) -> Kernel:
    """Return what is known of a kernel; ``attached``: the functions that are watched."""
    ttu, numbers = facts.enums.get("ttu_flags", {}), facts.enums.get("lru_list", {})
    ops = {
        addresses[callback]: (number, _masks(op, ttu))
        for number, op in enumerate(rmap.OPS)
        for callback in op.callbacks
        if callback in addresses
    }
    lists = {numbers[f"LRU_{n.upper()}"]: at for at, n in enumerate(reclaim.LISTS) if numbers}
    swapbacked = 1 << facts.enums.get("pageflags", {}).get("PG_swapbacked", 0)
    evicts = "evict_folios" in facts.functions
    return Kernel(ops, lists, swapbacked, evicts, steps_watched(attached, facts))


def _masks(op: Op, ttu: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    names = [each.name for each in rmap.OPS]
    masks = (
        (sum(ttu[flag] for flag in flags if flag in ttu), names.index(other))
        for other, flags in op.if_flags.items()
    )
    return tuple((mask, other) for mask, other in masks if mask)


def duration_slot(ns: int) -> int:
    """Return the slot of a duration's histogram."""
    return min((ns - 1).bit_length() if ns > 0 else 0, state.SLOTS - 1)


def count_slot(n: int) -> int:
    """Return the slot of a count's histogram."""
    exact = state.EXACT_COUNTS
    slot = n if n <= exact else (n - 1).bit_length() + exact - (exact.bit_length() - 1)
    return min(slot, state.SLOTS - 1)


class Follower:
    """
    Counts into ``words``, a `cpu_state`, what events tell.

    ``open``: by section and thread the calls under way. ``doubtful``: by probe, the reports that
    are counted nowhere, since nobody knows what their thread was inside of. ``cpu``: on which the
    next event happened.
    """

    def __init__(self, layout: state.Layout, kernel: Kernel, told: Told) -> None:
        """Count by `layout`; `told` is told of each walk that is over."""
        self._layout, self._kernel, self._told = layout, kernel, told
        self.words = [0] * layout.words("cpu_state")
        self.open: dict[str, dict[int, Call]] = {section: {} for section in SECTIONS}
        self.doubtful: Counter[int] = Counter()
        self.cpu = 0
        self._batches = 0
        self._known: set[int] = set()
        self._places: dict[tuple[str, int, str], int] = {}

    def handler(self, call: str, constant: str, probe: int) -> Handler:
        """Return the handler that a probe point names by `call`; `constant` as in its C."""
        method = getattr(self, f"_{call}")
        number = _NUMBERED.get(constant, 0)
        return lambda time, tid, given: method(probe, number, time, tid, given)

    def forget(self) -> None:
        """Give up what is under way: events were lost, and nobody knows of which thread."""
        for calls in self.open.values():
            for call in calls.values():
                self._account(call.probe, "stale")
            calls.clear()
        self._known.clear()

    def reset(self) -> None:
        """Count from zero; what is under way stays so."""
        self.words[:] = [0] * len(self.words)
        self.doubtful.clear()

    # Words

    def _at(self, member: str, index: int = 0, inner: str = "") -> int:
        key = (member, index, inner)
        if key not in self._places:
            start, found = self._layout.find("cpu_state", member)
            if found.struct:
                start += index * self._layout.words(found.struct)
                start += self._layout.find(found.struct, inner)[0]
            else:
                start += index
            self._places[key] = start
        return self._places[key]

    def _add(self, member: str, index: int, **values: int) -> None:
        for inner, value in values.items():
            self.words[self._at(member, index, inner)] += value

    def _count(self, member: str, index: int = 0) -> None:
        self.words[self._at(member, index)] += 1

    def _account(self, probe: int, what: str) -> None:
        self.words[self._at("accounts", probe, what)] += 1

    def _timed(self, member: str, index: int, counted: str, ns: int) -> None:
        self._add(member, index, **{counted: 1, "ns": ns})
        self.words[self._at(member, index, "ns_slots") + duration_slot(ns)] += 1

    # Sections

    def _begins(self, section: str, probe: int, tid: int, call: Call) -> None:
        self._account(probe, "entries")
        left = self.open[section].get(tid)
        if left is not None:
            self._account(left.probe, "stale")
        self.open[section][tid] = call

    def _ends(self, section: str, probe: int, tid: int) -> Call | None:
        call = self.open[section].get(tid)
        if call is None or call.probe != probe:
            self._account(probe, "unmatched")
            return None
        self._account(probe, "exits")
        return self.open[section].pop(tid)

    # mm/rmap.c

    def _walk_enter(self, probe: int, kind: int, time: int, tid: int, given: Given) -> None:
        op = self._kernel.op(given["one"], given["arg"])
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
        batch = self.open["batch"].get(tid)
        where = (self.cpu, batch.number if batch else 0)
        end = WalkEnd(kind, op, tid, *where, call.begin, time, vmas, call.given)
        check = self.open["check"].get(tid)
        if op == _REFERENCE and check is not None:
            check.walk = end  # whether it gave up is what the check returns
        else:
            self._told(end, False)

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
        if call.walk is not None:
            if result < 0:
                self._add("walks", call.walk.kind * len(rmap.OPS) + _REFERENCE, bailouts=1)
            self._told(call.walk, result < 0)

    # mm/vmscan.c

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
            self._account(self.open["batch"].pop(tid).probe, "stale")
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
