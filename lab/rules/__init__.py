"""The rules of the scenarios, by the name that `scenarios` gives: one module per family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from . import cow, fork, fork_storm, ksm, lock_waits, memory_failure, migrate, reclaim
from .row import Agreement, Run

OF_SCENARIO: Mapping[str, Callable[[Run], Iterator[Agreement]]] = MappingProxyType(
    {
        "fork_storm": fork_storm.fork_storm,
        "file_stream": reclaim.file_stream,
        "working_set": reclaim.working_set,
        "pageout": reclaim.pageout,
        "ksm_merge": ksm.ksm_merge,
        "ksm_fork": ksm.ksm_fork,
        "ksm_swap": ksm.ksm_swap,
        "ksm_stall": ksm.ksm_stall,
        "hwpoison": memory_failure.hwpoison,
        "soft_offline": memory_failure.soft_offline,
        "migrate": migrate.migrate,
        "lock_waits": lock_waits.lock_waits,
        "fork_dup": fork.fork_dup,
        "cow_reuse": cow.cow_reuse,
    }
)
