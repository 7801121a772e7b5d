"""
A recording made by hand, in which every rule of `check` is exercised and none is broken.

What the kernel decides is written down here, kernel by kernel, and not asked of the model.
"""

import dataclasses
import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import handmade_memory
import numpy as np
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import events, reclaim, ring, rmap, state
from rmapwatch.probes.events import ALL_ONES, NOT_KNOWN, UNSEEN, WALK_BAILED
from rmapwatch.probes.readout import page_types
from rmapwatch.probes.sample import Account, Attachment, EventCounts, Sample
from rmapwatch.recordings.meta import Clocks, Ending, Meta, Plan
from rmapwatch.recordings.writer import Writer
from samples import batch_counts, sample, walk_counts

FACTS = Path(__file__).parent / "data" / "facts"
EXEC, LOCKED = 1 << 2, 1 << 13
OPS = [op.name for op in rmap.OPS]
LEDGER = {"workload": "fork_storm", "children": 23, "first_index": 1000, "last_index": 1999}
START_NS = 1000
POINTS = ("reference_check", "reclaim_evict", "reclaim_pages", "reclaim_clean", "reclaim_batch")


@dataclass(frozen=True)
class Seen:
    """A check: its inputs, the walk it made (vmas 0: none), and the effect that was seen."""

    decision: str
    result: int = 0
    flags: tuple[str, ...] = ()
    vm_flags: int = 0
    vmas: int = 1
    pages: int = 1
    bailed: bool = False


def checks(kernel: str, caller: str) -> list[Seen]:
    """What folio_check_references() of a kernel decides, by mm/vmscan.c of that kernel."""
    if kernel == "7.3" and caller == "evict":
        return [
            Seen("reclaim", flags=("swapbacked",)),
            Seen("reclaim", flags=("referenced",)),
            Seen("keep", 1, ("swapbacked",)),
            Seen("keep", 2, ("swapbacked",), vmas=2),
            Seen("activate", 1, ("swapbacked", "referenced")),
            Seen("activate", 1, ("swapbacked", "workingset")),
            Seen("activate", 1, vm_flags=EXEC),
            Seen("keep", -1, ("referenced", "swapbacked"), vmas=0, bailed=True),
            Seen("activate_mlocked", 0, ("mlocked",), LOCKED),
        ]
    told = [
        Seen("reclaim", flags=("swapbacked",)),
        Seen("reclaim", flags=("swapbacked", "referenced")),
        Seen("reclaim", vmas=0),
        Seen("reclaim" if kernel == "7.3" else "reclaim_clean", flags=("referenced",)),
        Seen("keep", 1, ("swapbacked",)),
        Seen("keep", 1, ("swapbacked",), EXEC),
        Seen("activate", 1, ("swapbacked", "referenced")),
        Seen("activate", 2, vmas=3),
        Seen("activate", 1, vm_flags=EXEC),
        Seen("keep", 1, ("swapbacked",), pages=512),
    ]
    if kernel == "5.10":
        return [*told, Seen("reclaim", 0, ("swapbacked",), LOCKED)]
    return [
        *told,
        Seen("activate_mlocked", 0, ("mlocked",), LOCKED),
        Seen("keep", -1, ("referenced", "swapbacked"), vmas=0, bailed=True),
    ]


@dataclass
class Story:
    """The events of a recording in the making, oldest first."""

    facts: KernelFacts
    told: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    now: int = START_NS

    def tell(self, event: str, **values: int) -> None:
        self.now += 10
        self.told.append((event, {"time": self.now, **values}))

    def walk(self, op: str, kind: str = "anon", **values: int) -> int:
        usual = {"vmas": 1, "ptes": 1, "mapcount_before": 1, "mapcount_after": 1, "nr_pages": 1}
        names = {"op": OPS.index(op), "kind": rmap.KINDS.index(kind), "looked_at": NOT_KNOWN}
        names |= {"looked_at": values["vmas"] + 1} if op == "restore" and "vmas" in values else {}
        self.tell("walk", **{**names, **usual, **values})
        return self.now

    def flags(self, names: tuple[str, ...]) -> int:
        bits = self.facts.enums["pageflags"]
        return sum(1 << bits[f"PG_{name}"] for name in names)


class Batch:
    """One call of shrink_folio_list(): what is pending is told when it comes to its next check."""

    def __init__(self, story: Story, tid: int, caller: str, number: int) -> None:
        self.story, self.of, self.start = story, {"tid": tid, "batch": number}, story.now
        self.caller, self.pending, self.pfn = caller, None, tid << 20
        self.decided: Counter[str] = Counter()

    def check(self, seen: Seen) -> None:
        self.pfn += 1
        ended = self._walk(seen)
        self._tell_pending()
        self.decided[seen.decision] += seen.pages
        self.pending = self.of | {
            "time": self.story.now + 3,
            "walk": ended,
            "pfn": self.pfn,
            "vm_flags": seen.vm_flags,
            "page_flags": self.story.flags(seen.flags),
            "result": seen.result,
            "nr_pages": seen.pages,
            "is_locked": 1,
            "decision": reclaim.DECISIONS.index(seen.decision),
        }
        if seen.decision.startswith("reclaim") and seen.vmas:
            self.story.walk("unmap", pfn=self.pfn, mapcount_after=0, **self.of)

    def _walk(self, seen: Seen) -> int:
        if not seen.vmas and not seen.bailed:
            return 0
        found = {"vmas": seen.vmas, "ptes": seen.vmas, "mapcount_before": max(seen.vmas, 1)}
        large = {"ptes": seen.pages, "mapcount_before": seen.pages} if seen.pages > 1 else {}
        flags = WALK_BAILED if seen.bailed else 0
        values = {"pfn": self.pfn, "flags": flags, "nr_pages": seen.pages} | found | large
        values["mapcount_after"] = values["mapcount_before"]
        return self.story.walk("reference", **values, **self.of)

    def _tell_pending(self) -> None:
        if self.pending:
            self.story.tell("reference", **self.pending)
        self.pending = None

    def end(self, ignores: bool = False) -> None:
        self._tell_pending()
        freed = self.decided["reclaim"] + self.decided["reclaim_clean"]
        stats = {"nr_ref_keep": self.decided["keep"], "nr_activate_anon": self.decided["activate"]}
        decided = {f"decided_{name}": self.decided[name] for name in reclaim.DECISIONS}
        caller = reclaim.CALLERS.index(self.caller)
        lasted = self.story.now + 10 - self.start
        names = {"caller": caller, "reclaimer": 3, "ignores_references": int(ignores)}
        told = {**self.of, "ns": lasted, "reclaimed": freed, "isolated": 32}
        self.story.tell("batch", **told, **stats, **decided, **names)


def story(kernel: str, caller: str) -> Story:
    """Two threads that reclaim at once, ageing, and the walks of a storm."""
    told = Story(KernelFacts.from_json((FACTS / f"{kernel}.json").read_text()))
    seen = checks(kernel, caller)
    for number in (1, 2):
        pair = [Batch(told, tid, caller, number) for tid in (700, 4_000_001)]
        for one, other in itertools.zip_longest(seen, reversed(seen)):
            pair[0].check(one)
            pair[1].check(other)
        for batch in pair:
            batch.end()
    _aged(told)
    ignores = kernel in ("6.12", "7.3")
    pageout = Batch(told, 702, "pages", 1)
    if not ignores:
        pageout.check(seen[0])
    pageout.end(ignores)
    Batch(told, 702, "clean", 2).end(ignores=True)
    _storm(told)
    handmade_memory.tell(told, kernel)
    return told


def _aged(told: Story) -> None:
    """What shrink_active_list() asks: decided on elsewhere."""
    ended = told.walk("reference", tid=703, pfn=77, kind="file")
    told.tell("reference", tid=703, walk=ended, pfn=77, result=1, nr_pages=1, decision=UNSEEN)


def _storm(told: Story) -> None:
    child = {"tid": 704, "pfn": 81, "index": 1001, "map": 5, "root": 4}
    told.walk("migrate", mapcount_after=0, **child)
    told.walk("restore", mapcount_before=0, mapcount_after=1, **child)
    ended = told.walk("reference", **child)
    told.tell("reference", tid=704, walk=ended, pfn=81, result=1, nr_pages=1, decision=UNSEEN)
    parent = child | {"pfn": 82, "index": 1002, "map": 4}
    shared = {"vmas": 24, "ptes": 24}
    told.walk("migrate", mapcount_before=24, mapcount_after=0, **shared, **parent)
    told.walk("restore", mapcount_before=0, mapcount_after=24, **shared, **parent)
    told.walk("mkclean", kind="file", tid=705, pfn=ALL_ONES, vmas=3, ptes=2, mapcount_before=3)


Records = dict[str, np.ndarray]


def records_of(told: Story) -> Records:
    """The events by type, numbered in the order in which they were told."""
    found = {}
    for event in events.EVENTS:
        rows = [(n, values) for n, (name, values) in enumerate(told.told) if name == event]
        found[event] = np.zeros(len(rows), ring.dtype(event))
        found[event]["type"] = events.type_number(event)
        for record, (number, values) in zip(found[event], rows, strict=True):
            record["seq"] = number
            for name, value in values.items():
                record[name] = value
    return found


def sample_of(told: Story) -> Sample:
    """What the kernel has counted when all this is over."""
    swapbacked = told.flags(("swapbacked",))
    walks, vmas, ptes, checked, decided, batches, freed = (Counter() for _ in range(7))
    for event, e in told.told:
        if event == "walk":
            key = OPS[e["op"]], rmap.KINDS[e["kind"]]
            walks[key] += 1
            vmas[key] += e["vmas"]
            ptes[key] += e["ptes"]
        elif event == "reference":
            lru = "anon" if e.get("page_flags", 0) & swapbacked else "file"
            result = state.RESULTS[min(e["result"] + 1, 3)]
            checked[state.ASKED_BY[e.get("is_locked", 0)], lru, result] += 1
            if e["decision"] != UNSEEN:
                decided[lru, reclaim.DECISIONS[e["decision"]]] += 1
        elif event == "batch":
            key = reclaim.CALLERS[e["caller"]], reclaim.RECLAIMERS[e["reclaimer"]]
            batches[key] += 1
            freed[key] += e["reclaimed"]
    usual = sample(told.now + 1, 1)
    ksm, failures = handmade_memory.counted(told.told, usual, page_types(told.facts))
    return dataclasses.replace(
        usual,
        forks=None,
        accounts={"reclaim_batch": Account(9, 9, 0, 0, 0), "reference_check": _exits_only()},
        walks={
            (op, kind): dataclasses.replace(
                walk_counts(walks[op, kind], vmas[op, kind], 1), ptes=ptes[op, kind]
            )
            for op, kind in usual.walks
        },
        references={key: checked[key] for key in usual.references},
        decisions={key: decided[key] for key in usual.decisions},
        batches={
            key: dataclasses.replace(batch_counts(batches[key]), reclaimed=freed[key])
            for key in usual.batches
        },
        events=_counts(told),
        ksm=ksm,
        failures=failures,
        cow=handmade_memory.written(told.told, usual),
    )


def _exits_only() -> Account:
    return Account(None, 9, None, None, 0)


def _counts(told: Story) -> dict[str, EventCounts]:
    numbers = Counter(event for event, _ in told.told)
    return {event: EventCounts(numbers[event], 0, numbers[event]) for event in events.EVENTS}


@dataclass
class Made:
    """What goes into a recording, to be falsified before it is written."""

    records: Records
    sample: Sample
    facts: KernelFacts
    counts: dict[str, EventCounts]
    points: tuple[str, ...] = POINTS
    ledger: dict[str, object] | None = field(default_factory=lambda: dict(LEDGER))
    per_flush: int = 1 << 16
    closed: bool = True

    def write(self, folder: Path) -> Path:
        """Write it; `per_flush`: events of a type in one batch of its stream."""
        attached = tuple(Attachment(point, point, "fentry", "hand-made") for point in self.points)
        meta = Meta(self.facts, Plan("bcc", attached, {}), Clocks(START_NS, 0))
        writer = Writer(folder, meta)
        for event, found in self.records.items():
            for at in range(0, len(found), self.per_flush):
                writer.append(event, found[at : at + self.per_flush])
                writer.flush()
        writer.sample(self.sample)
        if self.closed:
            end = Clocks(self.sample.time_ns, 0)
            writer.close(Ending(end, (1, 2), {}, self.counts, self.ledger))
        return folder


def made(kernel: str, caller: str = "inactive", ledger: str = "fork_storm") -> Made:
    """A recording of a kernel whose batches are of that caller; `ledger`: of which workload."""
    told = story(kernel, caller)
    ledgers = {each["workload"]: each for each in (LEDGER, *handmade_memory.ledgers(kernel))}
    found = Made(records_of(told), sample_of(told), told.facts, _counts(told))
    found.ledger = dict(ledgers[ledger])
    return found
