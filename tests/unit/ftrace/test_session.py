"""A session over buffers that were recorded: accounts balance, whole and lossy, and from zero."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from rmapwatch.probes import events
from rmapwatch.probes.consumer import Consumer
from rmapwatch.probes.ftrace import formats, plan, session
from rmapwatch.probes.ftrace.buffers import Merger
from rmapwatch.probes.ftrace.instance import Hits
from rmapwatch.probes.ftrace.plan import Side
from rmapwatch.probes.ftrace.session import Session
from rmapwatch.probes.sample import Attachment
from rmapwatch.recordings.recorder import Memory
from traced import Recorded, buffers

PAIRED = ("rmap_walk_anon", "rmap_walk_file", "reference_check", "reclaim_memcg", "reclaim_batch")


class RecordedInstance:
    """Stands for the kernel: its buffers give what they held, once."""

    def __init__(self, recorded: Recorded, which: str) -> None:
        candidates = recorded.candidates(which)
        self.shape, self.unavailable = recorded.shape, {"look_next": "not by ftrace"}
        self._recorded, self._which = recorded, which
        self._pages = recorded.pages(which)
        self.attached = {c.point.name: recorded.sides(which, c) for c in candidates}
        self.rows = [Attachment(c.point.name, c.source.symbol, "", "") for c in candidates]
        self.buffers = SimpleNamespace(drain=self._drain)

    def _drain(self, merger: Merger) -> None:
        for cpu, page in self._pages:
            merger.add(cpu, page)
        self._pages = []
        merger.handle(1 << 62)

    def format(self, side: Side) -> formats.Format:
        return self._recorded.format(self._which, side)

    def hits(self) -> dict[str, Hits]:
        return self._recorded.hits(self._which)

    def close(self) -> bool:
        return True


@pytest.fixture(params=buffers("whole", "lossy"), ids="-".join)
def live(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    series, which = request.param
    recorded = Recorded.of(series)
    monkeypatch.setattr(session.read, "addresses", lambda _: recorded.told["addresses"])
    found = Session(recorded.facts, RecordedInstance(recorded, which), plan.TOLD)
    found.lossy = which == "lossy"
    yield found
    found.close()


def test_the_accounts_balance_whatever_was_lost(live: Session) -> None:
    sample = live.sample()
    assert sample.quiet
    missed = 0
    for probe in PAIRED:
        account = sample.accounts[probe]
        assert account.entries == account.exits + account.in_flight + account.missed
        assert (
            account.entries == live._instance.hits()[live._instance.attached[probe][-1].name].hits
        )
        missed += account.missed
    assert bool(missed) == live.lossy
    assert (sample.accounts["reclaim_isolate"].missed is None) == live.lossy
    assert sample.accounts["step_unmap"].entries is None


def test_what_a_sample_tells_and_what_not(live: Session) -> None:
    sample = live.sample()
    assert sample.backend == "ftrace"
    assert sample.decisions == {}
    assert sample.ksm is sample.failures is None
    assert sum(walk.walks for walk in sample.walks.values()) == sum(
        sample.accounts[f"rmap_walk_{kind}"].exits for kind in ("anon", "file", "ksm")
    )
    assert {walk.ptes for walk in sample.walks.values()} == {None}
    unmap = sample.walks["unmap", "anon"]
    assert sum(unmap.vmas_slots) == unmap.walks <= unmap.vmas
    assert sample.unavailable == {"look_next": "not by ftrace"}


def test_each_walk_is_an_event_too(live: Session) -> None:
    consumer = Consumer(live, memory := Memory())
    taken = consumer.drain()
    sample = live.sample()
    assert set(sample.events) == set(events.EVENTS) - {"batch", "cow"}
    assert sum(counts.produced for counts in sample.events.values()) == taken
    assert all(counts.produced == counts.received for counts in sample.events.values())
    assert not any(counts.lost for counts in sample.events.values())
    told = memory.records()["walk"]
    held = sum(1 for call in live._follower.open["check"].values() if call.walk)
    assert len(told) + held == sum(walk.walks for walk in sample.walks.values())
    checks = memory.records()["reference"]
    assert len(checks) == sum(sample.references.values()) > 0
    seqs = np.concatenate([told["seq"], checks["seq"]])
    assert np.sort(seqs).tolist() == list(range(taken))
    named = checks[checks["walk"] != 0][["tid", "walk"]].tolist()
    assert set(named) <= set(told[["tid", "time"]].tolist())
    assert len(named) > 100 or live.lossy
    assert int(told["ns"].sum()) <= sum(walk.ns for walk in sample.walks.values())
    assert np.isin(told["nr_pages"], [0, 1, 512]).all()
    small = told[told["nr_pages"] == 1]
    assert (small["mapcount_before"] >= 0).all()
    assert ((small["pfn"] > 0) & (small["pfn"] < 1 << 24)).all()
    assert set(told["comm"]) - {b""} or live.lossy


def test_from_zero(live: Session) -> None:
    Consumer(live, Memory()).drain()
    live.restart()
    sample = live.sample()
    assert not any(walk.walks for walk in sample.walks.values())
    for probe in PAIRED:
        account = sample.accounts[probe]
        assert account.entries == account.exits == 0
    assert {(c.produced, c.lost, c.received) for c in sample.events.values()} == {(0, 0, 0)}


def test_passes_of_ksmd_are_not_watched_where_nobody_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = Recorded.of("7.3").facts
    resolved = plan.resolve_all(("ksm_scan", "ksm_scan_end", "ksm_merge"), facts)
    monkeypatch.setattr(session.read, "kernel_thread", lambda _: 42)
    assert session._seen_from_here(*resolved) == resolved
    monkeypatch.setattr(session.read, "kernel_thread", lambda _: None)
    seen, refused = session._seen_from_here(*resolved)
    assert [candidate.point.name for candidate in seen] == ["ksm_merge"]
    assert {answer.point.name for answer in refused} == {"ksm_scan", "ksm_scan_end"}
    assert "ksmd" in refused[0].reason
