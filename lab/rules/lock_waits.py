"""The rules of waits for the locks of the reverse map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...probes import events, locks, rmap
from .row import Agreement, Run, at_least, equal, none_of

Records = npt.NDArray[np.void]


def lock_waits(run: Run) -> Iterator[Agreement]:
    """Yield: walks, forks and exits got in each other's way, and each wait is part of its walk."""
    for lock in locks.LOCKS:
        for mode, during in (("read", "walk"), ("write", "other")):
            waits = run.sample.lock_waits.get((lock, mode, during))
            if waits is not None:
                who = "walks" if during == "walk" else "forks and exits"
                yield at_least(f"{who} that had to wait for {lock}", "waits", 1, waits.calls)
    yield _gave_up(run)
    yield from of_walks(run)


def _gave_up(run: Run) -> Agreement:
    """Return the row: reclaim that finds a lock taken goes on, or waits on older kernels."""
    walks = run.records["walk"]
    gave_up = int((walks["flags"] & events.WALK_BAILED != 0).sum())
    if not run.semantics.contended_walk_gives_up:
        return none_of("reference walks never give up", "walks", gave_up, exercised=len(walks) > 0)
    return at_least("reference walks that gave up, the lock being taken", "walks", 1, gave_up)


def of_walks(run: Run) -> Iterator[Agreement]:
    """Yield: a wait inside of a walk lies in a walk of that thread and that tree, which says so."""
    waits, walks = run.records["lock_wait"], run.records["walk"]
    waits = waits[waits["during"] == locks.DURING.index("walk")]
    place = _around(waits, walks)
    around = walks[place[place >= 0]]
    own = waits[place >= 0]["root"] == around["root"]
    ksm = around["kind"] == rmap.KINDS.index("ksm")  # its root is no anon_vma
    says_so = around["flags"] & events.WALK_WAITED != 0
    rule = "waits of walks = those inside a walk that says so, for its own lock"
    yield equal(rule, "waits", len(waits), int(((own | ksm) & says_so).sum()))
    waited = int((walks["flags"] & events.WALK_WAITED != 0).sum())
    rule = "walks that say that they waited = those with a wait inside"
    yield equal(rule, "walks", waited, len(np.unique(place[place >= 0])))


def _around(waits: Records, walks: Records) -> npt.NDArray[np.int64]:
    """Return for each wait the place of the walk that its thread was inside of; -1 for none."""
    found = np.full(len(waits), -1)
    for tid in np.unique(waits["tid"]):
        own = np.flatnonzero(walks["tid"] == tid)
        own = own[np.argsort(walks["time"][own])]
        mine = np.flatnonzero(waits["tid"] == tid)
        after = np.searchsorted(walks["time"][own], waits["time"][mine])
        known = after < len(own)
        walk = own[np.minimum(after, len(own) - 1)] if len(own) else np.zeros(len(mine), int)
        begin = walks["time"][walk] - walks["ns"][walk]
        inside = known & (begin <= waits["time"][mine] - waits["ns"][mine])
        found[mine[inside]] = walk[inside]
    return found
