"""Memory failures: what came of each, who was told by which signal, and that the page is gone."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..kernels.semantics import Semantics
from ..model import injected
from ..model.memory_failure import Result, Signal, Type, outcomes
from ..probes.events import ALL_ONES, NO_COUNT, NOT_KNOWN
from ..probes.memory_failure import CODES, HANDLERS, TYPE_PREFIX
from .context import Context
from .inside import inside
from .ledgers import HWPOISON
from .verdict import Claim, Columns, Found, Mask, Reason, Rule, judge, untold
from .walks import OP
from .windows import Window, count, empty, joined, kept, taken

_SOURCE = "mm/memory-failure.c"
_COMMIT = "commit 6a46079cf57a"

OUTCOME = Rule(
    "memory failure: the outcome is one that the model knows",
    "failures",
    "memory_failure",
    f"{_SOURCE}, action_result(), identify_page_state(), page_action(); {_COMMIT}",
    "page type, result and returned value of a failure occur together in the model of that kernel",
)
HANDLED = Rule(
    "memory failure: page type, result and return value",
    "failures",
    "memory_failure",
    f"{_SOURCE}, memory_failure(); {_COMMIT}",
    "each failure of the ledger is handled, reported and answered as the model says of such a page",
)
GONE = Rule(
    "memory failure: the page is mapped no more",
    "walks",
    "walk",
    f"{_SOURCE}, hwpoison_user_mappings(); {_COMMIT}",
    "the walk that unmaps a failed page leaves no mapping, unless it is reported as unmap_failed",
)
SENT = Rule(
    "memory failure: no more signals than processes found",
    "failures",
    "memory_failure",
    f"{_SOURCE}, collect_procs(), kill_procs(), kill_accessing_process(); commit db16826367fe",
    "the signals sent while a failure is handled are at most one for each process that was found,"
    " and at most one, to who touched it, where the page was poisoned before",
)
CODE = Rule(
    "memory failure: action is required of who met it, and of no other",
    "signals",
    "signal",
    f"{_SOURCE}, kill_proc(); commit db16826367fe",
    "of the signals sent while a failure is handled, BUS_MCEERR_AR goes to the running process"
    " where the handler's flags require action, BUS_MCEERR_AO to all others",
)
LATE = Rule(
    "memory failure: who touches the page later must act",
    "signals",
    "signal",
    "arch/x86/mm/fault.c, do_sigbus(); commit db16826367fe",
    "a signal outside of any handler is BUS_MCEERR_AR, to the very process that runs",
)
TOLD = Rule(
    "memory failure: each process is told as the model says",
    "failures",
    "memory_failure",
    f"{_SOURCE}, task_early_kill(), kill_proc(); commit db16826367fe",
    "the signals sent while a failure of the ledger is handled are those that the model foretells:"
    " process, code, si_addr and si_addr_lsb",
)
TOLD_LATE = Rule(
    "memory failure: a late touch is told as the model says",
    "signals",
    "signal",
    "arch/x86/mm/fault.c, do_sigbus(); commit db16826367fe",
    "a signal to a process that touches a failed page of the ledger is one of those foretold",
)
RULES = (OUTCOME, HANDLED, GONE, SENT, CODE, LATE, TOLD, TOLD_LATE)

_OF_SIGNALS = ["seq", "time", "tid", "tgid", "pfn", "address", "target", "lsb", "code"]
_OF_UNMAPS = ["seq", "time", "tid", "pfn", "nr_pages", "mapcount_after"]
_SIGNALS = {"BUS_MCEERR_AR": Signal.SIGBUS_AR, "BUS_MCEERR_AO": Signal.SIGBUS_AO}
_AR = CODES.index("BUS_MCEERR_AR")

WAITING = 1 << 16
"""So many signals and walks at most wait for the end of the handler that they are of."""


@dataclass(frozen=True)
class Failing:
    """What waits for the end of a handler, and how many failures have been handled."""

    signals: Columns = field(default_factory=lambda: empty("signal"))
    unmaps: Columns = field(default_factory=lambda: empty("walk"))
    handled: int = 0


class _Handled(NamedTuple):
    """Failures whose handling is over, and the signals sent in it, with the place of each."""

    events: Columns
    signals: Columns
    of: npt.NDArray[np.int64]


def failures(context: Context, before: Failing, window: Window) -> tuple[Failing, list[Found]]:
    """Return what still waits after a window, and what the rules find in it."""
    signals, walks, events = window["signal"], window["walk"], window["memory_failure"]
    outside = signals["pfn"] == np.uint64(ALL_ONES)
    late = taken(signals, outside)
    unmaps = taken(walks, (walks["op"] == OP["unmap"]) & (walks["batch"] == 0))
    signals = joined([before.signals, taken(signals, ~outside)], _OF_SIGNALS)
    unmaps = joined([before.unmaps, unmaps], _OF_UNMAPS)
    if not (count(events) or count(signals) or count(late)):
        return replace(before, unmaps=kept(unmaps, _OF_UNMAPS, WAITING)), []
    events = taken(events, events["handler"] == HANDLERS.index("memory_failure"))
    sent, gone = inside(signals, events), inside(unmaps, events)
    after = Failing(
        kept(taken(signals, ~sent.there), _OF_SIGNALS, WAITING),
        kept(taken(unmaps, ~gone.there), _OF_UNMAPS, WAITING),
        before.handled + count(events),
    )
    handled = _Handled(events, taken(signals, sent.there), sent.places[sent.there])
    found = [
        _outcomes(context, events),
        _gone(context, events, taken(unmaps, gone.there), gone.places[gone.there]),
        _sent(context, handled),
        _codes(context, handled),
        _late(late),
        *_by_ledger(context, handled, late, before.handled),
    ]
    return after, found


def _name(value: Type | None) -> str | None:
    """Return how the recording calls a page type."""
    return value.value.removeprefix(TYPE_PREFIX).lower() if value else None


class _Outcome(NamedTuple):
    """Page type, None where that is not told, result and returned value, as in the event."""

    page_type: str | None
    result: int
    returned: int

    def __str__(self) -> str:
        told = Result(self.result).name if self.result != NOT_KNOWN else "no result"
        return f"{self.page_type or 'no page type'}: {told} ({self.returned})"


def _seen(context: Context, events: Columns) -> list[_Outcome]:
    columns = (events[name].tolist() for name in ("page_type", "result", "returned"))
    rows = zip(*columns, strict=True)
    return [_Outcome(context.page_types.get(number), *rest) for number, *rest in rows]


@functools.cache
def _known(semantics: Semantics) -> frozenset[_Outcome]:
    """Return the outcomes of the model, as events tell them."""
    return frozenset(_Outcome(_name(t), r.value, code) for t, r, code in outcomes(semantics))


def _outcomes(context: Context, events: Columns) -> Found:
    if not count(events):
        return Found(OUTCOME)
    known = _known(context.semantics)
    modelled, seen = {_name(each) for each in Type}, _seen(context, events)
    right = np.array([outcome in known for outcome in seen])
    held = np.array([outcome.page_type in modelled for outcome in seen])

    def tell(at: int) -> tuple[str, str]:
        could = sorted(str(each) for each in known if each.page_type == seen[at].page_type)
        return " or ".join(could) or "no failure of that type", str(seen[at])

    return judge(Claim(OUTCOME, events, right, held), tell)


def _gone(
    context: Context, events: Columns, unmaps: Columns, places: npt.NDArray[np.int64]
) -> Found:
    of_it = (unmaps["pfn"] <= events["pfn"][places]) & (
        events["pfn"][places] < unmaps["pfn"] + unmaps["nr_pages"]
    )
    excused = _is(context, events["page_type"][places], Type.UNMAP_FAILED)
    left = unmaps["mapcount_after"]
    claim = Claim(GONE, unmaps, (left == 0) | excused, of_it & (left != NOT_KNOWN))
    return judge(claim, lambda at: ("mapcount 0", f"mapcount {left[at]}"))


def _sent(context: Context, handled: _Handled) -> Found:
    events = handled.events
    sent = np.bincount(handled.of, minlength=count(events))
    # A page that was poisoned before: older kernels report nothing of it.
    again = _is(context, events["page_type"], Type.ALREADY_POISONED)
    limit = np.maximum(events["victims"], again | (events["page_type"] == NOT_KNOWN))
    missed = context.missed.get("memory_failure_victim", 0)
    unseen = np.full(len(sent), missed > 0)

    def tell(at: int) -> tuple[str, str]:
        return f"at most {limit[at]} signals", f"{sent[at]} signals"

    reasons = [Reason("the kernel did not run a probe's program", unseen, missed)]
    held = events["victims"] != np.uint32(NO_COUNT)
    return judge(Claim(SENT, events, sent <= limit, held), tell, reasons)


def _is(context: Context, numbers: npt.NDArray[Any], kind: Type) -> Mask:
    """Return which numbers stand for a page type in that kernel."""
    wanted = [number for number, name in context.page_types.items() if name == _name(kind)]
    found: Mask = np.isin(numbers, wanted)
    return found


def _codes(context: Context, handled: _Handled) -> Found:
    signals, events, of = handled.signals, handled.events, handled.of
    required = (events["mf_flags"][of] & context.action_required) != 0
    # mf_generic_kill_procs(): the data of a DAX page is gone for everyone.
    required |= _is(context, events["page_type"][of], Type.DAX)
    met = required & (signals["target"] == signals["tgid"])
    model = np.where(met, _AR, 1 - _AR)

    def tell(at: int) -> tuple[str, str]:
        return CODES[model[at]], CODES[signals["code"][at]]

    known = ~required | (signals["tgid"] != 0)  # who it was that met it
    return judge(Claim(CODE, signals, signals["code"] == model, known), tell)


def _late(late: Columns) -> Found:
    right: Mask = (late["code"] == _AR) & (late["target"] == late["tgid"])

    def tell(at: int) -> tuple[str, str]:
        seen = f"{CODES[late['code'][at]]} to {late['target'][at]}"
        return f"{CODES[_AR]} to {late['tgid'][at]}", seen

    return judge(Claim(LATE, late, right, late["target"] != 0), tell)


def _by_ledger(context: Context, handled: _Handled, late: Columns, number: int) -> Iterator[Found]:
    """Yield what is found with the ledger of `hwpoison`; `number`: of failures handled before."""
    if context.ledger.get("workload") != HWPOISON:
        why = "no ledger says what failed"
        yield from (untold(rule, why) for rule in (HANDLED, TOLD, TOLD_LATE))
        return
    rows: list[injected.Row] = context.ledger["failures"]
    yield _as_handled(context, handled.events, rows[number:])
    yield _as_told(context, handled, rows[number:])
    foretold = {told for row in rows for told in injected.told_late(context.semantics, row)}
    told = list(_told(late))

    def tell(at: int) -> tuple[str, str]:
        process = sorted(map(str, (each for each in foretold if each[0] == told[at][0])))
        return ", ".join(process) or "no signal to that process", str(told[at])

    yield judge(Claim(TOLD_LATE, late, np.array([t in foretold for t in told], np.bool_)), tell)


def _as_handled(context: Context, events: Columns, rows: list[injected.Row]) -> Found:
    pfns = events["pfn"].tolist()
    seen = [(pfn, each) for pfn, each in zip(pfns, _seen(context, events), strict=True)]
    model = [_handling(context, row) for row in rows]
    right = np.array([at < len(model) and model[at] == told for at, told in enumerate(seen)], bool)

    def tell(at: int) -> tuple[str, str]:
        return _of_frame(*model[at]) if at < len(model) else "no failure", _of_frame(*seen[at])

    return judge(Claim(HANDLED, events, right), tell)


def _of_frame(pfn: int, outcome: _Outcome) -> str:
    return f"pfn {pfn:#x}: {outcome}"


def _handling(context: Context, row: injected.Row) -> tuple[int, _Outcome]:
    done = injected.handling(context.semantics, row)
    result = NOT_KNOWN if done.result is None else done.result.value
    return row["pfn"], _Outcome(_name(done.type), result, done.returns)


def _as_told(context: Context, handled: _Handled, rows: list[injected.Row]) -> Found:
    seen: list[Counter[injected.Told]] = [Counter() for _ in range(count(handled.events))]
    for at, told in zip(handled.of, _told(handled.signals), strict=True):
        seen[at][told] += 1
    foretold = [Counter(injected.told_at_once(context.semantics, row)) for row in rows]
    foretold += [Counter()] * (len(seen) - len(foretold))
    right = np.array([a == b for a, b in zip(foretold, seen, strict=False)], np.bool_)

    def tell(at: int) -> tuple[str, str]:
        return _signals(foretold[at]), _signals(seen[at])

    return judge(Claim(TOLD, handled.events, right), tell)


def _signals(told: Counter[injected.Told]) -> str:
    words = (
        f"{signal.value if signal else 'a signal'} to {pid} at {address:#x}, lsb {lsb}"
        for pid, signal, address, lsb in sorted(told.elements(), key=str)
    )
    return "; ".join(words) or "no signal"


def _told(signals: Columns) -> Iterator[injected.Told]:
    columns = (signals[name].tolist() for name in ("target", "code", "address", "lsb"))
    for pid, code, address, lsb in zip(*columns, strict=True):
        yield pid, _SIGNALS[CODES[code]], address, lsb
