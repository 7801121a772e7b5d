"""Recordings of real kernels, made by `rmapwatch lab record`: the same answers as when live."""

import gzip
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from rmapwatch.collectors.frame import frame, frames
from rmapwatch.lab import agreement, left, scenarios
from rmapwatch.probes import events
from rmapwatch.probes.sample import EventCounts
from rmapwatch.recordings.reader import Recording

FIXTURES = Path(__file__).parents[2] / "fixtures"
KERNEL_HALF = 0xFFFF_8000_0000_0000
LIMIT_BYTES = 300_000
RECLAIM = {"walk": 2000, "reference": 1000, "batch": 20}
AT_LEAST = {
    "fork-storm": RECLAIM,
    "file-stream": RECLAIM,
    "working-set": RECLAIM,
    "pageout": {"walk": 200, "reference": 4, "batch": 3},
    "ksm-stall": {"walk": 2, "ksm": 31},
    "ksm-merge": {"ksm": 800, "cow": 80},
    "ksm-swap": {"walk": 500, "ksm": 1000, "reference": 300},
    "soft-offline": {"walk": 150, "memory_failure": 60},
    "migrate": {"walk": 5000, "migration": 28},
    "lock-waits": {"walk": 300, "lock_wait": 100},
    "fork-dup": {"fork": 28, "cow": 100},
    "cow-reuse": {"walk": 76, "fork": 5, "cow": 400},
    "hwpoison": {"walk": 500, "memory_failure": 15, "signal": 33},
}


@pytest.fixture(params=sorted(path.name for path in FIXTURES.iterdir()))
def fixture(request: pytest.FixtureRequest) -> Path:
    return FIXTURES / request.param


def as_json(value: object) -> object:
    return json.loads(json.dumps(value))


def live(fixture: Path, name: str) -> dict:
    return json.loads((fixture / name).read_text())


def test_it_is_whole_and_small(fixture: Path) -> None:
    recording = Recording(fixture)
    assert recording.complete
    assert sum(path.stat().st_size for path in fixture.iterdir()) < LIMIT_BYTES
    assert recording.meta.kernel.release.startswith(fixture.name.rpartition("-")[2])
    assert recording.meta.end.ledger == live(fixture, "result.json")["ledger"]


def test_replay_gives_the_frames_of_the_live_run(fixture: Path) -> None:
    told = [asdict(shown) for shown in frames(Recording(fixture).samples())]
    assert len(told) > 3
    then = json.loads(gzip.decompress((fixture / "frames.json.gz").read_bytes()))
    # A frame of then has no readings that came later.
    now = [{name: shown[name] for name in was} for shown, was in zip(told, then, strict=True)]
    assert as_json(now) == then


def test_the_rules_agree_as_they_did_live(fixture: Path) -> None:
    there = left.read(fixture)
    result, last = there.result, there.run.sample
    again = agreement.every_rule(there.run, scenarios.find(result["scenario"]).rules)
    then = {row["rule"] for row in result["agreement"]}
    # A result of then has no rules that came later.
    assert as_json([asdict(r) for r in again if r.rule in then]) == result["agreement"]
    assert not [rule for rule in again if rule.agrees is False]
    for name, readings in as_json(asdict(frame(last))).items():
        if name in result.keys() - {"seconds", "events"}:
            assert result[name] == readings, name


def test_events_are_all_there_in_their_order(fixture: Path) -> None:
    recording = Recording(fixture)
    seqs = np.concatenate([recording.records(event)["seq"] for event in events.EVENTS])
    assert np.array_equal(np.sort(seqs), np.arange(len(seqs)) + seqs.min())
    for event in events.EVENTS:
        told = recording.records(event)
        assert (np.diff(told["seq"].astype(np.int64)) > 0).all()
        # A version that knew no such events told of none.
        counts = recording.meta.end.events.get(event, EventCounts(0, 0, 0))
        assert counts.produced == counts.received == len(told)
        assert counts.lost == 0
        assert len(told) >= AT_LEAST[fixture.name.rpartition("-")[0]].get(event, 0), event


def test_no_kernel_address_is_in_it(fixture: Path) -> None:
    recording = Recording(fixture)
    for event in events.EVENTS:
        for member in events.fields(event):
            if member.ctype == "u64":
                values = recording.records(event)[member.name]
                known = values if member.unknown is None else values[values != member.unknown]
                assert (known < KERNEL_HALF).all(), member.name
                # The pages of one family may all have one root, but not one map.
                if member.pointer and member.name != "root" and len(known) > 2:
                    assert len(np.unique(known)) > 1
    assert b"ffff8" not in (fixture / "meta.json").read_bytes()


def test_a_walk_belongs_to_its_check(fixture: Path) -> None:
    """The time of a walk is its name: a reference check of the same thread gives it."""
    recording = Recording(fixture)
    walks, checks = recording.records("walk"), recording.records("reference")
    with_walk = checks[checks["walk"] != 0]
    known = {(int(w["tid"]), int(w["time"])) for w in walks}
    found = [(int(c["tid"]), int(c["walk"])) in known for c in with_walk]
    assert len(found) >= AT_LEAST[fixture.name.rpartition("-")[0]].get("reference", 0)
    assert all(found)
