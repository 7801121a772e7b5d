"""
Whose memory walks are about, and who pays for them: summed from the events of walks and batches.

Needs numpy. What has been lost of the ring is missing here; the events' account says how much.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..probes.reclaim import RECLAIMERS
from ..probes.ring import Records
from ..probes.rmap import KINDS
from ..probes.sample import MapCounts, PayerCounts, Sample
from .owners import Owners

LIMIT = 1024
"""Maps that are told apart at once. Of more, those walked longest ago go into `OTHER`."""

OTHER = 0
"""The id of all maps that are not told apart, and of pages without a map."""

_OPEN = 4096
_KIND_BITS = 2


@dataclass
class _Map:
    born: int
    walks: int = 0
    told: int = 0
    vmas: int = 0
    ns: int = 0
    longest_ns: int = 0
    touched: int = 0
    owner: int | None = None
    mappers: Counter[int] = field(default_factory=Counter)

    def add(self, other: _Map) -> None:
        self.walks += other.walks
        self.told += other.told
        self.vmas += other.vmas
        self.ns += other.ns
        self.longest_ns = max(self.longest_ns, other.longest_ns)


@dataclass
class _Paid:
    command: str
    walks: int = 0
    ns: int = 0


class Hottest:
    """Takes events of one type after the other, and sums up."""

    def __init__(self, owners: Owners) -> None:
        """Have processes and cgroups named by `owners`."""
        self._owners = owners
        self._maps: dict[tuple[int, int], _Map] = {}
        self._payers: dict[tuple[str, str, str], _Paid] = {}
        # By thread and batch, the walks of batches whose end was not told yet.
        self._open: dict[int, _Paid] = {}
        self._turn = self._born = 0

    def append(self, event: str, records: Records) -> None:
        """Take more events of a type; only walks and batches matter."""
        if event == "walk" and len(records):
            self._turn += 1
            self._add_maps(records)
            self._add_payers(records)
        elif event == "batch":
            for batch in records:
                self._end(batch)

    def added_to(self, sample: Sample) -> Sample:
        """Return the Sample with what walks cost so far."""
        if "batch" not in sample.events:  # no end of one will be told
            while self._open:
                self._pay_open()
        return replace(sample, maps=self.maps(), payers=self.payers())

    def maps(self) -> dict[tuple[str, str], MapCounts]:
        """Return what walks of each map cost so far, by (kind, id)."""
        return {
            (KINDS[kind], _shown(root)): self._counts(each)
            for (kind, root), each in self._maps.items()
        }

    def payers(self) -> dict[tuple[str, str, str], PayerCounts]:
        """Return what walks cost so far by (command, reclaimer, cgroup); open batches left out."""
        return {key: PayerCounts(paid.walks, paid.ns) for key, paid in self._payers.items()}

    def _counts(self, found: _Map) -> MapCounts:
        return MapCounts(
            born=found.born,
            walks=found.walks,
            vmas=found.vmas if found.told == found.walks else None,
            ns=found.ns,
            longest_ns=found.longest_ns,
            processes=len(found.mappers),
            owner=found.owner,
            command=None if found.owner is None else self._owners.command(found.owner),
        )

    # Maps

    def _add_maps(self, walks: Records) -> None:
        keys = (walks["root"] << np.uint64(_KIND_BITS)) | walks["kind"]
        unique, places = np.unique(keys, return_inverse=True)
        ns, vmas = walks["ns"].astype(np.float64), walks["vmas"]
        told = vmas >= 0
        counts = np.bincount(places)
        spent = np.bincount(places, ns)
        entered = np.bincount(places, np.where(told, vmas, 0))
        known = np.bincount(places, told)
        longest = np.zeros(len(unique))
        np.maximum.at(longest, places, ns)
        keyed = []
        for place, key in enumerate(unique.tolist()):
            found = self._map(key & (1 << _KIND_BITS) - 1, key >> _KIND_BITS)
            found.touched = self._turn
            found.add(
                _Map(0, int(counts[place]), int(known[place]), int(entered[place]),
                     int(spent[place]), int(longest[place]))
            )  # fmt: skip
            keyed.append(found)
        self._add_mappers(keyed, places, walks["mapper"])
        if len(self._maps) > LIMIT:
            self._evict()

    def _add_mappers(
        self, keyed: list[_Map], places: npt.NDArray[np.intp], mappers: npt.NDArray[np.uint32]
    ) -> None:
        pairs, counts = np.unique(
            places.astype(np.uint64) << np.uint64(32) | mappers, return_counts=True
        )
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            if mapper := pair & 0xFFFFFFFF:
                keyed[pair >> 32].mappers[mapper] += count
        for found in keyed:
            found.owner = max(found.mappers, key=found.mappers.__getitem__, default=None)
            if found.owner is not None:
                self._owners.command(found.owner)  # now: it may be gone by the next Sample

    def _map(self, kind: int, root: int) -> _Map:
        if (kind, root) not in self._maps:
            self._born += 1
            self._maps[kind, root] = _Map(self._born)
        return self._maps[kind, root]

    def _evict(self) -> None:
        """Tell half of the maps apart no longer: those walked longest ago."""
        by_age = sorted((each.touched, key) for key, each in self._maps.items() if key[1] != OTHER)
        for _, (kind, root) in by_age[: LIMIT // 2]:
            gone = self._maps.pop((kind, root))
            self._map(kind, OTHER).add(gone)

    # Payers

    def _add_payers(self, walks: Records) -> None:
        keys = (walks["tid"].astype(np.uint64) << np.uint64(32)) | walks["batch"]
        unique, first, places = np.unique(keys, return_index=True, return_inverse=True)
        counts, spent = np.bincount(places), np.bincount(places, walks["ns"].astype(np.float64))
        for place, key in enumerate(unique.tolist()):
            command = _text(walks["comm"][first[place]])
            paid = _Paid(command, int(counts[place]), int(spent[place]))
            if key & 0xFFFFFFFF:
                self._begin(key, paid)
            else:
                self._pay((command, "", ""), paid)

    def _begin(self, key: int, paid: _Paid) -> None:
        """Keep the walks of a batch until its end tells for whom they were."""
        found = self._open.setdefault(key, _Paid(paid.command))
        found.walks += paid.walks
        found.ns += paid.ns
        if len(self._open) > _OPEN:  # its end was lost
            self._pay_open()

    def _pay_open(self) -> None:
        """Have the walks of the oldest batch paid by their thread; for whom it was is not known."""
        gone = self._open.pop(next(iter(self._open)))
        self._pay((gone.command, "", ""), gone)

    def _end(self, batch: np.void) -> None:
        paid = self._open.pop(int(batch["tid"]) << 32 | int(batch["batch"]), None)
        if paid is not None:
            cgroup = self._owners.cgroup(int(batch["memcg"]))
            self._pay((paid.command, RECLAIMERS[batch["reclaimer"]], cgroup), paid)

    def _pay(self, key: tuple[str, str, str], paid: _Paid) -> None:
        if key not in self._payers and len(self._payers) >= LIMIT:
            key = ("other", "", "")
        found = self._payers.setdefault(key, _Paid(key[0]))
        found.walks += paid.walks
        found.ns += paid.ns


def _shown(root: int) -> str:
    """Return the id of a map as people see it; "" for those that are not told apart."""
    return f"{root:014x}"[:8] if root != OTHER else ""


def _text(comm: bytes) -> str:
    return comm.partition(b"\0")[0].decode(errors="backslashreplace")
