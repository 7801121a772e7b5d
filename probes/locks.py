"""
Waits for the locks that walks take: the rwsem of an anon_vma's root, and of a file's i_mmap.

A lock that is free is taken inline. Who has to wait goes through a function of its own
(kernel/locking/rwsem.c), which sees nothing but an address; what lies around that address tells
whose lock it is: a root anon_vma is its own root, and a mapping is the one of its inode.
The event `lock:contention_begin` would tell no more, and comes with each spinlock of the scheduler.
"""

from __future__ import annotations

from .spec import Member, ProbePoint, Source

LOCKS = ("anon_vma", "i_mmap")
MODES = ("read", "write")
DURING = ("walk", "other")
"""Inside of which a thread had to wait: a walk, or anything else, such as fork, exit and mmap."""


def _wait(mode: str) -> ProbePoint:
    return ProbePoint(
        name=f"lock_{mode}",
        summary=f"A thread waits for the lock of a reverse map, to {mode} it.",
        kernel_source="kernel/locking/rwsem.c",
        sources=(Source(f"rwsem_down_{mode}_slowpath", {"lock": 0}),),
        section="wait",
        entry=f"wait_enter(&a, MODE_{mode.upper()})",
        exit="wait_exit(&a)",
        metrics=("rmapwatch_rmap_lock_wait_seconds",),
        overhead="One pair of programs per wait for any rwsem; none where a lock is free.",
    )


POINTS = tuple(map(_wait, MODES))

MEMBERS = (
    Member("ANON_VMA_LOCK", (("anon_vma", "rwsem"),)),
    Member("MAPPING_LOCK", (("address_space", "i_mmap_rwsem"),)),
    Member("MAPPING_HOST", (("address_space", "host"),)),
    Member("INODE_MAPPING", (("inode", "i_mapping"),)),
)
