"""The rules of migration: each holds on what is right, and fails on the one thing made wrong."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.lab.rules.migrate import AGAIN, migrate, restored
from rmapwatch.lab.rules.row import UNSEEN_ENTRIES, Agreement, Run
from rmapwatch.probes import events, rmap
from rmapwatch.probes.sample import MigrationCounts, Sample
from samples import records, run, run_by_events, sample

FACTS = Path(__file__).parents[3] / "data" / "facts"
KERNEL = KernelFacts.from_json((FACTS / "6.1.json").read_text())
OP = {op.name: number for number, op in enumerate(rmap.OPS)}
KIND = {name: number for number, name in enumerate(rmap.KINDS)}
TID, FAR = 7, 1
FIRST = 5000
REASONS = KERNEL.enums["migrate_reason"]
SYSCALL = {"tid": TID, "time": 100_000, "ns": 100_000, "reason": REASONS["MR_SYSCALL"]}
ROOT, CHILD = 70, 71


def region(first_pfn: int, pages: int, mappings: int, **kpage: int) -> dict[str, Any]:
    moves = [
        {"before": first_pfn + n, "after": first_pfn + 500 + n, "status": FAR} for n in range(pages)
    ]
    census = {"pages": pages, "mapped_as_expected": pages, "anon": pages, "ksm": 0, **kpage}
    return {"pages": pages, "mappings": mappings, "moves": moves, "there": pages, "kpage": census}


def held(pages: int) -> dict[str, Any]:
    found = region(4000, pages, 1)
    for move in found["moves"]:
        move["after"], move["status"] = move["before"], -16
    return found


def moved(pages: int) -> dict[str, Any]:
    census = {"pages": pages, "mapped_as_expected": pages, "anon": pages}
    return {"pages": pages, "moved": pages, "there": pages, "kpage": census}


def ledger() -> dict[str, Any]:
    return {
        "node": FAR,
        "tid": TID,
        "processes": 3,
        "anon": region(1000, 5, 3),
        "file": region(2000, 3, 3, anon=0),
        "ksm": region(3000, 2, 3, ksm=2),
        "held": held(2),
        "storm": {
            "children": 2,
            "pages": 2,
            "first_index": FIRST,
            "last_index": FIRST + 1,
            "parent": moved(2),
            "copies": moved(4),
        },
        "calls": 7,
    }


def pair(before: int, after: int, vmas: tuple[int, int], **more: int) -> list[dict[str, int]]:
    """The walk that unmaps a page and the one that restores it, at times of their frame."""
    common = {"tid": TID, "ns": 1, **more}
    unmap = {"op": OP["migrate"], "pfn": before, "vmas": vmas[0], "ptes": vmas[0]}
    back = {"op": OP["restore"], "pfn": after, "old_pfn": before, "vmas": vmas[1]}
    return [
        {**common, **unmap, "time": 10 * before, "old_pfn": events.ALL_ONES},
        {**common, **back, "ptes": vmas[0], "time": 10 * before + 5},
    ]


def walks() -> list[dict[str, int]]:
    rows = []
    for name, kind in (("anon", "anon"), ("file", "file"), ("ksm", "ksm"), ("held", "anon")):
        told = ledger()[name]
        for move in told["moves"]:
            entered = (told["mappings"],) * 2
            rows += pair(move["before"], move["after"], entered, kind=KIND[kind])
    for page in range(2):
        index = {"index": FIRST + page, "root": ROOT}
        rows += pair(6000 + page, 6500 + page, (1, 3), map=ROOT, **index)
        for child in range(2):
            frame = 7000 + 10 * child + page
            rows += pair(frame, frame + 500, (1, 1), map=CHILD + child, **index)
    return rows


def seen() -> Sample:
    slots = (0,) * 36
    return dataclasses.replace(
        sample(1, 1), migrations={"syscall": MigrationCounts(7, 70, slots, 16, 2, 0)}
    )


def run_of(told: dict[str, Any], rows: list[dict[str, int]]) -> Run:
    calls = records("migration", [SYSCALL])
    given = {"walk": records("walk", rows), "migration": calls, "kernel": KERNEL}
    return run(told, sample=seen(), **given)


def rules_of(told: dict[str, Any], rows: list[dict[str, int]]) -> list[Agreement]:
    return list(migrate(run_of(told, rows)))


def broken(rules: list[Agreement]) -> list[str]:
    return [rule.rule for rule in rules if rule.agrees is False]


def test_a_run_as_it_should_be() -> None:
    rules = rules_of(ledger(), walks())
    assert broken(rules) == []
    assert [rule.rule for rule in rules if rule.agrees is None] == []
    told = {rule.rule: rule.observed for rule in rules}
    assert told["storm, parent: restore walks that enter 3 VMAs"] == 2
    assert told["storm, copies: restore walks that enter 1 VMAs"] == 4
    assert told["each frame is restored once before it is unmapped again"] == len(walks()) / 2


def test_where_no_entries_are_seen() -> None:
    """What walks enter is still held; only what would need their entries is not told."""
    rules = list(migrate(run_by_events(run_of(ledger(), walks()))))
    assert broken(rules) == []
    untold = {rule.rule: rule.explained for rule in rules if rule.agrees is None}
    assert set(untold) == {
        f"{name}: walks to {what} that enter 3 VMAs and find 3 mappings"
        for name in ("anon", "file", "ksm")
        for what in ("unmap", "restore")
    }
    assert {why for ((why, _),) in untold.values()} == {UNSEEN_ENTRIES}
    rows = walks()
    rows[1]["vmas"] = 2
    assert broken(list(migrate(run_by_events(run_of(ledger(), rows))))) == [
        "anon: walks to restore that enter 3 VMAs and find 3 mappings"
    ]


def test_a_restore_walk_that_ends_early() -> None:
    rows = walks()
    parents = next(r for r in rows if r.get("map") == ROOT and r["op"] == OP["restore"])
    parents["vmas"] = 2
    assert broken(rules_of(ledger(), rows)) == ["storm, parent: restore walks that enter 3 VMAs"]


def test_a_walk_that_misses_a_mapping() -> None:
    rows = walks()
    rows[1]["ptes"] = 2
    rule = "anon: walks to restore that enter 3 VMAs and find 3 mappings"
    assert broken(rules_of(ledger(), rows)) == [rule]


@pytest.mark.parametrize("frame", [1000, 2001, 4000, 7010])
def test_a_frame_that_is_never_restored(frame: int) -> None:
    rows = [row for row in walks() if row["old_pfn"] != frame]
    rules = broken(rules_of(ledger(), rows))
    assert "walks to unmap inside migrate_pages = walks to restore" in rules
    assert "each frame is restored once before it is unmapped again" in rules


def test_a_frame_that_is_restored_as_another() -> None:
    rows = walks()
    rows[3]["old_pfn"] = rows[1]["old_pfn"]
    assert broken(rules_of(ledger(), rows)) == [
        "anon: walks to restore that enter 3 VMAs and find 3 mappings",
        "anon: walks to restore one of its frames",
        "each frame is restored once before it is unmapped again",
    ]


def test_a_frame_that_nobody_unmapped_is_restored() -> None:
    rows = walks()
    (last,) = (row for row in rows if row["old_pfn"] == 1004)
    last["old_pfn"] = 1005
    rules = broken(rules_of(ledger(), rows))
    assert "walks to unmap inside migrate_pages = walks to restore" not in rules
    assert "each frame is restored once before it is unmapped again" in rules


def test_walks_of_a_split_and_of_others_are_not_of_a_call() -> None:
    split = {"op": OP["restore"], "tid": TID, "time": 50, "ns": 1, "flags": events.WALK_LOCKED}
    outside = {"op": OP["migrate"], "tid": TID, "time": 200_000, "ns": 1, "pfn": 9}
    other = {"op": OP["migrate"], "tid": TID + 1, "time": 500, "ns": 1, "pfn": 9}
    rows = records("walk", [*walks(), split, outside, other])
    calls = records("migration", [{"tid": TID, "time": 100_000, "ns": 100_000}])
    first, second = restored(run(ledger(), walk=rows, migration=calls))
    assert (first.agrees, second.agrees) == (True, True)
    assert first.predicted == len(walks()) / 2
    assert len(np.unique(rows["tid"])) == 2


def tried_again(before: int, vmas: tuple[int, int], **more: int) -> list[dict[str, int]]:
    """The two walks of a page that could not be moved, just before the pass that moves it."""
    return [{**row, "time": row["time"] - 100} for row in pair(before, before, vmas, **more)]


def test_a_page_that_is_tried_again() -> None:
    rows = [*walks(), *tried_again(2001, (3, 3), kind=KIND["file"])]
    rules = rules_of(ledger(), rows)
    assert broken(rules) == []
    assert {(rule.rule, rule.predicted, rule.explained) for rule in rules if rule.explained} == {
        ("file: walks to unmap that enter 3 VMAs and find 3 mappings", 4, ((AGAIN, 1),)),
        ("file: walks to unmap one of its frames", 4, ((AGAIN, 1),)),
    }
    del rows[-1]  # it is not restored
    assert "file: walks to unmap one of its frames" in broken(rules_of(ledger(), rows))
    rows[-1]["vmas"] = 2
    rule = "file: walks to unmap that enter 3 VMAs and find 3 mappings"
    assert rule in broken(rules_of(ledger(), [*rows, tried_again(2001, (3, 3))[1]]))


def test_a_page_of_the_storm_that_is_tried_again() -> None:
    index = {"index": FIRST + 1, "root": ROOT, "map": ROOT}
    assert broken(rules_of(ledger(), [*walks(), *tried_again(6001, (1, 3), **index)])) == []


@pytest.mark.parametrize("other", [{"tid": TID + 1}, {"reason": REASONS["MR_COMPACTION"]}])
def test_others_that_move_what_has_its_frames_now(other: dict[str, int]) -> None:
    """Compaction, by whomever, moves what was put where a page was before."""
    call = {**SYSCALL, "time": 200_000, **other}
    rows = [{**row, "time": 150_000 + row["time"], **other} for row in pair(2001, 9000, (1, 1))]
    for row in rows:
        row.pop("reason", None)
    given = {"migration": records("migration", [SYSCALL, call]), "kernel": KERNEL}
    of = run(ledger(), sample=seen(), walk=records("walk", [*walks(), *rows]), **given)
    assert broken(list(migrate(of))) == []


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (("anon", "there"), 4, "anon: pages that it later finds there"),
        (("file", "kpage", "anon"), 1, "file: pages that are ANON by /proc/kpageflags"),
        (("ksm", "kpage", "ksm"), 1, "ksm: pages that are KSM by /proc/kpageflags"),
        (
            ("ksm", "kpage", "mapped_as_expected"),
            1,
            "ksm: pages mapped so often by /proc/kpagecount",
        ),
        (
            ("storm", "copies", "kpage", "anon"),
            3,
            "storm, copies: pages that are ANON by /proc/kpageflags",
        ),
        (("calls",), 8, "calls of migrate_pages for a system call"),
        (("held", "pages"), 3, "pages not moved for a system call"),
        (("storm", "copies", "moved"), 3, "pages moved for a system call"),
    ],
)
def test_what_the_ledger_has_otherwise(path: tuple[str, ...], value: int, rule: str) -> None:
    told = copy.deepcopy(ledger())
    place = told
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert rule in broken(rules_of(told, walks()))


def test_a_held_page_that_went_away() -> None:
    told = ledger()
    told["held"]["moves"][0]["after"] += 1
    assert broken(rules_of(told, walks())) == ["held: pages that stay where they are"]


def test_a_kernel_that_calls_every_anonymous_page_ksm() -> None:
    told = ledger()
    told["anon"]["kpage"]["ksm"] = 5
    rules = [rule for rule in rules_of(told, walks()) if "KSM by /proc" in rule.rule]
    assert [rule.agrees for rule in rules] == [None] * 3
    assert {rule.explained for rule in rules} == {
        (("this kernel sets the flag KSM for pages that are only anonymous", 5),)
    }
