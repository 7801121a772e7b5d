"""
What the handlers over events share: the words that they count into, and what a thread is inside of.

Of a call there are two events, of which the second finds the first by thread and section. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .. import state
from .tape import Tape, Told

SECTIONS = (*state.SECTIONS, "check", "swapin")
"""What a thread can be inside of; the last two are calls that have an entry here alone."""

Given = Mapping[str, int]
"""What an event carries, by name; a text as a number, its first byte the lowest."""

Handler = Callable[[int, int, Given], None]
"""Takes the time, the thread and what the event carries."""

FAILED = (1 << 64) - 4095
"""From here on, what a function returns as a pointer is an error (include/linux/err.h)."""


@dataclass(slots=True)
class Call:
    """
    A call under way. ``number``: its op, caller, cell or a number of its own. ``known``: which of
    these it is; otherwise it is given up at its end. ``told``: what its event will tell, as far as
    that has been seen. ``walk``: of a reference check, the walk that it made. ``waited``: a walk
    has waited for a lock.
    """

    probe: int
    begin: int
    number: int = 0
    given: Given = field(default_factory=dict)
    vmas: int = 0
    told: dict[str, int] = field(default_factory=dict)
    walk: WalkEnd | None = None
    waited: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class WalkEnd:
    """
    A walk that was over at ``end``. ``vmas``: None where not all of them are watched. ``common``:
    what is told of every event, as it was then; None where nobody wants it.
    """

    kind: int
    call: Call
    end: int
    vmas: int | None
    common: Told | None


@dataclass(frozen=True)
class Kernel:
    """
    What the handlers know of the kernel.

    ``ops``: by address of a walk's callback the number of its op, and by mask of the callback's
    argument those of others. ``lists``: `enum lru_list` to places in `reclaim.LISTS`.
    ``swapbacked`` and ``head``: the masks of these page flags. ``page_size``: of a struct page, 0
    where nobody knows. ``evicts``: it has MGLRU. ``locks``: where the lock lies in a struct
    anon_vma, in a struct address_space, and in the struct inode of a file, in bytes. ``ksmd``: its
    thread, None where nobody knows it. ``steps``: a bit per op whose VMAs are all watched.
    ``victims``: who may be told of a memory failure is watched.
    """

    ops: Mapping[int, tuple[int, tuple[tuple[int, int], ...]]]
    lists: Mapping[int, int]
    swapbacked: int
    head: int
    page_size: int
    evicts: bool
    locks: tuple[int, int, int]
    ksmd: int | None
    steps: int
    victims: bool

    def op(self, callback: int, argument: int, unknown: int) -> int:
        """Return the number of the op of a walk; `unknown` where no callback is known as such."""
        number, masks = self.ops.get(callback, (unknown, ()))
        return next((other for mask, other in masks if argument & mask), number)


def duration_slot(ns: int) -> int:
    """Return the slot of a duration's histogram."""
    return min((ns - 1).bit_length() if ns > 0 else 0, state.SLOTS - 1)


def count_slot(n: int) -> int:
    """Return the slot of a count's histogram."""
    exact = state.EXACT_COUNTS
    slot = n if n <= exact else (n - 1).bit_length() + exact - (exact.bit_length() - 1)
    return min(slot, state.SLOTS - 1)


class Counting:
    """
    Counts into ``words``, a `cpu_state`, what events tell.

    ``open``: by section and thread the calls under way. ``doubtful``: by probe, the reports that
    are counted nowhere, since nobody knows what their thread was inside of. ``cpu``: on which the
    next event happened.
    """

    def __init__(self, layout: state.Layout, kernel: Kernel, tape: Tape) -> None:
        """Count by `layout`; what `tape` wants is told on it as it ends."""
        self._layout, self._kernel, self._tape = layout, kernel, tape
        self.words = [0] * layout.words("cpu_state")
        self.open: dict[str, dict[int, Call]] = {section: {} for section in SECTIONS}
        self.doubtful: Counter[int] = Counter()
        self.cpu = 0
        self._met: dict[int, int] = {}
        self._places: dict[tuple[str, int, str], int] = {}

    def forget(self) -> None:
        """Give up what is under way: events were lost, and nobody knows of which thread."""
        for section, calls in self.open.items():
            for tid in list(calls):
                self._gives_up(section, tid)
        self.meet_anew()

    def meet_anew(self) -> None:
        """Take it that any thread may be inside of what nobody has seen begin."""
        self._met.clear()

    def reset(self) -> None:
        """Count from zero; what is under way stays so, and is an entry already."""
        self.words[:] = [0] * len(self.words)
        self.doubtful.clear()
        for calls in self.open.values():
            for call in calls.values():
                self._account(call.probe, "entries")

    # Words

    def _at(self, member: str, index: int = 0, inner: str = "") -> int:
        key = (member, index, inner)
        if key not in self._places:
            start, found = self._layout.find("cpu_state", member)
            struct = found.struct
            start += index * (self._layout.words(struct) if struct else 1)
            for name in filter(None, inner.split(".")):
                at, found = self._layout.find(struct, name)
                start, struct = start + at, found.struct
            self._places[key] = start
        return self._places[key]

    def _add(self, member: str, index: int, **values: int) -> None:
        for inner, value in values.items():
            self.words[self._at(member, index, inner)] += value

    def _count(self, member: str, index: int = 0, by: int = 1) -> None:
        self.words[self._at(member, index)] += by

    def _account(self, probe: int, what: str) -> None:
        self.words[self._at("accounts", probe, what)] += 1

    def _timed(self, member: str, index: int, counted: str, ns: int) -> None:
        """Count a call of so many ns in a cell; ``counted``: what calls are named there."""
        within = counted[: counted.rfind(".") + 1]
        self._add(member, index, **{counted: 1, f"{within}ns": ns})
        self.words[self._at(member, index, f"{within}ns_slots") + duration_slot(ns)] += 1

    # Events

    def _tell(self, event: str, time: int, tid: int, **told: int | bytes) -> None:
        """Tell what a thread did that is over at `time`, where somebody wants to know."""
        if event in self._tape.wanted:
            self._tape.add(event, {**self._common(time, tid), **told})

    def _common(self, time: int, tid: int) -> Told:
        """Return what is told of every event of a thread."""
        batch = self.open["batch"].get(tid)
        return {
            "time": time,
            "tid": tid,
            "tgid": self._process_of(tid),
            "cpu": self.cpu,
            "batch": batch.number if batch else 0,
        }

    # Sections

    def _begins(self, section: str, probe: int, tid: int, call: Call) -> None:
        self._account(probe, "entries")
        self._gives_up(section, tid)
        self.open[section][tid] = call
        self._meets(tid, section)

    def _ends(self, section: str, probe: int, tid: int) -> Call | None:
        self._meets(tid, section)
        call = self.open[section].get(tid)
        if call is None or call.probe != probe:
            self._account(probe, "unmatched")
            return None
        if not call.known:
            self._gives_up(section, tid)
            return None
        self._account(probe, "exits")
        return self.open[section].pop(tid)

    def _gives_up(self, section: str, tid: int) -> None:
        call = self.open[section].pop(tid, None)
        if call is None:
            return
        self._account(call.probe, "stale")
        if call.walk is not None and call.walk.common is not None:
            self._tape.lose("walk")  # nobody will tell whether it gave up

    def _meets(self, tid: int, section: str = "") -> None:
        """
        Note that a thread is inside of nothing but what is known: an event of it was seen. That it
        waits says nothing, it may do so inside a walk.
        """
        if section != "wait":
            self._met.setdefault(tid, 0)

    def _is_born(self, tid: int, process: int) -> None:
        """Note that a thread begins, which is inside of nothing, and whose it is; 0: unknown."""
        self._met[tid] = process

    def _process_of(self, tid: int) -> int:
        """Return the process of a thread that was born since the last loss; 0 of others."""
        return self._met.get(tid, 0)

    def _is_met(self, tid: int) -> bool:
        """
        Return whether all that a thread is inside of is known.

        One of which nothing was seen since the last loss, nor its birth, may be inside of what
        began before that.
        """
        return tid in self._met
