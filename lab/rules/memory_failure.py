"""The rules of memory failures: the model's answer, what was seen, and what processes were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.changes import DEFINED
from ...kernels.semantics import Semantics
from ...model import injected
from ...model import memory_failure as model
from ...probes import memory_failure as probes
from ...probes.readout import page_types, results
from .row import Agreement, Run, entered, equal, op, untold

_SIGNALS = {
    "BUS_MCEERR_AR": model.Signal.SIGBUS_AR,
    "BUS_MCEERR_AO": model.Signal.SIGBUS_AO,
}


def hwpoison(run: Run) -> Iterator[Agreement]:
    """Yield: each failure is handled, reported and told to its processes as the model says."""
    semantics, rows = run.semantics, run.ledger["failures"]
    events = run.records["memory_failure"]
    told = events[events["handler"] == probes.HANDLERS.index("memory_failure")]
    yield equal("failures handled", "failures", len(rows), len(told))
    pairs = list(zip(rows, told, strict=False))
    handled = [injected.handling(semantics, row) for row in rows]
    types, names = page_types(run.kernel), results()
    of_page = sum(int(event["pfn"]) == row["pfn"] for row, event in pairs)
    yield equal("each is of the page that the ledger names", "failures", len(rows), of_page)
    right = sum(
        _type(types, event) == _name(what.type) and _result(names, event) == _name(what.result)
        for what, event in zip(handled, told, strict=False)
    )
    yield equal("page type and result as the model predicts", "failures", len(rows), right)
    returned = sum(
        int(event["returned"]) == what.returns for what, event in zip(handled, told, strict=False)
    )
    yield equal("returned as the model predicts", "failures", len(rows), returned)
    yield from _actions(run, told)
    yield from _signals(run, semantics)
    yield from _corrupted(run, told)


def _name(value: model.Type | model.Result | None) -> str | None:
    """Return how the probes call what the model says."""
    if isinstance(value, model.Type):
        return value.value.removeprefix(probes.TYPE_PREFIX).lower()
    return value.name.lower() if value else None


def _type(types: Mapping[int, str], event: np.void) -> str | None:
    return types.get(int(event["page_type"]))


def _result(names: list[str], event: np.void) -> str | None:
    return names[event["result"]] if event["result"] >= 0 else None


def _actions(run: Run, told: npt.NDArray[np.void]) -> Iterator[Agreement]:
    """Yield: what is counted by type and result is what events tell, and what the node counts."""
    if run.sample.failures is None:
        return
    types, names = page_types(run.kernel), results()
    seen = Counter((_type(types, e), _result(names, e)) for e in told if e["page_type"] >= 0)
    counted = {key: count for key, count in run.sample.failures.actions.items() if count}
    same = sum((seen & Counter(counted)).values())
    yield equal(
        "actions by type and result: counted = told", "actions", sum(counted.values()), same
    )
    rule = "actions = the node's memory_failure/total, pages poisoned before apart"
    before, after = run.ledger["node_before"], run.ledger["node_after"]
    if "total" not in after:
        yield untold(rule, "actions", "this kernel's nodes do not count failures")
        return
    again = sum(n for (page, _), n in counted.items() if page == "already_poisoned")
    grown = after["total"] - before["total"]
    yield equal(rule, "actions", grown, sum(counted.values()) - again)


def _signals(run: Run, semantics: Semantics) -> Iterator[Agreement]:
    """Yield: the probes saw each signal that a process was told by, and the model foretold it."""
    seen, told = Counter(_seen(run)), Counter(_told(run.ledger))
    foretold = Counter(_foretold(semantics, run.ledger))
    rule = "signals that processes were told by = seen where they are sent"
    yield equal(rule, "signals", told.total(), (told & seen).total())
    yield equal("no other signal was seen", "signals", told.total(), seen.total())
    rule = "signals that the model predicts = those that processes were told by"
    yield equal(rule, "signals", foretold.total(), (foretold & told).total())
    yield equal("no other signal came", "signals", foretold.total(), told.total())


def _seen(run: Run) -> Iterator[injected.Told]:
    for event in run.records["signal"]:
        code = _SIGNALS[probes.CODES[event["code"]]]
        yield int(event["target"]), code, int(event["address"]), int(event["lsb"])


def _told(ledger: Mapping[str, Any]) -> Iterator[injected.Told]:
    for row in ledger["failures"]:
        for process in row["processes"]:
            for signal in process["signals"]:
                code = next((c for c in probes.CODES if DEFINED[c].value == signal["code"]), "")
                what = _SIGNALS.get(code)
                yield process["pid"], what, signal["address"], signal["lsb"]


def _foretold(semantics: Semantics, ledger: Mapping[str, Any]) -> Iterator[injected.Told]:
    for row in ledger["failures"]:
        yield from injected.told_at_once(semantics, row)
        yield from injected.told_late(semantics, row)


def _corrupted(run: Run, told: npt.NDArray[np.void]) -> Iterator[Agreement]:
    grown = run.ledger["corrupted_after"] - run.ledger["corrupted_before"]
    pages = len(np.unique(told["pfn"]))
    yield equal("pages that failed = growth of HardwareCorrupted", "pages", grown, pages)


def soft_offline(run: Run) -> Iterator[Agreement]:
    """Yield: each page is moved by one walk that unmaps it and one that restores its mappings."""
    moves, walks = run.ledger["moves"], run.records["walk"]
    moved = [move for move in moves if not move["errno"]]
    yield equal("pages moved", "pages", len(moves), len(moved))
    handlers = run.records["memory_failure"]
    told = handlers[handlers["handler"] == probes.HANDLERS.index("soft_offline")]
    by_pfn = Counter(int(event["pfn"]) for event in told if not event["returned"])
    asked = Counter(move["before"] for move in moved)
    rule = "soft offlines seen, of the frames of the ledger"
    yield equal(rule, "pages", len(moved), sum((asked & by_pfn).values()))
    for name, frame in (("migrate", "before"), ("restore", "after")):
        done = walks[walks["op"] == op(name)]
        count = Counter(int(pfn) for pfn in done["pfn"])
        once = sum(count[move[frame]] == 1 for move in moved)
        yield equal(f"frames with exactly one walk to {name}", "pages", len(moved), once)
    yield from _mappings(run, moved)
    grown = run.ledger["corrupted_after"] - run.ledger["corrupted_before"]
    yield equal("pages moved = growth of HardwareCorrupted", "pages", grown, len(moved))


def _mappings(run: Run, moved: list[Mapping[str, Any]]) -> Iterator[Agreement]:
    """Yield: a restoring walk enters the VMA of each process, and restores its mapping."""
    walks, processes = run.records["walk"], run.ledger["processes"]
    restored = walks[walks["op"] == op("restore")]
    ours = restored[np.isin(restored["pfn"], [move["after"] for move in moved])]
    rule = "a restore walk enters the VMA of each process and restores its mapping"
    yield entered(rule, ours, len(moved), processes, processes)
