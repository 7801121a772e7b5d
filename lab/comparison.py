"""
Two observers of the same calls: what the backends counted between two moments at rest. Pure.

Both must have counted the same, exactly, where neither says that it missed a call. Times are no
part of it: each observer sees the other's work as a part of the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..probes.sample import FailureCounts, ForkCounts, KsmCounts, Sample

Cells = dict[tuple[str, ...], int]
Missed = dict[str, int | None]


@dataclass(frozen=True)
class Figure:
    """
    One figure, by what each backend counted.

    ``agrees``: None where they differ and one of them says that it missed calls.
    """

    figure: str
    bcc: int
    ftrace: int
    agrees: bool | None


@dataclass(frozen=True)
class Comparison:
    """
    What was counted by both, without what both counted nothing of.

    ``missed``: by backend and probe point the calls that it could not follow, where there are any;
    None where it does not know how many.
    """

    figures: tuple[Figure, ...]
    missed: Mapping[str, Missed]


@dataclass(frozen=True)
class Window:
    """What one backend had counted before, and afterwards."""

    before: Sample
    after: Sample

    def cells(self) -> Cells:
        """Return what was counted in between."""
        start = cells(self.before)
        return {key: count - start.get(key, 0) for key, count in cells(self.after).items()}

    def missed(self) -> Missed:
        """Return the calls missed in between, by probe point; None where that is not known now."""
        found: Missed = {}
        for probe, account in self.after.accounts.items():
            then, now = self.before.accounts[probe].missed, account.missed
            if now is not None:
                found[probe] = now - (then or 0)
            elif then is not None:
                found[probe] = None
        return {probe: count for probe, count in found.items() if count != 0}


def compare(bcc: Window, ftrace: Window) -> Comparison:
    """Return what both have counted side by side, of all that both know."""
    missed = {"bcc": bcc.missed(), "ftrace": ftrace.missed()}
    whole = not any(missed.values())
    ours, theirs = bcc.cells(), ftrace.cells()
    rows = ((key, ours[key], theirs[key]) for key in ours if key in theirs)
    return Comparison(
        figures=tuple(
            Figure(" ".join(key), one, other, True if one == other else (False if whole else None))
            for key, one, other in rows
            if one or other
        ),
        missed=missed,
    )


def cells(sample: Sample) -> Cells:
    """Return what a backend has counted, by name, of all that it knows."""
    parts = (_walks, _reclaim, _reported, _memory, _locks)
    found = {key: count for part in parts for key, count in part(sample)}
    return {key: count for key, count in found.items() if count is not None}


Counted = Iterator[tuple[tuple[str, ...], int | None]]


def _walks(sample: Sample) -> Counted:
    for (op, kind), walk in sample.walks.items():
        yield ("walks", op, kind), walk.walks
        yield ("walks that gave up,", op, kind), walk.bailouts
        yield ("VMAs entered,", op, kind), walk.vmas
    for checked, count in sample.references.items():
        yield ("reference checks", *checked), count


def _reclaim(sample: Sample) -> Counted:
    for key, batch in sample.batches.items():
        yield ("batches", *key), batch.batches
        yield ("pages reclaimed", *key), batch.reclaimed
    for reclaimer, stall in sample.stalls.items():
        yield ("calls for memory,", reclaimer), stall.calls
    for ager, age in sample.ages.items():
        yield ("calls to age,", ager), age.calls


def _reported(sample: Sample) -> Counted:
    for key, isolation in sample.isolations.items():
        yield ("pages scanned", *key), isolation.scanned
        yield ("pages isolated", *key), isolation.taken
    for algorithm, shrunk in sample.shrunk.items():
        yield ("pages shrunk", algorithm), shrunk.reclaimed
    if sample.deactivation is not None:
        yield ("pages deactivated",), sample.deactivation.deactivated


def _memory(sample: Sample) -> Counted:
    if sample.ksm is not None:
        yield from _ksm(sample.ksm)
    if sample.failures is not None:
        yield from _failures(sample.failures)
    if sample.forks is not None:
        yield from _forks(sample.forks)
    if sample.cow is not None:
        yield ("writes to protected pages",), sum(c.calls for c in sample.cow.calls.values())
    for reason, calls in sample.migrations.items():
        yield ("calls to migrate,", reason), calls.calls
        for name in ("succeeded", "failed", "split"):
            yield ("pages to migrate,", reason, name), getattr(calls, name)


def _ksm(ksm: KsmCounts) -> Counted:
    for event, pages in ksm.pages.items():
        yield ("KSM pages", event), pages
    for outcome, pages in ksm.swapins.items():
        yield ("pages swapped in", outcome), pages
    yield ("passes of ksmd, begun",), ksm.begun
    yield ("passes of ksmd, over",), ksm.scans.calls if ksm.scans else None


def _failures(failures: FailureCounts) -> Counted:
    for handler, calls in failures.handled.items():
        yield ("calls of", handler), calls.calls
    tables: tuple[tuple[str, Mapping[Any, int]], ...] = (
        ("errors of", failures.errors),
        ("memory failures", failures.actions),
        ("signals", failures.signals),
    )
    for name, table in tables:
        for key, count in table.items():
            yield (name, *((key,) if isinstance(key, str) else key)), count


def _forks(forks: ForkCounts) -> Counted:
    for step, calls in forks.steps.items():
        yield ("calls of", step), calls.calls
    for key, count in forks.errors.items():
        yield ("errors of", *key), count
    for cloner, clone in forks.clones.items():
        yield ("chains copied by", cloner), clone.calls
    yield ("VMAs of children",), forks.vmas
    yield ("pages of children",), forks.pages


def _locks(sample: Sample) -> Counted:
    for key, calls in sample.lock_waits.items():
        yield ("waits for", *key), calls.calls
