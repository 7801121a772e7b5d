"""
What the recording made by hand tells of KSM, of memory failures and of pages that are moved.

As in `handmade`, what a kernel does is written down here and not asked of the model.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from rmapwatch.probes import cow, ksm, memory_failure
from rmapwatch.probes.events import ALL_ONES, NOT_KNOWN
from rmapwatch.probes.readout import results
from rmapwatch.probes.sample import CallCounts, CowCounts, FailureCounts, KsmCounts, Sample

WHAT = {name: number for number, name in enumerate(ksm.WHAT)}
KSMD, SOFT, POISONER, KILLER, WRITER = 41, 720, 710, 711, 706
MERGED, MOVED = 500, 501
COUNT_INCREASED, ACTION_REQUIRED, SIMULATED = 1, 2, 32
LATE, DIRTY_LRU, RECOVERED = "late", "MF_MSG_DIRTY_LRU", 3
ANON, AGAIN = 900, 901
EHWPOISON = 133
WHILE_NS = 3 * 10**9

# Copies on both sides of ksmd's next pass: places, children, what a restoring walk enters.
COPIES, CHILDREN, SEEN_RESTORE = 3, 5, 33
SHARERS = COPIES * (1 + CHILDREN)


class Story(Protocol):
    """What `handmade.Story` is to this module."""

    facts: Any
    now: int

    def tell(self, event: str, **values: int) -> None: ...
    def walk(self, op: str, kind: str = "anon", **values: int) -> int: ...


def ledgers(kernel: str) -> list[dict[str, Any]]:
    """The accounts of the workloads that did what is told here, each of its part."""
    return [
        {
            "workload": "soft_offline",
            "processes": 3,
            "moves": [
                {"kind": "anon", "errno": 0, "before": 600, "after": 601},
                {"kind": "file", "errno": 0, "before": 602, "after": 603},
                {"kind": "anon", "errno": 16, "before": 604, "after": 604},
            ],
        },
        {
            "workload": "ksm_fork",
            "copies": COPIES,
            "children": CHILDREN,
            "unseen": [{"errno": 0, "before": 610, "after": 611}],
            "seen": [{"errno": 0, "before": 611, "after": 612}],
        },
        {"workload": "ksm_merge"},
        {"workload": "ksm_swap"},
        {"workload": "ksm_stall", "pages": 31, "errno": 0, "before": 620, "after": 621},
        {"workload": "hwpoison", "failures": [_anon(kernel), _by_madvise(), _again()]},
    ]


def _anon(kernel: str) -> dict[str, Any]:
    processes = [_process(KILLER, "early"), _process(KILLER + 1, "late")]
    return _failure("corrupt_pfn", ANON, processes)


def _by_madvise() -> dict[str, Any]:
    return _failure("madvise", AGAIN, [_process(POISONER, "default", current=True)])


def _again() -> dict[str, Any]:
    return {**_failure("corrupt_pfn", AGAIN, []), "poisoned": True}


def _failure(injector: str, pfn: int, processes: list[dict[str, Any]]) -> dict[str, Any]:
    row = {"kind": "anon", "injector": injector, "poisoned": False, "pfn": pfn}
    return {**row, "address": pfn << 12, "processes": processes}


def _process(pid: int, policy: str, current: bool = False) -> dict[str, Any]:
    return {"pid": pid, "policy": policy, "current": current}


def tell(story: Story, kernel: str) -> None:
    """Tell all of it, seconds after what came before, and seconds before the end."""
    story.now += WHILE_NS
    _merge(story)
    _offline(story)
    _fork_merged(story)
    _write(story, kernel)
    story.now += WHILE_NS
    _fail(story, kernel)


def _merge(story: Story) -> None:
    """Four pages are merged into one, one of them is written to, the others are swapped out."""

    def page(what: str, tid: int = KSMD, pfn: int = ALL_ONES, ns: int = 0) -> None:
        story.tell("ksm", tid=tid, tgid=tid, what=WHAT[what], pfn=pfn, ns=ns)

    page("scanned", ns=5)
    page("shared", pfn=MERGED)
    page("sharing", pfn=MERGED)
    page("sharing", pfn=MERGED)
    _move(story, KSMD, "ksm", (MERGED, MOVED), 3, 3)
    page("sharing", pfn=MOVED)
    page("failed")
    page("scanned", ns=5)
    page("cow", tid=WRITER, pfn=MOVED)
    gone = {"vmas": 3, "ptes": 3, "mapcount_before": 3, "mapcount_after": 0}
    story.walk("unmap", "ksm", tid=WRITER, tgid=WRITER, pfn=MOVED, **gone)
    page("copied", tid=WRITER + 1, pfn=MOVED)
    page("copied", tid=WRITER + 2, pfn=MOVED)
    page("removed")


def _write(story: Story, kernel: str) -> None:
    """Writes to pages of every kind, and what becomes of them; 5.10 moves none."""
    for page, outcome in (
        ("anon", "copied"),
        ("anon", "reused"),
        ("anon", "other"),
        ("anon", "reused" if kernel == "5.10" else "moved"),
        ("ksm", "copied"),
        ("file", "copied"),
        ("file", "shared"),
        ("special", "copied"),
    ):
        kind, became = cow.PAGES.index(page), cow.OUTCOMES.index(outcome)
        story.tell("cow", tid=WRITER, tgid=WRITER, page=kind, outcome=became)


def _move(
    story: Story, tid: int, kind: str, pfns: tuple[int, int], mapped: int, restored: int
) -> None:
    """A page is moved from one frame to another."""
    place = {"tid": tid, "tgid": tid, "index": 70_000 + pfns[0]}
    both = {"ptes": mapped, "vmas": mapped}
    counts = {"mapcount_before": mapped, "mapcount_after": 0}
    story.walk("migrate", kind, pfn=pfns[0], **place, **both, **counts)
    counts = {"mapcount_before": 0, "mapcount_after": mapped}
    story.walk("restore", kind, pfn=pfns[1], **place, **counts, ptes=mapped, vmas=restored)


def _offline(story: Story) -> None:
    """Pages of three processes are soft-offlined; one is not movable."""
    for kind, before, after, errno in (
        ("anon", 600, 601, 0),
        ("file", 602, 603, 0),
        ("anon", 604, 604, 16),
    ):
        _move(story, SOFT, kind, (before, after), 3, 3)
        _handled(story, SOFT, before, handler=1, returned=-errno, mf_flags=COUNT_INCREASED)


def _handled(story: Story, tid: int, pfn: int, **values: int) -> None:
    unknown = {"page_type": NOT_KNOWN, "result": NOT_KNOWN}
    story.tell("memory_failure", tid=tid, tgid=tid, pfn=pfn, **{**unknown, "ns": 25, **values})


def _fork_merged(story: Story) -> None:
    _move(story, SOFT, "ksm", (610, 611), SHARERS, SHARERS)
    _move(story, SOFT, "ksm", (611, 612), SHARERS, SEEN_RESTORE)
    _move(story, SOFT, "ksm", (620, 621), 31, 31)


def _fail(story: Story, kernel: str) -> None:
    """
    A page of two processes fails, one of which wants to know at once; a page of one, by madvise;
    and that page again.
    """
    flags = 0 if kernel == "5.10" else SIMULATED
    types = story.facts.enums["mf_action_page_type"]
    reported = {"page_type": types[DIRTY_LRU], "result": RECOVERED}
    _unmap(story, ANON, 2)
    _signal(story, POISONER, KILLER, ANON, code=1)
    _handled(story, POISONER, ANON, victims=1, mf_flags=flags, **reported)
    for process in (KILLER, KILLER + 1):
        _signal(story, process, process, ANON, code=0, pfn=ALL_ONES)
    met = kernel in ("6.12", "7.3")  # since v6.11 as if the page had been read
    flags |= COUNT_INCREASED | ACTION_REQUIRED * met
    _unmap(story, AGAIN, 1)
    if met:
        _signal(story, POISONER, POISONER, AGAIN, code=0)
    _handled(story, POISONER, AGAIN, victims=int(met), mf_flags=flags, **reported)
    _signal(story, POISONER, POISONER, AGAIN, code=0, pfn=ALL_ONES)
    told = types.get("MF_MSG_ALREADY_POISONED", NOT_KNOWN)
    again = {"page_type": told, "result": NOT_KNOWN if told == NOT_KNOWN else 1}
    returned = 0 if kernel == "5.10" else -EHWPOISON
    _handled(story, POISONER, AGAIN, returned=returned, mf_flags=flags & SIMULATED, **again)


def _unmap(story: Story, pfn: int, mapped: int) -> None:
    gone = {"vmas": mapped, "ptes": mapped, "mapcount_before": mapped, "mapcount_after": 0}
    story.walk("unmap", tid=POISONER, tgid=POISONER, pfn=pfn, **gone)


def _signal(story: Story, tid: int, target: int, frame: int, **values: int) -> None:
    usual = {"tid": tid, "tgid": tid, "target": target, "pfn": frame, "address": frame << 12}
    story.tell("signal", **{**usual, "lsb": 12, **values})


Told = list[tuple[str, dict[str, int]]]


def written(told: Told, usual: Sample) -> CowCounts:
    """What the kernel has counted of writes to write-protected pages."""
    found = Counter(
        (cow.PAGES[e["page"]], cow.OUTCOMES[e["outcome"]]) for event, e in told if event == "cow"
    )
    return dataclasses.replace(usual.cow, faults={**dict.fromkeys(usual.cow.faults, 0), **found})


def counted(told: Told, usual: Sample, types: Mapping[int, str]) -> tuple[KsmCounts, FailureCounts]:
    """What the kernel has counted of it."""
    pages = Counter(ksm.WHAT[e["what"]] for event, e in told if event == "ksm")
    calls = CallCounts(pages.pop("scanned"), 0, (0,) * 36)
    swapins = dict.fromkeys(ksm.SWAPINS, 0) | {"copied": pages.pop("copied")}
    of_ksm = KsmCounts(dict.fromkeys(ksm.PAGES, 0) | pages, swapins, 3, calls)
    failures = [e for event, e in told if event == "memory_failure"]
    handled = Counter(memory_failure.HANDLERS[e.get("handler", 0)] for e in failures)
    errors = Counter(
        memory_failure.HANDLERS[e.get("handler", 0)] for e in failures if e.get("returned")
    )
    reported = [e for e in failures if e["page_type"] != NOT_KNOWN]
    actions = Counter((types[e["page_type"]], results()[e["result"]]) for e in reported)
    codes = Counter(memory_failure.CODES[e["code"]] for event, e in told if event == "signal")
    return of_ksm, FailureCounts(
        {name: dataclasses.replace(calls, calls=handled[name]) for name in memory_failure.HANDLERS},
        errors,
        actions,
        {("SIGBUS", code): codes[code] for code in memory_failure.CODES},
    )
