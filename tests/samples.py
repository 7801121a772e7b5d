"""A Sample made by hand, with some of everything, for tests of what is made from Samples."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from rmapwatch.kernels.changes import CHANGES
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.lab.rules.row import Run
from rmapwatch.probes import (
    cow,
    events,
    fork,
    ksm,
    locks,
    memory_failure,
    reclaim,
    ring,
    rmap,
    state,
)
from rmapwatch.probes.ftrace import plan
from rmapwatch.probes.sample import (
    Account,
    Attachment,
    BatchCounts,
    CallCounts,
    CloneCounts,
    CowCounts,
    DeactivationCounts,
    EventCounts,
    FailureCounts,
    ForkCounts,
    IsolationCounts,
    KsmCounts,
    MapCounts,
    MigrationCounts,
    Overhead,
    PayerCounts,
    RuleCounts,
    Sample,
    ShrunkCounts,
    WalkCounts,
)

KERNEL = KernelFacts("6.1.0-test", "", "x86_64")


def walk_counts(walks: int, vmas: int | None, ns: int) -> WalkCounts:
    return WalkCounts(
        walks=walks,
        bailouts=0,
        ns=ns,
        vmas=vmas,
        ptes=walks,
        ns_slots=one_slot(12, walks),
        vmas_slots=None if vmas is None else one_slot(1, walks),
        ptes_slots=one_slot(1, walks),
    )


def one_slot(slot: int, count: int) -> tuple[int, ...]:
    return tuple(count if n == slot else 0 for n in range(state.SLOTS))


def batch_counts(batches: int) -> BatchCounts:
    return BatchCounts(
        batches=batches,
        ns=batches * 2_000_000,
        ns_slots=one_slot(20, batches),
        reclaimed=batches * 29,
        stats=dict.fromkeys(reclaim.STATS, 0) | {"nr_ref_keep": batches * 3},
        activated={"anon": batches, "file": 0},
        decided=dict.fromkeys(reclaim.DECISIONS, 0) | {"keep": batches * 3},
        keep_differs=0,
        activate_exceeds=0,
        reclaimed_exceeds=0,
    )


def sample(time_ns: int, scale: int) -> Sample:
    """A sample with some of everything: a probe that is missing, an op without VMAs."""
    walks = {(op.name, kind): walk_counts(0, 0, 0) for op in rmap.OPS for kind in rmap.KINDS}
    walks["reference", "anon"] = walk_counts(1009 * scale, 2003 * scale, 5_000_000 * scale)
    walks["unmap", "anon"] = walk_counts(101 * scale, 101 * scale, 7_000_000 * scale)
    walks["damon", "file"] = walk_counts(7 * scale, None, 70_000 * scale)
    keys = [(c, u, r) for c in state.ASKED_BY for u in state.LRUS for r in state.RESULTS]
    references = dict.fromkeys(keys, 0) | {("shrink_list", "anon", "one"): 1009 * scale}
    entries = 1117 * scale
    return Sample(
        time_ns=time_ns,
        quiet=True,
        backend="bcc",
        release="6.1.0-test",
        attached=(
            Attachment("rmap_walk_anon", "rmap_walk_anon", "fentry+fexit", "it is traceable"),
            Attachment("step_unmap", "try_to_unmap_one", "fentry", "it is traceable"),
        ),
        unavailable={"step_migrate": "this kernel has no traceable try_to_migrate_one"},
        accounts={
            "rmap_walk_anon": Account(entries, entries - 2, 1, 1, None, 1, 0, 0),
            "step_unmap": Account(None, None, None, None, None),
        },
        walks=walks,
        references=references,
        decisions=dict.fromkeys(itertools.product(state.LRUS, reclaim.DECISIONS), 0)
        | {("anon", "keep"): 31 * scale},
        batches=dict.fromkeys(
            itertools.product(reclaim.CALLERS, reclaim.RECLAIMERS), batch_counts(0)
        )
        | {("evict", "kswapd"): batch_counts(17 * scale)},
        stalls={name: CallCounts(0, 0, (0,) * state.SLOTS) for name in reclaim.RECLAIMERS}
        | {"direct": CallCounts(3 * scale, 9_000_000 * scale, one_slot(22, 3 * scale))},
        ages={"active_list": CallCounts(5 * scale, 7_000_000 * scale, one_slot(21, 5 * scale))},
        isolations={
            ("classic", "inactive_anon"): IsolationCounts(2 * scale, 64 * scale, 61 * scale),
            ("mglru", "inactive_file"): IsolationCounts(0, 0, 0),
        },
        sampling=0.0625,
        overhead=Overhead(0.01, 0.002, {"full": 0, "sampled": 1}, {"call": 500.0, "step": 100.0}),
        shrunk={"classic": ShrunkCounts(2 * scale, 61 * scale, 43 * scale)},
        deactivation=DeactivationCounts(scale, 32 * scale, 3 * scale, 29 * scale),
        events={name: EventCounts(11 * scale, scale, 10 * scale) for name in events.EVENTS},
        stray_steps=0,
        ksm=KsmCounts(
            pages=dict.fromkeys(ksm.PAGES, 0) | {"shared": 101 * scale, "sharing": 606 * scale},
            swapins=dict.fromkeys(ksm.SWAPINS, 0) | {"copied": 5 * scale},
            begun=scale + 1,
            scans=calls(scale),
        ),
        model={"reference check: keep": RuleCounts(503 * scale, scale)},
        failures=FailureCounts(
            handled={
                name: calls(2 * scale) for name in (*memory_failure.HANDLERS, "collect_procs")
            },
            errors=dict.fromkeys(memory_failure.HANDLERS, scale),
            actions={("dirty_lru", "recovered"): scale, ("huge", "failed"): 0},
            signals={("SIGBUS", code): scale for code in memory_failure.CODES},
        ),
        maps={
            ("anon", "1f2e3d4c"): MapCounts(
                1, 1009 * scale, 2003 * scale, 9_000_000 * scale, 4_000_000, 23, 4711, "storm"
            ),
            ("anon", ""): MapCounts(2, 101 * scale, None, 3_000_000 * scale, 70_000, 0, None, None),
        },
        payers={
            ("kswapd0", "kswapd", ""): PayerCounts(1000 * scale, 8_000_000 * scale),
            ("storm", "proactive", "/storm"): PayerCounts(110 * scale, 4_000_000 * scale),
        },
        migrations={
            "syscall": migration_counts(7 * scale, 211 * scale, 2 * scale),
            "demotion": migration_counts(0, 0, 0),
        },
        lock_waits={
            (lock, mode, during): calls(13 * scale if (mode, during) == ("read", "walk") else 0)
            for lock in locks.LOCKS
            for mode, during in (("read", "walk"), ("read", "other"), ("write", "other"))
        },
        forks=fork_counts(scale),
        cow=CowCounts(
            faults=dict.fromkeys(itertools.product(cow.PAGES, cow.OUTCOMES), 0)
            | {("anon", "copied"): 101 * scale, ("anon", "moved"): 31 * scale},
            calls={name: calls(0) for name in cow.OUTCOMES}
            | {"copied": calls(101 * scale), "moved": calls(31 * scale)},
        ),
    )


def fork_counts(scale: int) -> ForkCounts:
    """As of a kernel that inlines dup_mmap."""
    steps = {step: calls(29 * scale) for step in fork.STEPS if step != "dup_mmap"}
    steps["copy_process"] = calls(3 * scale)
    failing = itertools.product(("anon_vma_clone", *steps), fork.ERRORS)
    return ForkCounts(
        steps=steps,
        errors=dict.fromkeys(failing, 0) | {("copy_process", "ENOMEM"): scale},
        clones={
            "fork": CloneCounts(
                13 * scale, 13_000 * scale, one_slot(10, 13 * scale), 26 * scale,
                one_slot(2, 13 * scale),
            ),
            "other": CloneCounts(0, 0, one_slot(0, 0), 0, one_slot(0, 0)),
        },
        vmas=29 * scale,
        pages=509 * scale,
    )  # fmt: skip


def records(event: str, rows: Iterable[Mapping[str, int]]) -> npt.NDArray[np.void]:
    """Events of one type, as the ring gives them; what a row leaves out is 0."""
    rows = list(rows)
    found = np.zeros(len(rows), ring.dtype(event))
    for record, row in zip(found, rows, strict=True):
        for name, value in row.items():
            record[name] = value
    return found


def run(ledger: Mapping[str, Any], **changes: Any) -> Run:
    """A run of a scenario; `changes` are types of events, or fields of the Run."""
    fields = {f.name for f in dataclasses.fields(Run)}
    told = {name: changes.get(name, records(name, [])) for name in events.EVENTS}
    given = {name: value for name, value in changes.items() if name in fields}
    usual = {"sample": sample(1, 1), "kernel": KERNEL, "cpus": 2, "lru": "classic", "vmstat": {}}
    kernel = given.get("kernel", KERNEL)
    usual["changes"] = frozenset(key for key, row in CHANGES.items() if row.seen_by(kernel))
    return Run(**{**usual, "records": told, "ledger": ledger, **given})


NOT_SEEN_BY_EVENTS = {
    "walk": {"ptes": -1, "mapcount_after": -1, "looked_at": -1, "mapper": 0},
    "reference": {
        "vm_flags": events.ALL_ONES,
        "page_flags": events.ALL_ONES,
        "decision": events.UNSEEN,
    },
    "fork": {"links": -1, "longest": -1},
}
"""What the backend without BPF tells of nothing, by type of event."""


def by_events(told: Mapping[str, npt.NDArray[np.void]]) -> dict[str, npt.NDArray[np.void]]:
    """The same events as the backend without BPF tells them."""
    found = {name: each.copy() for name, each in told.items()}
    for event, unknown in NOT_SEEN_BY_EVENTS.items():
        for name, value in unknown.items():
            kind = found[event][name].dtype
            found[event][name] = np.array(value, np.uint64 if value > 0 else "i8").astype(kind)
    for event in ("batch", "cow"):
        found[event] = found[event][:0]
    return found


def run_by_events(seen: Run) -> Run:
    """The same run of a scenario as the backend without BPF tells it."""
    counts = {name: seen.sample.events[name] for name in plan.TOLD}
    made = dataclasses.replace(seen.sample, events=counts, decisions={})
    return dataclasses.replace(seen, sample=made, records=by_events(seen.records))


def migration_counts(calls: int, succeeded: int, failed: int) -> MigrationCounts:
    return MigrationCounts(calls, calls * 5_000_000, one_slot(23, calls), succeeded, failed, 0)


def calls(count: int) -> CallCounts:
    return CallCounts(count, count * 3_000_000, one_slot(21, count))
