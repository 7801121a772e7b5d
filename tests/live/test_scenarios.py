"""`rmapwatch lab run --all`, as a user types it, on each kernel that is asked for."""

import dataclasses
import gzip
import json
from pathlib import Path

import pytest
from matrix import RUNS
from rmapwatch.check.run import RULES, check
from rmapwatch.collectors.frame import frames
from rmapwatch.lab import scenarios
from rmapwatch.recordings.reader import Recording

pytestmark = pytest.mark.lab

# The LRUs that each kernel has, the one it comes with first.
LRUS = {
    "5.10": ("classic",),
    "6.1": ("classic", "mglru"),
    "6.12": ("mglru", "classic"),
    "7.3": ("mglru", "classic"),
}

EVICTION_UNREPORTED = {
    "vmstat: pgscan_anon + pgscan_file = pages isolated",
    "vmstat: pgsteal_anon + pgsteal_file = pages shrunk",
    "memory.stat: pgscan = pages isolated",
}

KEPT = "reclaim batches: pages kept = nr_ref_keep"

# What a kernel cannot answer: its eviction reports nothing; or MGLRU marks the page that it looks
# around of as referenced before the decision, so that none is kept.
SILENT = {("6.1", "mglru"): EVICTION_UNREPORTED | {KEPT}, ("7.3", "mglru"): {KEPT}}

# Rules of reclaim that a run must exercise otherwise.
RECLAIM_RULES = {
    *EVICTION_UNREPORTED,
    "vmstat: pgsteal_anon + pgsteal_file = pages of batches",
    "memory.stat: pgsteal = pages of batches for that cgroup",
    KEPT,
    "reclaim batches: pages activated <= nr_activate",
    "reclaim batches: pages reclaimed <= let go",
    "reclaim batches: not one contradicts its own account",
}


# Rules of `rmapwatch check` that a kernel cannot exercise: walks that give up came with v5.19, a
# look marks large folios as locked since v6.7, MADV_PAGEOUT ignores references since v6.9; the end
# of a pass is reported since v6.4, RECLAIM_CLEAN is gone in 7.3.
MLOCKED = "reference check: activate_mlocked"
IGNORING = "batch: no checks where references are ignored"
PASSES = "ksm: passes follow each other"
GIVING_UP = {
    "reference check: gives up only where it can",
    "reference check: a contended walk gives up",
    "walk: a contended walk enters no VMA",
}
NOT_THERE = {
    "5.10": {*GIVING_UP, MLOCKED, IGNORING, PASSES},
    "6.1": {MLOCKED, IGNORING, PASSES},
    "6.12": set(),
    "7.3": {"reference check: reclaim_clean"},
}


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: "-".join(filter(None, run)))
def everything(request: pytest.FixtureRequest, guests) -> tuple[str, Path, list[dict]]:
    """The series, the folder that was left, and the results of all scenarios on one kernel."""
    series, _ = request.param
    out, running = guests.runs[request.param]
    done = running.result()
    print(done.stderr)
    if not done.stdout:
        pytest.fail(f"lab run ended with {done.returncode}", pytrace=False)
    results = json.loads(done.stdout)["scenarios"]
    broken = [
        f"{result['scenario']}, {result['lru']}: {result.get('error') or rule}"
        for result in results
        for rule in result.get("agreement", [{"agrees": False}])
        if rule["agrees"] is False
    ]
    if broken or done.returncode:
        pytest.fail("\n".join([f"exit code {done.returncode}", *broken]), pytrace=False)
    return series, out, results


def test_every_scenario_ran_by_each_lru(everything: tuple[str, Path, list[dict]]) -> None:
    series, _, results = everything
    ran = [(result["scenario"], result["lru"]) for result in results]
    assert ran == [
        (name, lru)
        for name, scenario in scenarios.SCENARIOS.items()
        for lru in (LRUS[series] if scenario.reclaims else LRUS[series][:1])
    ]


def test_reclaim_is_what_the_kernel_says(everything: tuple[str, Path, list[dict]]) -> None:
    series, _, results = everything
    for result in results:
        if result["scenario"] != "file-stream":
            continue
        rules = {rule["rule"]: rule for rule in result["agreement"]}
        silent = {name for name in RECLAIM_RULES if rules[name]["agrees"] is None}
        assert silent == SILENT.get((series, result["lru"]), set()), result["lru"]
        for name in RECLAIM_RULES - silent:
            contradictions = name.endswith("its own account")
            assert contradictions or rules[name]["observed"] > 0, name


def test_the_storm_walks_one_vma(everything: tuple[str, Path, list[dict]]) -> None:
    storms = [result for result in everything[2] if result["scenario"] == "fork-storm"]
    for storm in storms:
        rules = {rule["rule"]: rule for rule in storm["agreement"]}
        one_vma = rules["an uncontended reference walk of a child's page enters 1 VMA"]
        assert one_vma["agrees"]
        assert one_vma["observed"] > 2000


def test_what_is_left_replays_to_the_same(everything: tuple[str, Path, list[dict]]) -> None:
    _, out, results = everything
    for result in results:
        left = out / f"{result['scenario']}-{result['lru']}"
        assert {p.name for p in left.iterdir()} == {"recording", "frames.json.gz", "ledger.json"}
        recording = Recording(left / "recording")
        assert recording.complete
        told = [dataclasses.asdict(shown) for shown in frames(recording.samples())]
        assert told == json.loads(gzip.decompress((left / "frames.json.gz").read_bytes()))
        for row in result["events_by_type"]:
            assert len(recording.records(row["event"])) == row["received"]


def test_every_recording_agrees_with_the_model(
    everything: tuple[str, Path, list[dict]],
) -> None:
    """Not one mismatch, and together they exercise every rule that the kernel can."""
    series, out, results = everything
    exercised: set[str] = set()
    for result in results:
        verdict = check(Recording(out / f"{result['scenario']}-{result['lru']}" / "recording"))
        assert verdict.mismatches == (), result["scenario"]
        exercised |= {row.rule for row in verdict.rows if row.agrees}
        print(series, result["scenario"], [row.explained for row in verdict.rows if row.explained])
    silent = {rule.name for rule in RULES} - exercised
    assert silent == NOT_THERE[series]
