"""On whose behalf pages are reclaimed, told apart and held against the kernel's counters."""

import mmap
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rmapwatch.lab import guest
from rmapwatch.probes.sample import Sample
from rmapwatch.probes.session import Session

PAGES = 401
MADV_PAGEOUT = 21  # include/uapi/asm-generic/mman-common.h; this Python has no name for it
_VM = Path("/proc/sys/vm")
_WATERMARKS = ("min_free_kbytes", "zone_reclaim_mode")


def reclaimed(sample: Sample, reclaimer: str, *callers: str) -> int:
    return sum(
        counts.reclaimed
        for (caller, who), counts in sample.batches.items()
        if who == reclaimer and caller in callers
    )


def test_madvise(attached: Session) -> None:
    """MADV_PAGEOUT takes a task's own pages, and what it takes is told as madvise's."""
    before = attached.sample()
    with mmap.mmap(-1, PAGES * mmap.PAGESIZE, mmap.MAP_PRIVATE) as area:
        for page in range(PAGES):
            area[page * mmap.PAGESIZE] = 1 + page % 255
        swapped = guest.vmstat()["pswpout"]
        area.madvise(MADV_PAGEOUT)
        swapped = guest.vmstat()["pswpout"] - swapped
    after = attached.sample()
    taken = reclaimed(after, "madvise", "pages") - reclaimed(before, "madvise", "pages")
    assert 0.9 * PAGES < taken <= PAGES
    assert taken == swapped
    assert after.batches["pages", "other"].batches == 0
    assert after.batches["pages", "damon"].batches == 0


@pytest.fixture
def page_cache() -> Iterator[None]:
    """Page cache that can go; the watermarks are put back at the end."""
    guest.zram_disk(16 << 20)
    file = guest.DISK / "holes"
    with file.open("wb") as holes:
        holes.truncate(400 << 20)
    subprocess.run(["cat", str(file)], stdout=subprocess.DEVNULL, check=True)
    before = {name: (_VM / name).read_text() for name in _WATERMARKS}
    yield
    for name, value in before.items():
        (_VM / name).write_text(value)
    guest.drop_disk()


def want_most_memory_free() -> None:
    (_VM / "zone_reclaim_mode").write_text("1")
    free = int(Path("/proc/meminfo").read_text().partition("MemFree:")[2].split()[0])
    (_VM / "min_free_kbytes").write_text(str(int(free * 0.9)))


def kswapd_has_slept_since(attached: Session, before: Sample) -> None:
    """Wait until kswapd has found its nodes balanced; it may want to try a few times."""
    end = time.monotonic() + 120
    while attached.sample().stalls["kswapd"].calls == before.stalls["kswapd"].calls:
        assert time.monotonic() < end, "kswapd does not come to an end"
        time.sleep(0.2)
    time.sleep(1)


def test_kswapd_and_a_nodes_own_pages(attached: Session, page_cache: None) -> None:
    before, counted = attached.sample(), guest.settled_vmstat()
    usual = (_VM / "min_free_kbytes").read_text()
    want_most_memory_free()
    allocate = "b = bytearray(48 << 20); b[::4096] = b'x' * (48 << 8)"
    subprocess.run([sys.executable, "-c", allocate], check=True)
    time.sleep(2)
    (_VM / "min_free_kbytes").write_text(usual)
    kswapd_has_slept_since(attached, before)
    after, now = attached.sample(), guest.settled_vmstat()

    def by(reclaimer: str) -> int:
        return reclaimed(after, reclaimer, "inactive", "evict") - reclaimed(
            before, reclaimer, "inactive", "evict"
        )

    assert after.stalls["kswapd"].calls > before.stalls["kswapd"].calls
    assert after.stalls["node"].calls > before.stalls["node"].calls
    assert by("kswapd") == now["pgsteal_kswapd"] - counted["pgsteal_kswapd"] > 100
    # The kernel counts what a task takes for itself, and a node's own pages, as direct.
    assert by("direct") + by("node") == now["pgsteal_direct"] - counted["pgsteal_direct"]
