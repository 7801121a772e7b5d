"""
A workload whose walks are known, held against what the probes count of it on this very machine.

Processes map a file; some of them write to every page; the file is synced. Then the kernel must
walk the reverse map of each page once (folio_mkclean() in mm/rmap.c, called by
folio_clear_dirty_for_io()), enter the VMA of every process, and clean the entries of the writers.
Nothing is changed but a file of the user's own. Numbers are prime, so that no sum hides another.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import RmapwatchError
from ..probes import ring, rmap, session
from ..probes.sample import Sample

READERS, WRITERS, PAGES = 2, 5, 31
_REQUEST = session.Request(
    probes=("rmap_walk_file", "step_mkclean"), events=("walk",), ring_pages=4096
)
_IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs", "9p", "nfs", "nfs4", "virtiofs"}


@dataclass(frozen=True)
class Rule:
    """One prediction held against what was observed."""

    rule: str
    predicted: int
    observed: int

    @property
    def agrees(self) -> bool:
        """Whether both are the same."""
        return self.predicted == self.observed


def run(folder: Path) -> list[Rule]:
    """Attach the probes, run the workload in `folder`, and return what must be and what was."""
    _require_disk(folder)
    attached = session.start(_REQUEST)
    taken = attached.ring()
    sync(folder)
    sample = attached.sample()
    _, batch = taken.drain()
    walks = ring.decode(batch).get("walk", np.empty(0, ring.dtype("walk")))
    attached.close()
    return rules(walks[walks["tid"] == threading.get_native_id()], sample)


def rules(walks: np.ndarray[tuple[int], np.dtype[np.void]], sample: Sample) -> list[Rule]:
    """Hold the walks of the thread that synced the file, and the accounts, against the ledger."""
    op = next(number for number, each in enumerate(rmap.OPS) if each.name == "mkclean")
    walks = walks[walks["op"] == op]
    account = sample.accounts["rmap_walk_file"]
    ended = [account.exits, account.in_flight, account.missed]
    return [
        Rule("pages cleaned, one walk each", PAGES, _pages(walks)),
        Rule(
            "VMAs entered: each sharer's, by each walk", SHARERS * len(walks), _sum(walks, "vmas")
        ),
        Rule("page-table entries cleaned: the writers'", WRITERS * PAGES, _sum(walks, "ptes")),
        Rule(
            "calls = ended + in flight + missed", account.entries or 0, sum(n or 0 for n in ended)
        ),
        Rule("events lost", 0, sum(counts.lost for counts in sample.events.values())),
    ]


SHARERS = READERS + WRITERS


def _pages(walks: np.ndarray[tuple[int], np.dtype[np.void]]) -> int:
    """Return the pages of the walked folios; some file systems have several in one."""
    return int(np.maximum(walks["nr_pages"], 1).sum())


def _sum(walks: np.ndarray[tuple[int], np.dtype[np.void]], field: str) -> int:
    return int(walks[field].sum())


def sync(folder: Path) -> None:
    """Run the workload: share a file, dirty it, sync it."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\1" * PAGES * mmap.PAGESIZE)
        file.flush()
        os.fsync(file.fileno())
        with _sharers(file.fileno()):
            os.fsync(file.fileno())


@contextlib.contextmanager
def _sharers(fd: int) -> Iterator[None]:
    """Keep processes alive that have the file mapped and have touched every page of it."""
    told, tell = os.pipe()
    wait, go = os.pipe()
    children = [_sharer(fd, number < WRITERS, tell, wait, go) for number in range(SHARERS)]
    os.close(tell)
    os.close(wait)
    try:
        ready = b""
        while len(ready) < SHARERS and (more := os.read(told, SHARERS)):
            ready += more
        if len(ready) < SHARERS:
            raise RmapwatchError("the self-test cannot run", "a process of its workload died")
        yield
    finally:
        os.close(go)
        os.close(told)
        for child in children:
            os.waitpid(child, 0)


def _sharer(fd: int, writes: bool, tell: int, wait: int, go: int) -> int:
    """Fork one process: touch every page, say so, stay until the parent closes `go`."""
    child = os.fork()
    if child:
        return child
    try:
        os.close(go)
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writes else 0)
        with mmap.mmap(fd, PAGES * mmap.PAGESIZE, mmap.MAP_SHARED, access) as area:
            for at in range(0, len(area), mmap.PAGESIZE):
                seen = area[at]
                if writes:
                    area[at] = seen + 1
            os.write(tell, b"+")
            os.read(wait, 1)
    finally:
        os._exit(0)


def _require_disk(folder: Path) -> None:
    """Raise where files of `folder` are in memory alone: they are never cleaned."""
    kind = file_system(folder.resolve(), Path("/proc/self/mountinfo").read_text())
    why = "" if folder.is_dir() else f"{folder} is no folder"
    if kind in _IN_MEMORY:
        why = f"{folder} is on {kind}: this kernel writes its pages to no disk"
    if why:
        raise RmapwatchError(
            "the self-test cannot run",
            why,
            "rmapwatch doctor --self-test --folder FOLDER-ON-A-DISK",
        )


def file_system(path: Path, mountinfo: str) -> str:
    """Return the type of the file system that `path` is on, by the text of mountinfo; proc(5)."""
    found: dict[Path, str] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        place = Path(left.split()[4].encode().decode("unicode_escape"))
        found[place] = right.split()[0]  # the last one mounted there is the one that is seen
    return next(found[place] for place in (path, *path.parents) if place in found)
