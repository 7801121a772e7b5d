"""The recording as a whole: accounts, losses, and the last Sample against the events."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..probes.cow import OUTCOMES, PAGES
from ..probes.events import ALL_ONES, NOT_KNOWN
from ..probes.ksm import WHAT
from ..probes.memory_failure import CODES, HANDLERS, TYPES
from ..probes.readout import results
from ..probes.reclaim import CALLERS, DECISIONS, RECLAIMERS
from ..probes.rmap import KINDS, OPS
from ..probes.sample import EventCounts, Sample
from ..probes.state import ASKED_BY, LRUS, RESULTS
from .context import Context
from .verdict import Columns, Found, Rule, total, untold
from .windows import Window, count

_STATE = "probes/bpf/common.bpf.c"

ACCOUNTS = Rule(
    "probes: entries = exits + in flight + missed",
    "calls",
    "",
    _STATE,
    "for each probe that watches both sides, in a Sample taken at rest",
)
LOSSES = Rule(
    "events: produced = received + lost",
    "events",
    "",
    _STATE,
    "for each type of event",
)
STORED = Rule(
    "events: received = recorded",
    "events",
    "",
    "recordings/writer.py",
    "all events that the reader received are in the recording",
)
GAPLESS = Rule(
    "events: no gap in their numbers",
    "events",
    "",
    "probes/ring.py",
    "the numbers of all events, lost ones left out, follow each other",
)
WALKS = Rule(
    "walks: counted = told by events",
    "counts",
    "",
    "probes/bpf/rmap.bpf.c",
    "walks, VMAs and entries counted in the kernel by op and kind are those of the events",
)
CHECKS = Rule(
    "reference checks: counted = told by events",
    "counts",
    "",
    "probes/bpf/rmap.bpf.c",
    "checks counted in the kernel by caller, list and result, and decisions by list, are those of"
    " the events",
)
BATCHES = Rule(
    "batches: counted = told by events",
    "counts",
    "",
    "probes/bpf/reclaim.bpf.c",
    "batches and pages reclaimed counted in the kernel by caller and reclaimer are those of the"
    " events",
)
KSM = Rule(
    "ksm: counted = told by events",
    "counts",
    "",
    "probes/bpf/ksm.bpf.c",
    "pages merged, joined, copied and failed to merge, copies on swap-in and passes counted in the"
    " kernel are those of the events; of pages let go, some are counted by nodes and not told",
)
FAILURES = Rule(
    "memory failures: counted = told by events",
    "counts",
    "",
    "probes/bpf/memory_failure.bpf.c",
    "handlings, their errors, actions by page type and result, and signals by code counted in the"
    " kernel are those of the events",
)
COPIES = Rule(
    "copy on write: counted = told by events",
    "counts",
    "",
    "probes/bpf/cow.bpf.c",
    "writes to write-protected pages counted in the kernel by page and outcome are those of the"
    " events",
)
RULES = (ACCOUNTS, LOSSES, STORED, GAPLESS, WALKS, CHECKS, BATCHES, COPIES, KSM, FAILURES)

_OPS = tuple(op.name for op in OPS)
_OF_FAILURES = ("handled", "errors", "actions", "signals")
_TOLD_OF_KSM = tuple(name for name in WHAT if name != "removed")

Cells = Counter[tuple[str, ...]]
"""What was counted, by what."""

Axes = Sequence[tuple[Sequence[str], npt.NDArray[Any]]]
"""What events are counted by: names, and the number of the name that each event has."""


@dataclass(frozen=True)
class Told:
    """What events have told so far, by what. ``first`` and ``last``: their numbers."""

    cells: Cells = field(default_factory=Counter)
    events: Cells = field(default_factory=Counter)
    first: int | None = None
    last: int | None = None


def add(context: Context, told: Told, window: Window) -> Told:
    """Return what events have told after a window."""
    numbers = [int(c["seq"][at]) for c in window.values() if count(c) for at in (0, -1)]
    numbers += [n for n in (told.first, told.last) if n is not None]
    events: Cells = Counter({(name,): count(columns) for name, columns in window.items()})
    cells = told.cells.copy()
    for more in (
        _walks(window["walk"]),
        _checks(context, window["reference"]),
        _batches(window["batch"]),
        _sums("cow", [(PAGES, window["cow"]["page"]), (OUTCOMES, window["cow"]["outcome"])]),
        _sums("ksm", [(WHAT, window["ksm"]["what"])]),
        _failures(context, window["memory_failure"]),
        _sums("signals", [(CODES, window["signal"]["code"])]),
    ):
        cells.update(more)
    return Told(
        cells,
        told.events + events,
        min(numbers, default=None),
        max(numbers, default=None),
    )


def _sums(name: str, axes: Axes, **weights: Any) -> Cells:
    """Return how many events there are in each cell, as `name`, and sums of their values."""
    place, sizes = _place(axes), [len(labels) for labels, _ in axes]
    labels = [labels for labels, _ in axes]
    found: Cells = Counter()
    for what, values in {name: None, **weights}.items():
        sums = np.bincount(place, _known(values), math.prod(sizes)).reshape(sizes)
        found.update(_cells(what, labels, sums))
    return found


def _place(axes: Axes) -> npt.NDArray[Any]:
    """Return the number of the cell of each event."""
    place = axes[0][1].astype(np.uint16)
    for labels, codes in axes[1:]:
        place *= np.uint16(len(labels))
        place += codes.astype(np.uint16, copy=False)
    return place


def _cells(name: str, labels: Sequence[Sequence[str]], sums: npt.NDArray[Any]) -> Cells:
    """Return what is not 0 of a table, by the names of its axes."""
    return Counter(
        {
            (name, *(axis[n] for axis, n in zip(labels, where, strict=True))): int(sums[where])
            for where in zip(*map(np.ndarray.tolist, np.nonzero(sums)), strict=True)
        }
    )


def _known(values: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    """Return the values, 0 where one is not known."""
    unknown = values is not None and len(values) > 0 and values.min() < 0
    return np.maximum(values, 0) if values is not None and unknown else values


def _walks(walks: Columns) -> Cells:
    axes = [(_OPS, walks["op"]), (KINDS, walks["kind"])]
    return _sums("walks", axes, vmas=walks["vmas"], ptes=walks["ptes"])


def _checks(context: Context, checks: Columns) -> Cells:
    words = checks["page_flags"]
    lru = (~context.bit("swapbacked", words)).view(np.uint8)
    lru[words == np.uint64(ALL_ONES)] = len(LRUS)
    result = np.clip(checks["result"], -1, len(RESULTS) - 2) + 1
    caller = np.minimum(checks["is_locked"], 1)
    # What was not seen has a place of its own, beyond those that have names.
    lrus = (*LRUS, "")
    decision = np.minimum(checks["decision"], len(DECISIONS))
    labels = (ASKED_BY, lrus, RESULTS, (*DECISIONS, ""))
    place = _place(list(zip(labels, (caller, lru, result, decision), strict=True)))
    sizes = [len(each) for each in labels]
    table = np.bincount(place, minlength=math.prod(sizes)).reshape(sizes)
    decided = table.sum(axis=(0, 2))[:, : len(DECISIONS)]
    found = _cells("checks", labels[:3], table.sum(axis=3))
    return found + _cells("decisions", (lrus, DECISIONS), decided)


def _batches(batches: Columns) -> Cells:
    axes = [(CALLERS, batches["caller"]), (RECLAIMERS, batches["reclaimer"])]
    return _sums("batches", axes, reclaimed=batches["reclaimed"])


def _failures(context: Context, failures: Columns) -> Cells:
    cells = _sums("handled", [(HANDLERS, failures["handler"])])
    wrong = failures["handler"][failures["returned"] != 0]
    reported = failures["page_type"] != NOT_KNOWN
    types = tuple(context.page_types.get(number, "") for number in range(TYPES))
    actions = [(types, failures["page_type"][reported]), (results(), failures["result"][reported])]
    return cells + _sums("errors", [(HANDLERS, wrong)]) + _sums("actions", actions)


def totals(context: Context, told: Told, events: Mapping[str, EventCounts]) -> Iterator[Found]:
    """Yield what the rules find; `events`: their counts when all was over, empty if not known."""
    yield from losses(told, events)
    sample, of_samples = context.sample, (ACCOUNTS, WALKS, CHECKS, BATCHES)
    if sample is None:
        why = "the recording is cut off"
        yield from (untold(rule, why) for rule in (GAPLESS, *of_samples))
        return
    yield _gapless(told)
    if not sample.quiet:
        yield from (untold(rule, "no Sample was taken at rest") for rule in of_samples)
        return
    yield from accounts(sample)
    yield from counted(sample, told)


def losses(told: Told, events: Mapping[str, EventCounts]) -> Iterator[Found]:
    """Yield: produced = received + lost, and what was received is there."""
    for name, counts in events.items():
        yield total(LOSSES, name, counts.produced, counts.received + counts.lost)
        if (name,) in told.events or counts.received:
            yield total(STORED, name, counts.received, told.events[name,])


def _gapless(told: Told) -> Found:
    if told.first is None or told.last is None:
        return Found(GAPLESS)
    span = told.last - told.first + 1
    return total(GAPLESS, "events", span, told.events.total())


def accounts(sample: Sample) -> Iterator[Found]:
    """Yield: entries = exits + in flight + missed."""
    for probe, account in sample.accounts.items():
        parts = (account.entries, account.exits, account.in_flight, account.missed)
        entries, exits, in_flight, missed = (part or 0 for part in parts)
        if None not in parts:
            yield total(ACCOUNTS, probe, entries, exits + in_flight + missed)


def counted(sample: Sample, told: Told) -> Iterator[Found]:
    """Yield: what the kernel counted is what events told, where all that it counted is told."""
    sides = (
        (WALKS, "walk", _sampled_walks(sample), ("walks", "vmas", "ptes")),
        (CHECKS, "reference", _sampled_checks(sample, told), ("checks", "decisions")),
        (BATCHES, "batch", _sampled_batches(sample), ("batches", "reclaimed")),
        (COPIES, "cow", _sampled_cow(sample), ("cow",)),
        (KSM, "ksm", _sampled_ksm(sample), ("ksm",)),
        (FAILURES, "memory_failure", _sampled_failures(sample), _OF_FAILURES),
    )
    for rule, event, cells, names in sides:
        counts = sample.events.get(event)
        if why := _incomplete(counts, told.events[event,]):
            yield untold(rule, why)
            continue
        told_of = (c for c in told.cells if c[0] in names and c != ("ksm", "removed"))
        for cell in sorted({*cells, *told_of}):
            yield total(rule, " ".join(cell), cells[cell], told.cells[cell])


def _incomplete(counts: EventCounts | None, told: int) -> str:
    """Return why events do not tell all that a Sample counted; "" where they do."""
    if counts is None:
        return "what recorded it tells no such events"
    if counts.lost:
        return "events were lost"
    return "" if counts.received == told else "events came after the last Sample"


def _sampled_walks(sample: Sample) -> Cells:
    cells: Cells = Counter()
    for (op, kind), counts in sample.walks.items():
        cells["walks", op, kind] = counts.walks
        cells["vmas", op, kind] = counts.vmas or 0
        cells["ptes", op, kind] = counts.ptes or 0
    return +cells


def _sampled_checks(sample: Sample, told: Told) -> Cells:
    cells: Cells = Counter()
    # Events that tell no flags do not tell the list either.
    unseen = any(cell[0] == "checks" and not cell[2] for cell in told.cells)
    for (caller, lru, result), number in sample.references.items():
        cells["checks", caller, "" if unseen else lru, result] += number
    # Those whose events told no batches told no decisions either.
    for decided, number in sample.decisions.items() if "batch" in sample.events else ():
        cells["decisions", *decided] = number
    return +cells


def _sampled_batches(sample: Sample) -> Cells:
    cells: Cells = Counter()
    for key, counts in sample.batches.items():
        cells["batches", *key] = counts.batches
        cells["reclaimed", *key] = counts.reclaimed
    return +cells


def _sampled_cow(sample: Sample) -> Cells:
    faults = sample.cow.faults if sample.cow else {}
    cells: Cells = Counter({("cow", *key): count for key, count in faults.items()})
    return +cells


def _sampled_ksm(sample: Sample) -> Cells:
    ksm = sample.ksm
    if ksm is None:
        return Counter()
    scans = ksm.scans.calls if ksm.scans else 0
    counts = {**ksm.pages, "copied": ksm.swapins["copied"], "scanned": scans}
    cells: Cells = Counter({("ksm", name): counts.get(name, 0) for name in _TOLD_OF_KSM})
    return +cells


def _sampled_failures(sample: Sample) -> Cells:
    failures = sample.failures
    if failures is None:
        return Counter()
    cells: Cells = Counter({("handled", n): failures.handled[n].calls for n in HANDLERS})
    cells.update({("errors", name): count for name, count in failures.errors.items()})
    cells.update({("actions", *key): count for key, count in failures.actions.items()})
    cells.update({("signals", code): count for (_, code), count in failures.signals.items()})
    return +cells
