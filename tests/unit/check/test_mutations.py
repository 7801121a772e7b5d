"""Whatever is falsified in a good recording, the check names that very event and the rule."""

import dataclasses
from pathlib import Path

import handmade_memory
import numpy as np
import pytest
from handmade import EXEC, LOCKED, OPS, Made, made
from rmapwatch.check import run
from rmapwatch.check.context import Context, context_of
from rmapwatch.check.windows import windows
from rmapwatch.kernels.semantics import ExecActivates, LockedReference, Mglru
from rmapwatch.probes import cow, reclaim, rmap
from rmapwatch.probes.events import UNSEEN, WALK_BAILED
from rmapwatch.recordings.reader import Recording
from samples import calls, fork_counts

FIXTURES = Path(__file__).parents[2] / "fixtures"
D = {name: number for number, name in enumerate(reclaim.DECISIONS)}
CALLER = {name: number for number, name in enumerate(reclaim.CALLERS)}
OP = {name: number for number, name in enumerate(OPS)}


def flag(source: Made, name: str) -> int:
    return 1 << source.facts.enums["pageflags"][f"PG_{name}"]


def decided(name: str, **more: int) -> dict[str, int]:
    return {"decision": D[name], "is_locked": 1, **more}


WALK = "reference check: its walk is there"
GIVES_UP = "reference check: a contended walk gives up"
VMAS = "reference check: the result counts VMAs"
SUMS = "batch: checks told one by one = decided_*"
UNMAPPED = "batch: what is unmapped was let go by its check"
KEPT = "batch: pages kept = nr_ref_keep"
IGNORES = "batch: references are ignored where they must be"
CHILD = "walk: a child's own page has one VMA"
MAPCOUNT = "walk: entries are what the mapcount changed by"
STOPS = "walk: no more entries than mappings"
ONCE = "walk: a small page is found once in a VMA at most"

LOOKED = "walk: no more VMAs entered than looked at"
ENTERED = "walk: a small page is unmapped or restored once in a VMA at most"
LINKED = "walk: a restore walk enters all linked VMAs"

# kernel, caller, event, which one (the first with these values), what becomes of it, which rule
# names it
EVENTS = [
    ("5.10", "inactive", "reference", decided("keep"), decided("activate"), "keep"),
    (
        "5.10",
        "inactive",
        "reference",
        decided("reclaim_clean"),
        decided("reclaim"),
        "reclaim_clean",
    ),
    ("6.1", "inactive", "reference", decided("keep"), decided("reclaim"), "keep"),
    ("6.1", "inactive", "reference", decided("activate"), decided("keep"), "activate"),
    ("6.1", "inactive", "reference", decided("reclaim"), decided("keep"), "reclaim"),
    (
        "6.1",
        "inactive",
        "reference",
        decided("activate_mlocked"),
        decided("keep"),
        "activate_mlocked",
    ),
    ("6.1", "evict", "reference", decided("reclaim_clean"), decided("activate"), "reclaim_clean"),
    ("6.12", "evict", "reference", decided("keep"), decided("reclaim_clean"), "keep"),
    ("7.3", "evict", "reference", decided("activate"), decided("keep"), "activate"),
    ("7.3", "evict", "reference", decided("reclaim"), decided("reclaim_clean"), "reclaim"),
    ("7.3", "inactive", "reference", decided("reclaim"), decided("activate"), "reclaim"),
    ("6.1", "inactive", "reference", decided("keep", result=1), {"result": 0}, "reclaim"),
    ("6.1", "inactive", "reference", decided("keep", result=1), {"result": 2}, "activate"),
    ("6.1", "inactive", "reference", decided("activate", result=2), {"result": 1}, "keep"),
    ("6.1", "inactive", "reference", decided("activate", vm_flags=EXEC), {"vm_flags": 0}, "keep"),
    ("6.1", "inactive", "reference", decided("keep", vm_flags=0), {"vm_flags": LOCKED}, "activate"),
    ("6.1", "inactive", "reference", decided("keep", vm_flags=EXEC), {"page_flags": 0}, "activate"),
    (
        "5.10",
        "inactive",
        "reference",
        decided("keep"),
        {"result": -1},
        "gives up only where it can",
    ),
    ("6.1", "inactive", "reference", decided("keep", result=1), {"result": 7}, VMAS),
    ("6.1", "inactive", "reference", decided("keep", result=1), {"result": -1}, GIVES_UP),
    ("6.1", "inactive", "reference", decided("keep", result=-1), {"result": 1}, GIVES_UP),
    ("6.1", "inactive", "reference", decided("keep"), {"pfn": 5}, WALK),
    ("6.1", "inactive", "reference", decided("keep"), {"walk": 3333}, WALK),
    ("6.1", "inactive", "reference", {"is_locked": 0}, {"tid": 9}, WALK),
    ("6.1", "inactive", "walk", {"op": OP["reference"]}, {"ptes": 2}, ONCE),
    ("6.1", "inactive", "walk", {"op": OP["mkclean"]}, {"ptes": 4}, ONCE),
    ("6.1", "inactive", "walk", {"op": OP["reference"], "ptes": 3}, {"mapcount_before": 2}, STOPS),
    (
        "6.1",
        "inactive",
        "walk",
        {"flags": WALK_BAILED},
        {"vmas": 1},
        "walk: a contended walk enters no VMA",
    ),
    ("6.1", "inactive", "walk", {"op": OP["unmap"]}, {"mapcount_after": 1}, MAPCOUNT),
    ("6.1", "inactive", "walk", {"op": OP["restore"]}, {"mapcount_before": 3}, MAPCOUNT),
    ("6.1", "inactive", "walk", {"op": OP["unmap"]}, {"pfn": 4444}, UNMAPPED),
    ("6.1", "inactive", "walk", {"op": OP["restore"], "pfn": 601}, {"looked_at": 2}, LOOKED),
    ("6.1", "inactive", "walk", {"op": OP["migrate"], "pfn": 620}, {"vmas": 30}, ENTERED),
    ("6.1", "inactive", "walk", {"op": OP["reference"], "map": 5}, {"vmas": 2}, CHILD),
    ("6.1", "inactive", "walk", {"op": OP["restore"], "map": 5}, {"vmas": 24}, CHILD),
    (
        "6.1",
        "inactive",
        "walk",
        {"op": OP["restore"], "map": 4},
        {"vmas": 23},
        LINKED,
    ),
    ("6.1", "inactive", "batch", {"caller": CALLER["inactive"]}, {"nr_ref_keep": 1}, KEPT),
    ("6.12", "evict", "batch", {"caller": CALLER["evict"]}, {"decided_keep": 0}, KEPT),
    (
        "6.1",
        "inactive",
        "batch",
        {"caller": CALLER["inactive"]},
        {"nr_activate_anon": 0},
        "batch: pages activated <= nr_activate",
    ),
    (
        "6.1",
        "inactive",
        "batch",
        {"caller": CALLER["inactive"]},
        {"reclaimed": 99},
        "batch: pages reclaimed <= pages let go",
    ),
    ("6.1", "inactive", "batch", {"caller": CALLER["inactive"]}, {"decided_reclaim": 7}, SUMS),
    (
        "6.1",
        "inactive",
        "batch",
        {"caller": CALLER["clean"]},
        {"decided_keep": 1},
        "batch: no checks where references are ignored",
    ),
    ("6.1", "inactive", "batch", {"caller": CALLER["pages"]}, {"ignores_references": 1}, IGNORES),
    ("6.12", "inactive", "batch", {"caller": CALLER["pages"]}, {"ignores_references": 0}, IGNORES),
    ("7.3", "evict", "batch", {"caller": CALLER["clean"]}, {"ignores_references": 0}, IGNORES),
]


W = handmade_memory.WHAT
KINDS = {name: number for number, name in enumerate(rmap.KINDS)}
RESTORED = "migration: each page unmapped is restored once"
KIND = "walk: its kind is what the low bits of page->mapping say"
MERGED = "walk: of a KSM page, as many VMAs as the model says"
DUPLICATED = "walk: fork counts a mapping for each copied entry"
OUTCOME = "memory failure: the outcome is one that the model knows"
HANDLED = "memory failure: page type, result and return value"
GONE = "memory failure: the page is mapped no more"
CODE = "memory failure: action is required of who met it, and of no other"
LATE = "memory failure: who touches the page later must act"
TOLD = "memory failure: each process is told as the model says"
TOLD_LATE = "memory failure: a late touch is told as the model says"
SENT = "memory failure: no more signals than processes found"
BROKEN = "ksm: a write breaks a frame that is merged"
JOINED = "ksm: a page joins a frame that is merged"
FOLLOWED = "ksm: two pages become a KSM page"
WRITTEN = "copy on write: the outcome is one that the model knows"
UNKNOWN = 2**64 - 1
PAGE = {name: number for number, name in enumerate(cow.PAGES)}
COW = {name: number for number, name in enumerate(cow.OUTCOMES)}

MOVE, PUT = OP["migrate"], OP["restore"]

# kernel, ledger, event, which one, what becomes of it, which rule names it
WITH_LEDGER = [
    ("6.1", "soft_offline", "walk", {"op": MOVE, "pfn": 600}, {"op": OP["unmap"]}, RESTORED),
    ("5.10", "soft_offline", "walk", {"op": PUT, "pfn": 603}, {"index": 1}, RESTORED),
    ("7.3", "soft_offline", "walk", {"op": PUT, "pfn": 601}, {"tid": 9}, RESTORED),
    ("6.12", "soft_offline", "walk", {"op": PUT, "pfn": 601}, {"kind": KINDS["ksm"]}, KIND),
    ("6.12", "ksm_fork", "walk", {"op": MOVE, "pfn": 610}, {"kind": KINDS["anon"]}, KIND),
    ("6.1", "soft_offline", "walk", {"op": PUT, "pfn": 601}, {"vmas": 2}, LINKED),
    ("6.1", "soft_offline", "walk", {"op": PUT, "pfn": 603}, {"vmas": 4}, LINKED),
    ("6.1", "ksm_fork", "walk", {"op": PUT, "pfn": 612}, {"vmas": 18}, MERGED),
    ("7.3", "ksm_fork", "walk", {"op": MOVE, "pfn": 610}, {"vmas": 3}, MERGED),
    ("6.1", "ksm_stall", "walk", {"op": PUT, "pfn": 621}, {"vmas": 62}, MERGED),
    ("6.1", "ksm_fork", "walk", {"op": PUT, "pfn": 611}, {"mapcount_after": 3}, DUPLICATED),
    ("6.1", "soft_offline", "walk", {"op": MOVE, "pfn": 600}, {"mapcount_before": 2}, DUPLICATED),
    ("5.10", "ksm_merge", "cow", {"outcome": COW["reused"]}, {"outcome": COW["moved"]}, WRITTEN),
    ("6.1", "ksm_merge", "cow", {"page": PAGE["ksm"]}, {"outcome": COW["reused"]}, WRITTEN),
    ("6.12", "ksm_merge", "cow", {"outcome": COW["moved"]}, {"page": PAGE["file"]}, WRITTEN),
    ("7.3", "ksm_merge", "cow", {"page": PAGE["anon"]}, {"outcome": COW["shared"]}, WRITTEN),
    ("6.1", "ksm_merge", "ksm", {"what": W["shared"]}, {"pfn": 499}, FOLLOWED),
    ("5.10", "ksm_merge", "ksm", {"what": W["sharing"], "pfn": 501}, {"pfn": 7}, JOINED),
    ("7.3", "ksm_merge", "ksm", {"what": W["cow"]}, {"pfn": 7}, BROKEN),
    ("6.1", "ksm_merge", "ksm", {"what": W["scanned"], "ns": 5}, {"ns": 0}, None),
    ("6.1", "hwpoison", "memory_failure", {"pfn": 900}, {"result": 1}, OUTCOME),
    ("6.12", "hwpoison", "memory_failure", {"pfn": 900}, {"returned": -16}, OUTCOME),
    ("7.3", "hwpoison", "memory_failure", {"returned": -133}, {"returned": 0}, OUTCOME),
    ("5.10", "hwpoison", "memory_failure", {"pfn": 900}, {"pfn": 899}, HANDLED),
    ("6.1", "hwpoison", "memory_failure", {"pfn": 900}, {"page_type": 0}, HANDLED),
    ("6.1", "hwpoison", "walk", {"op": OP["unmap"], "pfn": 900}, {"mapcount_after": 1}, GONE),
    ("6.1", "hwpoison", "memory_failure", {"pfn": 900}, {"victims": 0}, SENT),
    ("6.1", "hwpoison", "signal", {"pfn": 900}, {"code": 0}, CODE),
    ("6.12", "hwpoison", "signal", {"pfn": 901}, {"code": 1}, CODE),
    ("6.12", "hwpoison", "signal", {"pfn": 901}, {"target": 712}, CODE),
    ("6.1", "hwpoison", "signal", {"pfn": UNKNOWN}, {"code": 1}, LATE),
    ("6.1", "hwpoison", "signal", {"pfn": UNKNOWN}, {"target": 1}, LATE),
    ("6.1", "hwpoison", "signal", {"pfn": UNKNOWN}, {"lsb": 21}, TOLD_LATE),
    ("6.1", "hwpoison", "signal", {"pfn": UNKNOWN}, {"address": 4096}, TOLD_LATE),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "ledger", "event", "which", "change", "rule"), WITH_LEDGER)
def test_it_is_named_with_the_ledger(
    kernel: str,
    ledger: str,
    event: str,
    which: dict[str, int],
    change: dict[str, int],
    rule: str | None,
    tmp_path: Path,
) -> None:
    false = made(kernel, "inactive", ledger)
    at = places(false.records[event], which)[0]
    for name, value in change.items():
        assert false.records[event][name][at] != value
        false.records[event][name][at] = value
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    seq = int(false.records[event]["seq"][at])
    named = {m.seq for m in verdict.mismatches if m.rule == rule}
    assert verdict.agrees == (rule is None)
    if rule is not None:
        # A walk without its counterpart leaves that one without its own.
        assert seq in named or rule == RESTORED
        assert len(named) == 1 + (rule == RESTORED and "op" not in change)


@pytest.mark.parametrize("name", ["address", "lsb", "target"])
def test_a_signal_that_the_model_does_not_foretell(name: str, tmp_path: Path) -> None:
    """The failure in which it was sent is named, with both."""
    false = made("6.1", "inactive", "hwpoison")
    signals, failures = false.records["signal"], false.records["memory_failure"]
    signals[name][places(signals, {"pfn": 900})[0]] += 1
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    found = [m for m in verdict.mismatches if m.rule == TOLD]
    assert [m.seq for m in found] == [int(failures["seq"][places(failures, {"pfn": 900})[0]])]
    assert found[0].model == "SIGBUS BUS_MCEERR_AO to 711 at 0x384000, lsb 12"


def test_passes_that_overlap(tmp_path: Path) -> None:
    false = made("6.1")
    events = false.records["ksm"]
    at = places(events, {"what": W["scanned"]})[1]
    events["ns"][at] = 10**9
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    assert [(m.rule, m.seq) for m in verdict.mismatches] == [
        ("ksm: passes follow each other", int(events["seq"][at]))
    ]


def test_more_copies_than_mappings(tmp_path: Path) -> None:
    false = made("6.1", "inactive", "ksm_swap")
    walks = false.records["walk"]
    at = places(walks, {"op": OP["unmap"], "kind": KINDS["ksm"]})[0]
    for name in ("ptes", "vmas", "mapcount_before"):
        walks[name][at] = 2
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    rule = "ksm: no more copies on swap-in than mappings lost"
    assert rule in {m.rule for m in verdict.mismatches}


def places(found: np.ndarray, values: dict[str, int]) -> np.ndarray:
    return np.flatnonzero(np.all([found[name] == value for name, value in values.items()], axis=0))


def rule_name(rule: str) -> str:
    return rule if ":" in rule else f"reference check: {rule}"


@pytest.mark.parametrize(("kernel", "caller", "event", "which", "change", "rule"), EVENTS)
def test_it_is_named(
    kernel: str,
    caller: str,
    event: str,
    which: dict[str, int],
    change: dict[str, int],
    rule: str,
    tmp_path: Path,
) -> None:
    false = made(kernel, caller)
    at = places(false.records[event], which)[0]
    for name, value in change.items():
        assert false.records[event][name][at] != value or name in which
        false.records[event][name][at] = value
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    named = {(m.rule, m.event, m.seq) for m in verdict.mismatches}
    assert not verdict.agrees
    assert (rule_name(rule), event, int(false.records[event]["seq"][at])) in named
    others = {m.seq for m in verdict.mismatches if m.rule == rule_name(rule)}
    assert len(others) == 1


@pytest.mark.parametrize(
    ("name", "which", "rule"),
    [
        ("referenced", decided("reclaim_clean"), "reclaim"),
        ("referenced", decided("activate", vm_flags=0, result=1), "keep"),
        ("mlocked", decided("activate_mlocked"), "activate"),
        ("swapbacked", decided("keep", vm_flags=EXEC), "activate"),
    ],
)
def test_a_page_flag_that_was_not_set(
    name: str, which: dict[str, int], rule: str, tmp_path: Path
) -> None:
    false = made("6.1")
    checks = false.records["reference"]
    at = places(checks, which)[0]
    checks["page_flags"][at] ^= flag(false, name)
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    named = {(m.rule, m.seq) for m in verdict.mismatches}
    if name == "mlocked":
        # That is what another thread does that mlocks the page in between.
        assert verdict.agrees
        assert [each for row in verdict.rows for each in row.explained if each[1]] == [
            ("mlocked by another thread between check and effect", 1)
        ]
    else:
        assert (rule_name(rule), int(checks["seq"][at])) in named


@pytest.mark.parametrize("event", ["walk", "reference", "batch"])
def test_an_event_that_is_gone(event: str, tmp_path: Path) -> None:
    false = made("6.1")
    false.records[event] = np.delete(false.records[event], 1)
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    rules = {row.rule for row in verdict.rows if row.agrees is False}
    assert {"events: no gap in their numbers", "events: received = recorded"} <= rules


def test_a_lost_event_is_no_proof_of_anything(tmp_path: Path) -> None:
    """A check without its walk is explained where walks were lost; nothing is counted then."""
    lossy = made("6.1")
    lossy.records["walk"] = np.delete(lossy.records["walk"], 0)
    for events in lossy.records.values():
        events["seq"] -= events["seq"] > 0
    counts = lossy.counts["walk"]
    fewer = {"walk": dataclasses.replace(counts, lost=1, received=counts.received - 1)}
    lossy.counts |= fewer
    lossy.sample = dataclasses.replace(lossy.sample, events={**lossy.sample.events, **fewer})
    verdict = run.check(Recording(lossy.write(tmp_path / "r")))
    rows = {row.rule: row for row in verdict.rows}
    assert verdict.agrees
    assert rows[WALK].explained == (("walk events were lost", 1),)
    assert rows["walks: counted = told by events"].agrees is None


EXITS = "a process that exits unmaps without the lock of the reverse map"
FORKS = "a process that forks maps as soon as a walk has let go of the lock"
BESIDE = {"migrate": ("mapcount_before", EXITS), "restore": ("mapcount_after", FORKS)}


@pytest.mark.parametrize("forks", [0, 1, 13])
@pytest.mark.parametrize("op", BESIDE)
def test_forks_explain_what_changes_beside_a_walk(op: str, forks: int, tmp_path: Path) -> None:
    """Two walks meet an entry more than VMAs; no more of them than processes that were born."""
    beside = made("6.1")
    counted, why = BESIDE[op]
    walks = beside.records["walk"]
    for at in places(walks, {"op": OP[op]})[:2]:
        walks["ptes"][at] = walks["vmas"][at] + 1
        walks[counted][at] = walks["ptes"][at]
    born = fork_counts(1) if forks else None
    if born:
        steps = {**born.steps, "copy_process": calls(forks)}
        born = dataclasses.replace(born, steps=steps)
    beside.sample = dataclasses.replace(beside.sample, forks=born)
    verdict = run.check(Recording(beside.write(tmp_path / "r")))
    row = next(row for row in verdict.rows if row.rule == ENTERED)
    assert row.mismatches == max(0, 2 - forks)
    assert row.explained == ((why, min(forks, 2)),)


def lossy(batches: int, missed: int) -> Made:
    """Fewer checks were seen in so many batches than they made; `missed`: calls skipped."""
    found = made("6.1")
    for at in places(found.records["batch"], {"caller": CALLER["inactive"]})[:batches]:
        found.records["batch"]["nr_ref_keep"][at] += 1
    account = dataclasses.replace(found.sample.accounts["reference_check"], missed=missed)
    accounts = {**found.sample.accounts, "reference_check": account}
    found.sample = dataclasses.replace(found.sample, accounts=accounts)
    return found


MISSED = "the kernel did not run a probe's program"


@pytest.mark.parametrize(("missed", "wrong"), [(0, 3), (1, 2), (2, 1), (3, 0), (9, 0)])
def test_no_more_is_explained_than_was_missed(missed: int, wrong: int, tmp_path: Path) -> None:
    false = lossy(3, missed)
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    row = next(row for row in verdict.rows if row.rule == KEPT)
    assert row.mismatches == wrong
    assert row.explained == (((MISSED, min(missed, 3)),) if missed else ())
    named = {m.seq for m in verdict.mismatches if m.rule == KEPT}
    # Which of them the missed calls explain, nobody knows: all are named.
    seqs = false.records["batch"]["seq"]
    of_them = places(false.records["batch"], {"caller": CALLER["inactive"]})[:3]
    assert named == ({int(seqs[at]) for at in of_them} if wrong else set())


@pytest.mark.parametrize(
    ("what", "rule"),
    [
        ("accounts", "probes: entries = exits + in flight + missed"),
        ("walks", "walks: counted = told by events"),
        ("references", "reference checks: counted = told by events"),
        ("decisions", "reference checks: counted = told by events"),
        ("batches", "batches: counted = told by events"),
    ],
)
def test_a_sample_that_counted_something_else(what: str, rule: str, tmp_path: Path) -> None:
    false = made("6.1")
    changed = dict(getattr(false.sample, what))
    key = next(key for key, value in changed.items() if what != "accounts" or value.entries)
    fields = {"accounts": "entries", "walks": "walks", "batches": "batches"}
    if what in fields:
        more = getattr(changed[key], fields[what]) + 1
        changed[key] = dataclasses.replace(changed[key], **{fields[what]: more})
    else:
        changed[key] += 1
    false.sample = dataclasses.replace(false.sample, **{what: changed})
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    assert {m.rule for m in verdict.mismatches} == {rule}
    assert {m.seq for m in verdict.mismatches} == {None}


@pytest.mark.parametrize(
    ("table", "values", "key"),
    [
        ("ksm", "pages", "shared"),
        ("ksm", "swapins", "copied"),
        ("cow", "faults", ("anon", "copied")),
        ("failures", "errors", "soft_offline"),
        ("failures", "actions", ("dirty_lru", "recovered")),
        ("failures", "signals", ("SIGBUS", "BUS_MCEERR_AO")),
    ],
)
def test_memory_that_was_counted_as_something_else(
    table: str, values: str, key: object, tmp_path: Path
) -> None:
    false = made("6.1")
    counts = getattr(false.sample, table)
    changed = dict(getattr(counts, values))
    changed[key] += 1
    counts = dataclasses.replace(counts, **{values: changed})
    false.sample = dataclasses.replace(false.sample, **{table: counts})
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    names = {"ksm": "ksm", "failures": "memory failures", "cow": "copy on write"}
    rule = f"{names[table]}: counted = told by events"
    assert {(m.rule, m.seq) for m in verdict.mismatches} == {(rule, None)}


def test_events_that_nobody_accounts_for(tmp_path: Path) -> None:
    false = made("6.1")
    counts = false.counts["walk"]
    false.counts["walk"] = dataclasses.replace(counts, produced=counts.produced + 1)
    verdict = run.check(Recording(false.write(tmp_path / "r")))
    assert {m.rule for m in verdict.mismatches} == {"events: produced = received + lost"}


# A row of the semantics that is not this kernel's, and the decision that then comes out wrong.
SEMANTICS = [
    ("5.10", "inactive", {"shared_activates": False}, "keep"),
    ("5.10", "inactive", {"locked": LockedReference.ACTIVATE}, "activate"),
    ("6.1", "inactive", {"exec_activates": ExecActivates.NEVER}, "keep"),
    ("6.1", "inactive", {"exec_activates": ExecActivates.ANY}, "activate"),
    ("6.1", "inactive", {"anon_used_once": False}, "activate"),
    ("6.1", "inactive", {"reclaim_clean": False}, "reclaim"),
    ("6.1", "inactive", {"clean_only_file": False}, "reclaim_clean"),
    ("6.1", "inactive", {"locked": LockedReference.RECLAIM}, "reclaim"),
    ("6.1", "inactive", {"used_once": False}, "activate"),
    ("7.3", "evict", {"mglru": Mglru.LOOK_AROUND_CLEARS}, "activate"),
    ("7.3", "inactive", {"reclaim_clean": True}, "reclaim_clean"),
    ("6.1", "inactive", {"contended_walk_gives_up": False}, "gives up only where it can"),
    ("6.1", "inactive", {"pageout_ignores_references": True}, IGNORES),
    ("6.12", "inactive", {"pageout_ignores_references": False}, IGNORES),
]


@pytest.mark.parametrize(("kernel", "caller", "change", "rule"), SEMANTICS)
def test_semantics_of_another_kernel(
    kernel: str, caller: str, change: dict, rule: str, tmp_path: Path
) -> None:
    recording = Recording(made(kernel, caller).write(tmp_path / "r"))
    context = context_of(recording)
    false = dataclasses.replace(context, semantics=dataclasses.replace(context.semantics, **change))
    verdict = run.judge(false, windows(recording), recording.meta.end.events)
    assert rule_name(rule) in {m.rule for m in verdict.mismatches}
    assert all(m.seq is not None for m in verdict.mismatches)


def decided_in(folder: Path) -> np.ndarray:
    return Recording(folder).records("reference")["decision"]


@pytest.mark.parametrize("folder", sorted(FIXTURES.glob("*")), ids=lambda folder: folder.name)
def test_a_false_decision_in_a_real_recording(folder: Path) -> None:
    """One decision in each recording of a real kernel, the middle one, is another."""
    recording = Recording(folder)
    context, parts = context_of(recording), list(windows(recording))
    seqs = [w["reference"]["seq"][w["reference"]["decision"] != UNSEEN] for w in parts]
    told = np.concatenate(seqs)
    if not len(told):
        # Made before decisions were told: then there is none to falsify, and no row is held.
        rows = run.judge(context, parts, recording.meta.end.events).rows
        assert all(row.agrees is None for row in rows[:5])
        return
    seq = int(told[len(told) // 2])
    verdict = run.judge(context, [_falsified(w, seq) for w in parts], recording.meta.end.events)
    assert seq in {m.seq for m in verdict.mismatches if m.rule.startswith("reference check: ")}


def _falsified(window: dict, seq: int) -> dict:
    checks = dict(window["reference"])
    at = checks["seq"] == seq
    checks["decision"] = np.where(
        at, (checks["decision"] + 2) % len(reclaim.DECISIONS), checks["decision"]
    )
    return {**window, "reference": checks}


def test_without_eviction_being_watched_nothing_is_claimed(tmp_path: Path) -> None:
    blind = made("7.3", "evict")
    blind.points = ("reference_check",)
    verdict = run.check(Recording(blind.write(tmp_path / "r")))
    assert [row.agrees for row in verdict.rows[:5]] == [None] * 5
    assert verdict.agrees


def test_examples_are_few_and_all_are_counted(tmp_path: Path) -> None:
    false = made("6.1")
    checks = false.records["reference"]
    false.records["reference"] = np.concatenate([checks] * 4)
    false.records["reference"]["decision"][:] = D["keep"]
    false.records["reference"]["result"][:] = 0
    recording = Recording(false.write(tmp_path / "r"))
    verdict = run.check(recording)
    row = next(row for row in verdict.rows if row.rule == "reference check: reclaim")
    assert row.mismatches > 20
    assert sum(m.rule == row.rule for m in verdict.mismatches) == 20


def test_context_knows_the_kernel(tmp_path: Path) -> None:
    context: Context = context_of(Recording(made("5.10").write(tmp_path / "r")))
    assert context.semantics.locked is LockedReference.RECLAIM
    assert not context.semantics.contended_walk_gives_up
