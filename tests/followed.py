"""Events made by hand, followed as the kernel's own would be."""

from collections.abc import Sequence

import numpy as np
from rmapwatch.kernels.facts import KernelFacts, Struct
from rmapwatch.probes import catalogue, readout, state
from rmapwatch.probes.decode import Watched
from rmapwatch.probes.ftrace import plan
from rmapwatch.probes.ftrace.follow import Follower, kernel
from rmapwatch.probes.ftrace.tape import Tape
from rmapwatch.probes.state import Block
from traced import taken

KSMD = 42
UNMAP, REFERENCE = 0xFF08, 0xFF00
ERROR = (1 << 64) - 12
FACTS = KernelFacts("6.1-test", "", "x86_64", structs={
    "page": Struct(64, {}),
    "anon_vma": Struct(96, {"root": 0, "rwsem": 8}),
    "address_space": Struct(200, {"host": 0, "i_mmap_rwsem": 64}),
    "inode": Struct(600, {"i_data": 100}),
}, enums={
    "pageflags": {"PG_swapbacked": 3, "PG_head": 16},
    "mf_action_page_type": {"MF_MSG_KERNEL": 0, "MF_MSG_SLAB": 1, "MF_MSG_DIRTY_LRU": 13},
    "migrate_reason": {"MR_COMPACTION": 0, "MR_SYSCALL": 3},
})  # fmt: skip
PROBES = catalogue.names(steps=True)
POINT = {
    "walk": "rmap_walk_anon", "ksm_remove_node": "ksm_remove_node", "ksm_remove": "ksm_remove",
    "ksm_swapin": "ksm_swapin", "failure": "memory_failure", "collect": "collect_procs",
    "migrate": "migrate_pages", "wait": "lock_read", "fork": "copy_process", "mmap": "dup_mmap",
    "vma": "anon_vma_fork", "clone": "anon_vma_clone", "cow": "cow", "ksm_merge": "ksm_merge",
    "reference": "reference_check", "batch": "reclaim_batch",
}  # fmt: skip


class World:
    """Events at will; the time goes on by 10 ns each. ``attached``: the functions watched."""

    def __init__(self, attached: Sequence[str] = ("add_to_kill",)) -> None:
        self.layout = state.layout(PROBES)
        callbacks = {"try_to_unmap_one": UNMAP, "folio_referenced_one": REFERENCE}
        known = kernel(FACTS, callbacks, attached, KSMD)
        self.tape = Tape(1000, plan.TOLD)
        self.follower = Follower(self.layout, known, self.tape)
        self.time = 0

    def at(self, call: str, constant: str = "", tid: int = 7, **given: int) -> None:
        self.time += 10
        point = POINT.get(call.removesuffix("_enter").removesuffix("_exit"), "cow_move")
        if constant == "MODE_WRITE":
            point = "lock_write"
        self.follower.handler(call, constant, PROBES.index(point))(self.time, tid, given)

    def walk_begins(self) -> None:
        self.at("walk_enter", "KIND_ANON", folio=0, one=UNMAP, arg=0)

    def events(self, name: str) -> np.ndarray:
        """The events of a type that were told since this was asked the last time."""
        return taken(self.tape)[name]

    @property
    def block(self) -> Block:
        return Block(self.layout, "cpu_state", tuple(self.follower.words))

    @property
    def told(self) -> dict:
        return readout.counts(self.block, Watched(0, 0, PROBES, at_exit=False), FACTS)

    def account(self, point: str) -> dict[str, int]:
        block = self.block.inner("accounts", PROBES.index(point))
        counts = {name: block[name] for name in ("entries", "exits", "stale", "unmatched")}
        return {name: count for name, count in counts.items() if count}


HOLDER = 0xFFFF888801000000


def anon_vma(**told: int) -> dict[str, int]:
    """What lies around the lock of a root anon_vma."""
    return {"lock": HOLDER + 8, "root": HOLDER, "host": 0} | told


def mapping(**told: int) -> dict[str, int]:
    """What lies around a file's i_mmap_rwsem."""
    return {"lock": HOLDER + 164, "root": 1, "host": HOLDER} | told
