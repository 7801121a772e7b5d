"""
How a metric is read from a Sample: from one of its tables, by labels, absent where it is None.

Each class names a table of the Sample, and the member of its entries, and yields rows: the values
of the metric's labels, and the value. A table is summed over the keys that are no label. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import add, attrgetter, itemgetter
from typing import Any, Protocol

from ..collectors.histograms import Bound
from ..probes.sample import Sample
from ..probes.state import SLOTS, count_bound, duration_bound_ns

KEYS: Mapping[str, tuple[str, ...]] = {
    "walks": ("op", "kind"),
    "references": ("asked_by", "lru", "result"),
    "decisions": ("lru", "decision"),
    "batches": ("caller", "reclaimer"),
    "stalls": ("reclaimer",),
    "ages": ("ager",),
    "isolations": ("algorithm", "list"),
    "shrunk": ("algorithm",),
    "deactivation": (),
    "ksm.pages": ("event",),
    "ksm.swapins": ("outcome",),
    "ksm.scans": (),
    "failures.actions": ("page_type", "result"),
    "failures.handled": ("handler",),
    "failures.errors": ("handler",),
    "failures.signals": ("signal", "code"),
    "migrations": ("reason",),
    "lock_waits": ("lock", "mode", "during"),
    "forks": (),
    "forks.steps": ("step",),
    "forks.errors": ("step", "error"),
    "forks.clones": ("cloner",),
    "cow.faults": ("page", "outcome"),
    "cow.calls": ("outcome",),
    "accounts": ("probe",),
    "events": ("event",),
    "runs": ("probe",),
    "model": ("rule",),
    "sampling": (),
    "overhead": (),
    "overhead.states": ("state",),
    "overhead.costs": ("program",),
    "stray_steps": (),
    "quiet": (),
}
"""
The tables of a Sample, or of a part of it, and what their keys are called as labels. A field that
is none is taken for a table of one entry, or of none where it is None.
"""


@dataclass(frozen=True)
class Buckets:
    """
    Which slots of the kernel's histograms end a bucket that is shown, and in which unit.

    ``bound``: slot to its inclusive upper bound; ``unit``: how many of these make one base unit;
    ``told``: the limits in words.
    """

    slots: tuple[int, ...]
    bound: Bound
    unit: int
    told: str

    def limits(self) -> tuple[float, ...]:
        """Return the inclusive upper bounds in base units, the infinite one apart."""
        bounds = map(self.bound, self.slots)
        return tuple(bound / self.unit for bound in bounds if bound is not None)

    def cumulative(self, slots: Sequence[int]) -> tuple[int, ...]:
        """Return how many values do not exceed each limit, and last how many there are."""
        below = list(itertools.accumulate(slots))
        return (*self._limited(below), below[-1])

    @cached_property
    def _limited(self) -> Callable[[Sequence[int]], tuple[int, ...]]:
        return itemgetter(*self.slots)


DURATIONS = Buckets(
    tuple(range(8, SLOTS - 1, 2)),
    duration_bound_ns,
    10**9,
    "by a factor of 4 from 256 ns to 17 s",
)
COUNTS = Buckets(
    tuple(range(SLOTS - 1)), count_bound, 1, "each number from 0 to 16, then powers of two to 2^22"
)


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by `Buckets`, and the sum of all values in base units."""

    buckets: Buckets
    counts: tuple[int, ...]
    total: float


Value = float | Histogram
Row = tuple[tuple[str, ...], Value]


class Figures(Protocol):
    """Reads the rows of one metric."""

    def rows(self, sample: Sample, labels: Sequence[str]) -> Iterator[Row]:
        """Yield the values of `labels` and the value; nothing for what is not known."""


@dataclass(frozen=True)
class Each:
    """
    Member ``value`` of each entry of ``table`` ("": the entry itself).

    ``stats.nr_dirty`` is an item of a member that is a mapping, ``activated.*`` the sum of all.
    ``where``: labels that it needs; ``unit``: how many of the value make one base unit.
    """

    table: str
    value: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    unit: int = 1

    def rows(self, sample: Sample, labels: Sequence[str]) -> Iterator[Row]:
        """Yield a row per combination of labels."""
        wanted = {labels.index(name): value for name, value in self.where.items()}
        unit = self.unit
        for key, found in _summed(sample, self.table, labels, self.value):
            if found is None or (wanted and any(key[at] != each for at, each in wanted.items())):
                continue
            yield key, found / unit


@dataclass(frozen=True)
class Split:
    """Several members of each entry of ``table``: value of the metric's last label to member."""

    table: str
    values: Mapping[str, str]

    def rows(self, sample: Sample, labels: Sequence[str]) -> Iterator[Row]:
        """Yield a row per combination of labels and member."""
        for last, value in self.values.items():
            for key, found in Each(self.table, value).rows(sample, labels[:-1]):
                yield (*key, last), found


@dataclass(frozen=True)
class Slots:
    """A histogram of each entry of ``table``: members ``slots`` and ``total``."""

    table: str
    slots: str
    total: str
    buckets: Buckets

    def rows(self, sample: Sample, labels: Sequence[str]) -> Iterator[Row]:
        """Yield a row per combination of labels."""
        totals = _summed(sample, self.table, labels, self.total)
        slots_of = _summed(sample, self.table, labels, self.slots)
        for (key, total), (_, slots) in zip(totals, slots_of, strict=True):
            if total is not None and slots is not None:
                counts = self.buckets.cumulative(slots)
                yield key, Histogram(self.buckets, counts, total / self.buckets.unit)


@dataclass(frozen=True)
class Attachments:
    """1 for each probe that is attached, 0 for each that is not, with the reason."""

    def rows(self, sample: Sample, labels: Sequence[str]) -> Iterator[Row]:
        """Yield a row per probe that was asked for."""
        for row in sample.attached:
            yield (row.probe, row.symbol, row.mechanism, row.reason), 1
        for probe, reason in sample.unavailable.items():
            yield (probe, "", "", reason), 0


@dataclass(frozen=True)
class Build:
    """1, labelled with what runs: ``version`` of rmapwatch, and the Sample's kernel and backend."""

    version: str

    def rows(self, sample: Sample, labels: Sequence[str]) -> Iterator[Row]:
        """Yield the one row."""
        yield (self.version, sample.release, sample.backend), 1


def _column(
    sample: Sample, table: str, labels: Sequence[str], member: str
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield of each entry of a table the values of `labels`, a part of its keys, and a member."""
    entries = _table(sample, table)
    keys: Iterable[tuple[str, ...]] = (key if isinstance(key, tuple) else (key,) for key in entries)
    if KEYS[table] != labels:
        places = [KEYS[table].index(label) for label in labels]
        keys = (tuple(key[place] for place in places) for key in keys)
    return zip(keys, map(_reader(member), entries.values()), strict=True)


def _summed(
    sample: Sample, table: str, labels: Sequence[str], member: str
) -> Iterable[tuple[tuple[str, ...], Any]]:
    """
    Return a member of the entries of a table by the values of `labels`, summed.

    None where a part of a sum is not known. What is an array is summed place by place.
    """
    column = _column(sample, table, labels, member)
    if KEYS[table] == labels:  # as a rule: nothing is summed
        return column
    found: dict[tuple[str, ...], Any] = {}
    for key, value in column:
        found[key] = _added(found[key], value) if key in found else value
    return found.items()


def _added(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return None
    return tuple(map(add, one, other)) if isinstance(one, tuple) else one + other


def _table(sample: Sample, name: str) -> Mapping[Any, Any]:
    found: Any = sample
    for part in name.split("."):
        found = None if found is None else getattr(found, part)
    if isinstance(found, Mapping):
        return found
    return {} if found is None else {(): found}


@cache
def _reader(member: str) -> Callable[[Any], Any]:
    """Return what reads a member of an entry; None where the mapping that it is in is None."""
    name, _, item = member.partition(".")
    read = attrgetter(name) if name else _itself
    if not item:
        return read

    def read_item(entry: Any) -> Any:
        found = read(entry)
        if found is None:
            return None
        return sum(found.values()) if item == "*" else found[item]

    return read_item


def _itself(entry: Any) -> Any:
    return entry
