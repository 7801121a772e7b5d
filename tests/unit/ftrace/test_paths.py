"""KSM, memory failures, migration, locks, forks and writes, over events made by hand."""

from collections.abc import Iterator

import pytest
from followed import ERROR, HOLDER, KSMD, World, anon_vma, mapping
from rmapwatch.probes import ksm
from rmapwatch.probes.events import WALK_WAITED


@pytest.fixture
def world() -> Iterator[World]:
    return World()


def some(counts: dict) -> dict:
    return {key: count for key, count in counts.items() if count}


def test_what_ksm_merges(world: World) -> None:
    world.at("ksm_append", items=0)
    world.at("ksm_append", items=0xFFFF888800000000)
    world.at("ksm_append", items=0xFFFF888800000000)
    for returned in (0, -14, 0):
        world.at("ksm_merge", ret=returned)
    assert some(world.told["ksm"].pages) == {"shared": 1, "sharing": 2, "failed": 1}
    assert world.account("ksm_merge") == {"exits": 3}


def test_what_ksm_lets_go(world: World) -> None:
    """Only what was in the stable tree; who finds out that a page is gone is counted once."""
    world.at("ksm_remove_enter", address=0x7F0000000000 | 0x100)
    world.at("ksm_remove_exit")
    assert world.told["ksm"].pages["removed"] == 0
    world.at("ksm_remove_enter", address=0x7F0000000000 | 0x200)
    assert world.told["ksm"].pages["removed"] == 0, "not before its end"
    world.at("ksm_remove_node", length=5)
    world.at("ksm_remove_exit")
    assert world.told["ksm"].pages["removed"] == 5
    world.at("ksm_remove_node", length=3)
    assert world.told["ksm"].pages["removed"] == 8


def test_a_loss_inside_of_a_removal_counts_nobody_twice(world: World) -> None:
    world.at("ksm_remove_enter", address=0x200)
    world.follower.forget()
    world.at("ksm_remove_node", length=5)
    world.at("ksm_remove_exit")
    assert world.told["ksm"].pages["removed"] == 5
    assert world.account("ksm_remove") == {"entries": 1, "stale": 1, "unmatched": 1}


def test_passes_are_ksmds_alone(world: World) -> None:
    world.at("ksm_scan", tid=7)
    world.at("ksm_scan_end", tid=KSMD)
    assert world.told["ksm"].begun == world.told["ksm"].scans.calls == 0
    world.at("ksm_scan", tid=KSMD)
    world.at("ksm_scan_end", tid=7)
    world.at("ksm_scan_end", tid=KSMD)
    world.at("ksm_scan", tid=KSMD)
    world.follower.forget()
    world.at("ksm_scan_end", tid=KSMD)
    told = world.told["ksm"]
    assert (told.begun, told.scans.calls, told.scans.ns) == (2, 1, 20)


def test_what_a_swap_in_makes_of_a_page(world: World) -> None:
    for returned in (0x1000, 0x2000, 0x2000, 0, ERROR):
        world.at("ksm_swapin_enter", folio=0x1000)
        world.at("ksm_swapin", ret=returned)
    assert world.told["ksm"].swapins == dict(zip(ksm.SWAPINS, (1, 2, 1, 1), strict=True))
    world.follower.forget()
    world.at("ksm_swapin", ret=0x1000)
    assert world.told["ksm"].swapins["same"] == 1


def test_memory_failures(world: World) -> None:
    world.at("failure_enter", "HANDLER_MEMORY_FAILURE", pfn=4711, flags=1)
    world.at("collect_enter")
    world.at("collect_exit")
    world.at("action", type=13, result=3)
    world.at("failure_exit", ret=-16)
    world.at("failure_enter", "HANDLER_SOFT_OFFLINE", pfn=4711, flags=0)
    world.at("failure_exit", ret=0)
    world.at("action", type=32, result=0)
    world.at("action", type=0, result=4)
    for code in (4, 5, 5, 1):
        world.at("mceerr", code=code, address=0, lsb=12)
    told = world.told["failures"]
    calls = {name: (counts.calls, counts.ns) for name, counts in told.handled.items()}
    assert calls == {
        "memory_failure": (1, 40), "soft_offline": (1, 10), "collect_procs": (1, 10)
    }  # fmt: skip
    assert told.errors == {"memory_failure": 1, "soft_offline": 0}
    assert some(told.actions) == {("dirty_lru", "recovered"): 1}
    assert told.signals == {("SIGBUS", "BUS_MCEERR_AR"): 1, ("SIGBUS", "BUS_MCEERR_AO"): 2}


def test_migrations_by_their_reason(world: World) -> None:
    world.at("migrate_enter", reason=3, mode=2)
    world.at("migrate_report", reason=3, succeeded=101, failed=7, split=1)
    world.at("migrate_exit", ret=0)
    world.at("migrate_enter", reason=99, mode=0)
    world.at("migrate_exit", ret=0)
    told = world.told["migrations"]
    syscall = told["syscall"]
    assert (syscall.calls, syscall.ns, syscall.ns_slots[5]) == (1, 20, 1)
    assert (syscall.succeeded, syscall.failed, syscall.split) == (101, 7, 1)
    assert told["compaction"].calls == told["compaction"].succeeded == 0


def waits(world: World) -> dict:
    return some({key: counts.calls for key, counts in world.told["lock_waits"].items()})


def test_waits_are_told_by_what_lies_around_the_lock(world: World) -> None:
    world.at("vma_enter")
    for around in (
        anon_vma(),
        anon_vma(root=HOLDER + 96),
        mapping(),
        mapping(host=HOLDER + 8),
        mapping(host=0),
    ):
        world.at("wait_enter", "MODE_WRITE", **around)
        world.at("wait_exit", "MODE_WRITE", ret=around["lock"])
    assert waits(world) == {("anon_vma", "write", "other"): 1, ("i_mmap", "write", "other"): 1}
    assert world.account("lock_write") == {"entries": 2, "exits": 2}


def test_a_wait_inside_of_a_walk(world: World) -> None:
    world.walk_begins()
    world.at("wait_enter", "MODE_READ", **anon_vma())
    world.at("wait_exit", "MODE_READ", ret=ERROR)
    world.at("walk_exit", "KIND_ANON")
    world.walk_begins()
    world.at("walk_exit", "KIND_ANON")
    assert waits(world) == {("anon_vma", "read", "walk"): 1}
    assert world.events("walk")["flags"].tolist() == [WALK_WAITED, 0]


def test_a_wait_that_may_be_inside_of_a_walk_is_given_up(world: World) -> None:
    """Of this thread nothing has been seen: it may have been walking when events were lost."""
    for _ in range(2):
        world.at("wait_enter", "MODE_READ", **anon_vma())
        world.at("wait_exit", "MODE_READ", ret=HOLDER + 8)
    world.at("wait_enter", "MODE_WRITE", **anon_vma())
    world.at("wait_exit", "MODE_WRITE", ret=HOLDER + 8)
    assert waits(world) == {("anon_vma", "write", "other"): 1}, "nobody waits to write in a walk"
    assert world.account("lock_read") == {"entries": 2, "stale": 2}
    world.at("walk_exit", "KIND_ANON")
    world.at("wait_enter", "MODE_READ", **anon_vma())
    world.at("wait_exit", "MODE_READ", ret=HOLDER + 8)
    assert waits(world)["anon_vma", "read", "other"] == 1


def test_an_end_that_is_another_locks_ends_nothing(world: World) -> None:
    world.at("wait_enter", "MODE_WRITE", **anon_vma())
    world.at("wait_exit", "MODE_WRITE", ret=HOLDER + 999)
    world.at("wait_enter", "MODE_WRITE", **anon_vma())
    world.at("wait_enter", "MODE_WRITE", **mapping(host=0))
    world.at("wait_exit", "MODE_WRITE", ret=HOLDER + 8)
    assert waits(world) == {}
    assert world.account("lock_write") == {"entries": 2, "stale": 2}


def test_forks_and_what_children_are_born_with(world: World) -> None:
    counters = {"rss0": 100, "rss1": 20, "rss2": 3, "rss3": -1}
    child = {
        "ret": 0xFFFF888803000000,
        "child": 8,
        "mm": 0xFFFF888804000000,
        "vmas": 31,
        **counters,
    }
    world.at("fork_enter", flags=0x11)
    world.at("mmap_enter")
    for returned in (0, -12):
        world.at("vma_enter")
        world.at("clone_enter", dst_mm=2, src_mm=1)
        world.at("clone_exit", ret=returned)
        world.at("vma_exit", "STEP_ANON_VMA_FORK", ret=returned)
    world.at("vma_enter")
    world.at("vma_exit", "STEP_COPY_PAGE_RANGE", ret=0)
    world.at("mmap_exit", ret=-12)
    world.at("fork_exit", **child)
    world.at("fork_enter", flags=0x100)
    world.at("fork_exit", **child)
    world.at("fork_enter", flags=0)
    world.at("fork_exit", **child | {"ret": ERROR + 1})
    world.at("fork_enter", flags=0)
    world.at("fork_exit", **child | {"mm": 0})
    world.at("clone_enter", dst_mm=1, src_mm=1)
    world.at("clone_exit", ret=0)
    told = world.told["forks"]
    assert {step: counts.calls for step, counts in told.steps.items()} == {
        "copy_process": 3, "dup_mmap": 1, "anon_vma_fork": 2, "copy_page_range": 1
    }  # fmt: skip
    assert (told.vmas, told.pages) == (31, 122)
    assert some(told.errors) == {
        ("copy_process", "EAGAIN"): 1, ("dup_mmap", "ENOMEM"): 1,
        ("anon_vma_fork", "ENOMEM"): 1, ("anon_vma_clone", "ENOMEM"): 1,
    }  # fmt: skip
    assert {name: counts.calls for name, counts in told.clones.items()} == {"fork": 2, "other": 1}


def test_pages_that_each_cpu_has_a_part_of_are_not_summed(world: World) -> None:
    world.at("fork_enter", flags=0)
    world.at("fork_exit", ret=1, child=8, mm=2, vmas=31)
    assert (world.told["forks"].vmas, world.told["forks"].pages) == (31, None)


def test_whose_chain_is_copied_is_told_by_the_processes(world: World) -> None:
    """Whatever else was seen of the thread: the end of what it is inside of, or nothing."""
    for dst_mm, src_mm in ((1, 1), (1, 2), (2, 2)):
        world.at("clone_enter", dst_mm=dst_mm, src_mm=src_mm)
        world.at("clone_exit", ret=0)
    world.follower.forget()
    world.at("clone_enter", dst_mm=2, src_mm=1)
    world.at("clone_exit", ret=0)
    clones = {name: counts.calls for name, counts in world.told["forks"].clones.items()}
    assert clones == {"fork": 2, "other": 2}
    assert world.account("anon_vma_clone") == {"entries": 4, "exits": 4}


def waits_to_read(world: World, tid: int) -> None:
    world.at("wait_enter", "MODE_READ", tid=tid, **anon_vma())
    world.at("wait_exit", "MODE_READ", tid=tid, ret=HOLDER + 8)


@pytest.mark.parametrize("seen", [True, False], ids=["entry seen", "entry unseen"])
def test_who_is_born_is_known(world: World, seen: bool) -> None:
    """A thread that was born while forks are watched is in no walk that began before."""
    if seen:
        world.at("fork_enter", flags=0x100)
    world.at("fork_exit", ret=0xFFFF888803000000, child=8, mm=1, vmas=31)
    for tid in (8, 9):
        waits_to_read(world, tid)
    assert world.account("lock_read") == {"entries": 2, "exits": 1, "stale": 1}


@pytest.mark.parametrize("then", ["a fork that failed", "a loss", "events that came later"])
def test_who_is_not_known(world: World, then: str) -> None:
    ret = ERROR if then == "a fork that failed" else 1
    world.at("fork_enter", flags=0)
    world.at("fork_exit", ret=ret, child=8, mm=1, vmas=31)
    if then == "a loss":
        world.follower.forget()
    if then == "events that came later":
        world.follower.meet_anew()
    waits_to_read(world, 8)
    assert world.account("lock_read") == {"entries": 1, "stale": 1}


def test_writes_are_counted_and_timed_whatever_became_of_them(world: World) -> None:
    for _ in range(3):
        world.at("cow_enter")
        world.at("cow_exit")
    told = world.told["cow"]
    assert told.faults == {("unseen", "unseen"): 3}
    assert (told.calls["unseen"].calls, told.calls["unseen"].ns) == (3, 30)


def test_from_zero_with_a_call_under_way(world: World) -> None:
    world.at("cow_enter")
    world.at("cow_exit")
    world.at("cow_enter")
    world.follower.reset()
    assert world.account("cow") == {"entries": 1}
    world.at("cow_exit")
    assert world.account("cow") == {"entries": 1, "exits": 1}
    assert world.told["cow"].calls["unseen"].calls == 1
