"""Whose memory walks are about, and who pays, from events made by hand."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from rings import MemoryRing
from rmapwatch.collectors import hottest, maps
from rmapwatch.collectors.following import Following
from rmapwatch.collectors.frame import frame
from rmapwatch.collectors.hottest import Hottest
from rmapwatch.collectors.owners import Owners
from rmapwatch.probes import reclaim, rmap
from rmapwatch.probes.sample import MapCounts, PayerCounts, Sample
from samples import records, sample

ANON, KSM = rmap.KINDS.index("anon"), rmap.KINDS.index("ksm")
TREE, OTHER_TREE, PAGE = 0xABCDEF12345678, 0x1234567890ABCD, 0xABCDEF12345678 ^ 1
KSWAPD = reclaim.RECLAIMERS.index("kswapd")
ME = os.getpid()


class Named(Owners):
    """Knows one process and one cgroup."""

    def command(self, pid: int) -> str | None:
        return {4711: "storm"}.get(pid)

    def cgroup(self, inode: int) -> str:
        return {0: "", 99: "/storm"}[inode]


@pytest.fixture
def summed() -> Hottest:
    return Hottest(Named())


def walk(root: int, **values: int) -> dict[str, int]:
    return {"root": root, "kind": ANON, "ns": 10, "vmas": 1, "tid": 7, "comm": b"me", **values}


def test_walks_are_summed_by_map(summed: Hottest) -> None:
    rows = [
        walk(TREE, vmas=23, ns=500, mapper=4711),
        walk(TREE, mapper=4711),
        walk(TREE, mapper=4712),
        walk(OTHER_TREE, vmas=0),
        walk(TREE, kind=KSM, ns=70),
    ]
    summed.append("walk", records("walk", rows[:2]))
    summed.append("walk", records("walk", rows[2:]))
    assert summed.maps() == {
        ("anon", "abcdef12"): MapCounts(1, 3, 25, 520, 500, 2, 4711, "storm"),
        ("anon", "12345678"): MapCounts(2, 1, 0, 10, 10, 0, None, None),
        ("ksm", "abcdef12"): MapCounts(3, 1, 1, 70, 70, 0, None, None),
    }


def test_vmas_that_nobody_saw_are_not_none(summed: Hottest) -> None:
    summed.append("walk", records("walk", [walk(TREE), walk(TREE, vmas=-1)]))
    (found,) = summed.maps().values()
    assert (found.walks, found.vmas) == (2, None)


def test_who_pays_is_told_by_the_end_of_the_batch(summed: Hottest) -> None:
    rows = [walk(TREE, batch=3), walk(TREE, batch=3, ns=5), walk(TREE), walk(TREE, tid=8, batch=3)]
    summed.append("walk", records("walk", rows))
    assert summed.payers() == {("me", "", ""): PayerCounts(1, 10)}
    end = {"tid": 7, "batch": 3, "reclaimer": KSWAPD, "memcg": 99}
    summed.append("batch", records("batch", [end, {"tid": 9, "batch": 3}]))
    assert summed.payers()["me", "kswapd", "/storm"] == PayerCounts(2, 15)
    assert len(summed.payers()) == 2, "the batch of thread 8 goes on"


def test_where_no_batch_is_told_its_walks_are_paid_by_their_thread(summed: Hottest) -> None:
    rows = [walk(TREE, batch=n, tid=n) for n in (1, 2)]
    summed.append("walk", records("walk", rows))
    told = sample(1, 1)
    assert summed.added_to(told).payers == {}, "their ends will be told"
    untold = {name: counts for name, counts in told.events.items() if name != "batch"}
    by_events = dataclasses.replace(told, events=untold)
    assert summed.added_to(by_events).payers == {("me", "", ""): PayerCounts(2, 20)}
    assert summed.added_to(by_events).payers == {("me", "", ""): PayerCounts(2, 20)}


def test_a_batch_whose_end_is_lost_is_paid_all_the_same(
    summed: Hottest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hottest, "_OPEN", 2)
    summed.append("walk", records("walk", [walk(TREE, batch=n) for n in (1, 2, 3)]))
    assert summed.payers() == {("me", "", ""): PayerCounts(1, 10)}


def test_maps_walked_long_ago_are_told_apart_no_longer(
    summed: Hottest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hottest, "LIMIT", 4)
    for number in range(1, 6):
        summed.append("walk", records("walk", [walk(number << 40, vmas=number)]))
    found = summed.maps()
    told_apart = {"00030000": 3, "00040000": 4, "00050000": 5}
    assert {name: counts.vmas for (_, name), counts in found.items()} == {"": 1 + 2, **told_apart}
    assert found["anon", ""].walks == 2


def test_a_window_is_a_difference() -> None:
    first, now = sample(1_000_000_000, 1), sample(3_000_000_000, 3)
    shown = frame(now, first)
    dearest, others = shown.maps
    assert (dearest.map, dearest.walks, dearest.vmas) == ("1f2e3d4c", 2018, 4006)
    assert (dearest.seconds, dearest.longest) == (0.018, 0.004)
    assert (others.map, others.vmas, others.owner) == ("", None, None)
    assert [(row.command, row.walks) for row in shown.payers] == [("kswapd0", 2000), ("storm", 220)]


def test_a_map_told_apart_again_begins_anew() -> None:
    def at(born: int, walks: int) -> Sample:
        counts = MapCounts(born, walks, walks, walks * 10, 10, 1, 1, "init")
        return Sample(**{**vars(sample(1, 1)), "maps": {("anon", "a"): counts}})

    assert maps.maps(at(5, 70), at(1, 50))[0].walks == 70
    assert maps.maps(at(5, 70), at(5, 50))[0].walks == 20
    assert maps.maps(at(5, 50), at(5, 50)) == []


def test_processes_and_cgroups_have_names(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    owners = Owners(tmp_path)
    assert owners.cgroup((tmp_path / "a" / "b").stat().st_ino) == "/a/b"
    assert owners.cgroup(tmp_path.stat().st_ino) == "/"
    assert owners.cgroup(0) == ""
    assert owners.cgroup(1) == "inode 1"
    assert owners.command(ME) == Path("/proc/self/comm").read_text().strip()
    assert owners.command(2**30) is None


class Attached(MemoryRing):
    """What a session has, of which Following asks for the ring and Samples alone."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def received(self, event: str, count: int) -> None:
        self.taken += count

    def sample(self) -> Sample:
        return sample(1, 1)


def test_events_are_followed_as_they_come() -> None:
    attached = Attached()
    following = Following(attached)
    told = np.concatenate([records("walk", [walk(0xFFFF888000000000 + n, type=1)]) for n in (1, 2)])
    attached.put(told)
    found = following.sample()
    assert attached.taken == 2
    assert len(found.maps) == 2
    assert "ffff8880" not in {name for _, name in found.maps}, "a kernel address"
    assert found.payers == {("me", "", ""): PayerCounts(2, 20)}
