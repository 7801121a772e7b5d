"""The scenarios of the lab: a workload whose counts are known, and the rules it must obey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..errors import UsageError
from .guest import DISK

BUDGET_S = 60.0
"""
What a scenario may take of a guest's time: five times what the longest takes where an emulator has
a CPU to itself, since a guest's clock goes on while it waits for one.
"""


@dataclass(frozen=True)
class Form:
    """
    The workload's ``arguments``, the ``memory`` of each node where it needs more, and what it may
    take of the guest's time.
    """

    arguments: tuple[str, ...]
    memory: str = ""
    budget_s: float = BUDGET_S


@dataclass(frozen=True)
class Scenario:
    """
    A scenario: ``workload`` run with ``arguments`` once, or with ``endless`` for a live view.

    ``seed_rows``: which of the ten systems it provokes. ``rules``: the name in `rules` of what
    must hold beside the rules for every run. ``swap_bytes``: compressed swap that it needs.
    ``disk_bytes``: size of the file system at `guest.DISK` that it needs. ``reclaims``: what it
    shows depends on the LRU. ``modules``: of the kernel. ``steps``: run with the probes that see
    what walks look at. ``far``: memory of the second NUMA node that it needs, as of a `Machine`.
    ``forms``: the same workload in other sizes. ``budget_s``: one that takes longer has failed.
    """

    name: str
    summary: str
    seed_rows: tuple[int, ...]
    workload: str
    arguments: tuple[str, ...]
    endless: tuple[str, ...]
    rules: str
    swap_bytes: int = 0
    disk_bytes: int = 0
    reclaims: bool = False
    modules: tuple[str, ...] = ()
    steps: bool = False
    far: str = ""
    forms: Mapping[str, Form] = field(default_factory=dict)
    budget_s: float = BUDGET_S


_ON_DISK = ("--directory", str(DISK))
_SHARED = ("--processes", "3", "--anon", "101", "--files", "103", "--ksm", "31")
_MOVED = (*_SHARED, "--held", "7", *_ON_DISK)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Scenario(
                name="fork-storm",
                summary="23 children copy 101 pages each of their parent; reclaim looks at all",
                seed_rows=(3,),
                workload="fork_storm",
                arguments=("--children", "23", "--pages", "101"),
                endless=("--children", "23", "--pages", "101", "--duration", "86400"),
                rules="fork_storm",
                swap_bytes=256 << 20,
                reclaims=True,
            ),
            Scenario(
                name="file-stream",
                summary="3989 mapped file pages pass, used once, beside 604 in use; 97 are read",
                seed_rows=(1,),
                workload="file_stream",
                arguments=("--stream", "3989", "--working-set", "503", *_ON_DISK),
                endless=("--duration", "86400", *_ON_DISK),
                rules="file_stream",
                disk_bytes=64 << 20,
                reclaims=True,
                forms={
                    "short": Form(("--stream", "3371", "--working-set", "251", *_ON_DISK)),
                },
            ),
            Scenario(
                name="working-set",
                summary="211 pages that two processes use beside 2003 used once, anon and file",
                seed_rows=(1,),
                workload="working_set",
                arguments=("--hot", "211", "--cold", "2003", "--rounds", "5", *_ON_DISK),
                endless=("--duration", "86400", *_ON_DISK),
                rules="working_set",
                swap_bytes=256 << 20,
                disk_bytes=64 << 20,
                reclaims=True,
            ),
            Scenario(
                name="pageout",
                summary="211 pages in use are paged out by madvise; reclaim finds 512 locked ones",
                seed_rows=(1,),
                workload="pageout",
                arguments=("--pages", "211"),
                endless=("--pages", "211", "--duration", "86400"),
                rules="pageout",
                swap_bytes=256 << 20,
            ),
            Scenario(
                name="ksm-merge",
                summary="7 processes hold the same 101 pages; one writes to 13 of them",
                seed_rows=(5, 7),
                workload="ksm_merge",
                arguments=("--processes", "7", "--pages", "101", "--cow", "13"),
                endless=("--processes", "7", "--pages", "101", "--duration", "86400"),
                rules="ksm_merge",
            ),
            Scenario(
                name="ksm-fork",
                summary="11 KSM pages, mapped 3 times by a process and by each of its 5 children",
                seed_rows=(4, 5),
                workload="ksm_fork",
                arguments=("--pages", "11", "--copies", "3", "--children", "5"),
                endless=("--duration", "86400"),
                rules="ksm_fork",
            ),
            Scenario(
                name="ksm-swap",
                summary="101 KSM pages of 5 processes are swapped out, and all come back",
                seed_rows=(6,),
                workload="ksm_swap",
                arguments=("--processes", "5", "--pages", "101"),
                endless=("--duration", "86400"),
                rules="ksm_swap",
                swap_bytes=256 << 20,
            ),
            Scenario(
                name="ksm-stall",
                summary="a KSM page mapped 31 times by a process of 5003 VMAs is moved away",
                seed_rows=(5,),
                workload="ksm_stall",
                arguments=("--vmas", "5003", "--pages", "31"),
                endless=("--vmas", "5003", "--pages", "31", "--duration", "86400"),
                rules="ksm_stall",
                steps=True,
            ),
            Scenario(
                name="hwpoison",
                summary="pages of every kind fail; each process writes down what it is told",
                seed_rows=(8, 10),
                workload="hwpoison",
                arguments=_ON_DISK,
                endless=("--duration", "86400", *_ON_DISK),
                rules="hwpoison",
                disk_bytes=64 << 20,
                modules=("hwpoison_inject",),
            ),
            Scenario(
                name="soft-offline",
                summary="31 anonymous and 31 file pages of 3 processes are moved away",
                seed_rows=(4, 8),
                workload="soft_offline",
                arguments=("--processes", "3", "--pages", "31", *_ON_DISK),
                endless=("--duration", "86400", *_ON_DISK),
                rules="soft_offline",
                disk_bytes=64 << 20,
            ),
            Scenario(
                name="migrate",
                summary="pages of all kinds, and of a storm of 100 children by 100 pages, go to"
                " another node; 7 that are held do not",
                seed_rows=(3, 4),
                workload="migrate",
                arguments=(*_MOVED, "--children", "100", "--pages", "100"),
                endless=(*_MOVED, "--children", "23", "--pages", "101", "--duration", "86400"),
                rules="migrate",
                disk_bytes=64 << 20,
                far="512M",
                forms={
                    "short": Form((*_MOVED, "--children", "23", "--pages", "101")),
                    "long": Form((*_MOVED, "--children", "1000", "--pages", "1000"), "6G", 7200.0),
                },
            ),
            Scenario(
                name="lock-waits",
                summary="202 pages are moved and reclaimed while 2 processes fork and exit, and one"
                " cuts a page out of the file",
                seed_rows=(3,),
                workload="lock_waits",
                arguments=("--hogs", "2", "--pages", "101", "--duration", "4", *_ON_DISK),
                endless=("--hogs", "2", "--pages", "101", "--duration", "86400", *_ON_DISK),
                rules="lock_waits",
                swap_bytes=256 << 20,
                disk_bytes=64 << 20,
                far="512M",
                forms={
                    "short": Form(("--hogs", "2", "--pages", "31", "--duration", "2", *_ON_DISK))
                },
            ),
            Scenario(
                name="fork-dup",
                summary="forks without and with 58 VMAs, over 11 generations, and 3 that fail",
                seed_rows=(3, 9),
                workload="fork_dup",
                arguments=("--pages", "19", "--generations", "11", "--failures", "3"),
                endless=("--duration", "86400"),
                rules="fork_dup",
            ),
            Scenario(
                name="cow-reuse",
                summary="writes to pages of 7 histories, copied, or done in place by one owner",
                seed_rows=(2, 9),
                workload="cow_reuse",
                arguments=("--children", "5", "--shared", "101", "--last", "31"),
                endless=("--duration", "86400"),
                rules="cow_reuse",
            ),
        )
    }
)


def formed(scenario: Scenario, form: str) -> Scenario:
    """Return a scenario in another form, where it has that one."""
    if form not in scenario.forms:
        return scenario
    other = scenario.forms[form]
    return replace(scenario, arguments=other.arguments, budget_s=other.budget_s)


def find(name: str) -> Scenario:
    """Return the scenario of that name; raise `UsageError` where there is none."""
    if name not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        hint = f"rmapwatch lab run {next(iter(SCENARIOS))}"
        raise UsageError(f"no scenario {name}", f"there are {known}", hint)
    return SCENARIOS[name]
