"""The events that recordings hold, by type: what each tells, what it cannot, and what is lost."""

from collections.abc import Iterator

import pytest
from followed import ERROR, HOLDER, KSMD, REFERENCE, World, anon_vma, mapping
from rmapwatch.probes import events, ksm, locks, memory_failure
from rmapwatch.probes.events import ALL_ONES, NO_COUNT, NOT_KNOWN, UNSEEN
from rmapwatch.probes.ftrace import plan
from rmapwatch.probes.ftrace.tape import Tape

BASE = 0xFFFF_EA00_0000_0000
STORM = int.from_bytes(b"storm", "little")


@pytest.fixture
def world() -> Iterator[World]:
    return World()


def is_(event: object, **told: int | bytes) -> None:
    """Hold an event against what it must tell."""
    assert {name: event[name].item() for name in told} == told


# Waits


def test_a_wait_inside_of_a_walk_tells_which(world: World) -> None:
    world.walk_begins()
    begin = world.time
    world.at("wait_enter", "MODE_READ", comm=STORM, **anon_vma())
    world.at("wait_exit", "MODE_READ", ret=ERROR)
    (wait,) = world.events("lock_wait")
    is_(wait, time=world.time, tid=7, ns=10, root=HOLDER, walk=begin, comm=b"storm")
    is_(wait, lock=0, mode=0, during=locks.DURING.index("walk"))


def test_a_wait_outside_is_for_a_lock_of_somebody(world: World) -> None:
    """A mapping is told by its own address, as by walks of its pages."""
    world.at("wait_enter", "MODE_WRITE", **mapping())
    world.at("wait_exit", "MODE_WRITE", ret=HOLDER + 164)
    (wait,) = world.events("lock_wait")
    is_(wait, root=HOLDER + 164 - 64, walk=0, lock=1, mode=1, during=1)


def test_no_wait_is_told_that_is_not_counted(world: World) -> None:
    """For another lock, given up, or of a thread that may be inside of a walk."""
    world.at("wait_enter", "MODE_WRITE", **mapping(host=0))
    world.at("wait_exit", "MODE_WRITE", ret=HOLDER + 164)
    world.at("wait_enter", "MODE_WRITE", **anon_vma())
    world.follower.forget()
    world.at("wait_exit", "MODE_WRITE", ret=HOLDER + 8)
    world.at("wait_enter", "MODE_READ", tid=8, **anon_vma())
    world.at("wait_exit", "MODE_READ", tid=8, ret=HOLDER + 8)
    assert len(world.events("lock_wait")) == 0


# Forks

COUNTERS = {"rss0": 100, "rss1": 20, "rss2": 3, "rss3": -1}
CHILD = {"ret": 0xFFFF888803000000, "child": 8, "process": 8, "mm": 0xFFFF888804000000, "vmas": 31}


def fork(world: World, flags: int = 0, tid: int = 7, **child: int) -> None:
    world.at("fork_enter", tid=tid, flags=flags)
    world.at("fork_exit", tid=tid, **CHILD | child)


def test_a_fork_tells_what_its_steps_took_and_what_a_child_is_born_with(world: World) -> None:
    world.at("fork_enter", flags=0)
    for returned, src_mm in ((0, 1), (-12, 1), (0, 1), (0, 2)):
        world.at("vma_enter")
        world.at("clone_enter", dst_mm=2, src_mm=src_mm)
        world.at("clone_exit", ret=returned)
        world.at("vma_exit", "STEP_ANON_VMA_FORK", ret=returned)
    world.at("vma_enter")
    world.at("vma_exit", "STEP_COPY_PAGE_RANGE", ret=0)
    world.at("fork_exit", **CHILD, **COUNTERS)
    (told,) = world.events("fork")
    is_(told, child=8, returned=0, vmas=31, pages=122, linked=2, ns=190)
    is_(told, anon_vma_ns=4 * 30, copy_ns=10, links=NOT_KNOWN, longest=NOT_KNOWN)


def test_what_is_not_known_of_a_fork_is_no_number(world: World) -> None:
    """Where CPUs have parts of the sum, where it failed, and where the child has no memory."""
    fork(world)
    fork(world, **COUNTERS, ret=ERROR)
    fork(world, **COUNTERS, mm=0)
    summed, failed, bare = world.events("fork")
    is_(summed, pages=NOT_KNOWN, vmas=31, child=8)
    is_(failed, pages=NOT_KNOWN, vmas=NOT_KNOWN, child=0, returned=-12)
    is_(bare, pages=NOT_KNOWN, vmas=NOT_KNOWN, child=8, returned=0)


def test_new_threads_are_no_forks_and_begun_ones_none(world: World) -> None:
    fork(world, flags=0x100)
    world.at("fork_enter", flags=0)
    world.follower.forget()
    world.at("fork_exit", **CHILD)
    assert len(world.events("fork")) == 0


def test_whose_thread_it_is_is_known_since_it_was_born(world: World) -> None:
    """Not after a loss: its number may be another's by then."""

    def process_of(tid: int) -> int:
        fork(world, tid=tid, child=90)
        return int(world.events("fork")["tgid"][0])

    assert process_of(9) == 0
    fork(world, flags=0x100, child=9, process=6)
    world.events("fork")
    assert process_of(9) == 6
    fork(world, flags=0x100, child=9, process=5)
    world.events("fork")
    assert process_of(9) == 5
    world.follower.forget()
    assert process_of(9) == 0


# Migrations


def test_a_call_to_move_pages_tells_what_the_kernel_reports_inside_of_it(world: World) -> None:
    world.at("migrate_enter", reason=3, mode=2)
    world.at("migrate_report", tid=8, reason=3, succeeded=1, failed=1, split=1)
    world.at("migrate_report", reason=3, succeeded=101, failed=7, split=0)
    world.at("migrate_exit", ret=7)
    world.at("migrate_enter", reason=99, mode=0)
    world.at("migrate_exit", ret=-12)
    told, untold = world.events("migration")
    is_(told, ns=30, succeeded=101, failed=7, split=0, returned=7, reason=3, mode=2)
    is_(untold, succeeded=NOT_KNOWN, failed=NOT_KNOWN, split=NOT_KNOWN)
    is_(untold, returned=-12, reason=99, mode=0)
    world.at("migrate_enter", reason=3, mode=2)
    world.follower.forget()
    world.at("migrate_exit", ret=0)
    assert len(world.events("migration")) == 0


# Memory failures


def fail(world: World, handler: str = "HANDLER_MEMORY_FAILURE") -> None:
    world.at("failure_enter", handler, pfn=4711, flags=3)


def test_a_memory_failure_tells_what_was_seen_while_it_was_handled(world: World) -> None:
    fail(world)
    for _ in range(2):
        world.at("collect_enter")
        world.at("victim")
        world.at("collect_exit")
    world.at("victim", tid=8)
    world.at("action", tid=8, type=1, result=1)
    world.at("action", type=13, result=3)
    world.at("failure_exit", ret=-16)
    fail(world, "HANDLER_SOFT_OFFLINE")
    world.at("failure_exit", ret=0)
    failed, offlined = world.events("memory_failure")
    is_(failed, pfn=4711, mf_flags=3, ns=100, collect_ns=40, victims=2, handler=0)
    is_(failed, page_type=13, result=3, returned=-16)
    is_(offlined, victims=0, collect_ns=0, page_type=NOT_KNOWN, result=NOT_KNOWN, handler=1)


def test_victims_are_unknown_where_nobody_watches_them() -> None:
    world = World(attached=())
    fail(world)
    world.at("failure_exit", ret=0)
    assert world.events("memory_failure")["victims"].tolist() == [NO_COUNT]


def test_a_signal_tells_the_frame_that_is_handled_and_whom_it_is_sent_to(world: World) -> None:
    fail(world)
    world.at("mceerr", code=5, address=0x7F00_0000_1000, lsb=12, task=HOLDER, target=6)
    world.at("failure_exit", ret=0)
    fork(world, flags=0x100, child=9, process=6)
    for tid in (9, 7):
        world.at("mceerr", tid=tid, code=4, address=0x1000, lsb=21)
    world.at("mceerr", code=1, address=0x1000, lsb=12)
    sent, late, of_nobody_known = world.events("signal")
    optional, required = (memory_failure.CODES.index(f"BUS_MCEERR_{a}") for a in ("AO", "AR"))
    is_(sent, pfn=4711, address=0x7F00_0000_1000, lsb=12, target=6, code=optional)
    is_(late, pfn=ALL_ONES, address=0x1000, lsb=21, target=6, code=required, tgid=6)
    is_(of_nobody_known, pfn=ALL_ONES, target=0, tgid=0)


def test_whom_a_signal_is_sent_to_is_not_who_sends_it(world: World) -> None:
    """Where the kernel does not tell where a task's process lies, it is not known."""
    fork(world, flags=0x100, child=9, process=6)
    world.at("mceerr", tid=9, code=5, address=0x1000, lsb=12, task=HOLDER)
    is_(world.events("signal")[0], target=0, tgid=6)


# KSM


def what(world: World) -> list[tuple[str, int]]:
    return [(ksm.WHAT[each["what"]], int(each["pfn"])) for each in world.events("ksm")]


def test_what_ksm_does_to_pages(world: World) -> None:
    world.at("ksm_append", items=0, pfn=31)
    world.at("ksm_append", items=HOLDER, pfn=31)
    for returned in (0, -14):
        world.at("ksm_merge", ret=returned)
    for address in (0x100, 0x200):
        world.at("ksm_remove_enter", address=address)
        world.at("ksm_remove_exit")
    world.at("ksm_remove_node", length=3)
    assert what(world) == [
        ("shared", 31), ("sharing", 31), ("failed", ALL_ONES), ("removed", ALL_ONES)
    ]  # fmt: skip


def test_copies_on_swap_in_are_of_a_frame_where_frames_are_known(world: World) -> None:
    for given in ({"pages_at": BASE}, {}):
        for returned in (BASE + 64 * 37, 1, 0, ERROR):
            world.at("ksm_swapin_enter", folio=BASE + 64 * 37, **given)
            world.at("ksm_swapin", ret=returned)
    assert what(world) == [("copied", 37), ("copied", ALL_ONES)]


def test_passes_are_told_as_they_end(world: World) -> None:
    world.at("ksm_scan", tid=KSMD)
    world.at("ksm_scan_end", tid=KSMD)
    world.at("ksm_scan", tid=KSMD)
    world.follower.forget()
    world.at("ksm_scan_end", tid=KSMD)
    (passed,) = world.events("ksm")
    is_(passed, what=ksm.WHAT.index("scanned"), ns=10, pfn=ALL_ONES, tid=KSMD)


# Checks

SMALL = {"flags": 8, "is_locked": 1, "folio": BASE + 64 * 41, "pages_at": BASE, "index": 101}


def test_a_check_names_its_walk_and_tells_nothing_that_it_cannot_see(world: World) -> None:
    world.at("reference_enter", **SMALL)
    world.at("walk_enter", "KIND_ANON", folio=0, one=REFERENCE, arg=0)
    world.at("walk_exit", "KIND_ANON")
    walk = world.time
    world.at("reference_exit", ret=3)
    world.at("reference_enter", **SMALL | {"is_locked": 0, "flags": 1 << 16, "large_pages": 16})
    world.at("reference_exit", ret=-1)
    checked, bare = world.events("reference")
    is_(checked, walk=walk, time=walk + 10, pfn=41, index=101, result=3, nr_pages=1, is_locked=1)
    is_(checked, decision=UNSEEN, vm_flags=ALL_ONES, page_flags=ALL_ONES)
    is_(bare, walk=0, result=-1, nr_pages=16, is_locked=0)


def test_a_walk_whose_check_is_given_up_is_lost(world: World) -> None:
    """It is counted: nobody knows whether it gave up, and it cannot be told as a whole."""
    world.at("reference_enter", **SMALL)
    world.at("walk_enter", "KIND_ANON", folio=0, one=REFERENCE, arg=0)
    world.at("walk_exit", "KIND_ANON")
    world.follower.forget()
    world.at("reference_exit", ret=0)
    assert (world.tape.produced, world.tape.lost) == ({"walk": 1}, {"walk": 1})
    assert world.tape.take() == []


@pytest.mark.parametrize("given_up", [False, True])
def test_a_walk_that_nobody_wants_any_more_is_not_told_by_its_check(
    world: World, given_up: bool
) -> None:
    world.at("reference_enter", **SMALL)
    world.at("walk_enter", "KIND_ANON", folio=0, one=REFERENCE, arg=0)
    world.at("walk_exit", "KIND_ANON")
    world.tape.wanted = frozenset()
    if given_up:
        world.follower.forget()
    world.at("reference_exit", ret=0)
    assert not world.tape.produced


# All of them


def test_events_bear_the_batch_and_the_cpu_that_they_happened_in(world: World) -> None:
    world.at("batch_enter")
    world.follower.cpu = 3
    world.walk_begins()
    world.at("walk_exit", "KIND_ANON")
    is_(world.events("walk")[0], batch=1, cpu=3, type=events.type_number("walk"))


def everything(world: World) -> None:
    """Bring about one event of each type that is told."""
    world.walk_begins()
    world.at("walk_exit", "KIND_ANON")
    world.at("reference_enter", **SMALL)
    world.at("reference_exit", ret=0)
    world.at("ksm_merge", ret=-14)
    fail(world)
    world.at("failure_exit", ret=0)
    world.at("mceerr", code=4, address=0, lsb=12)
    world.at("migrate_enter", reason=3, mode=2)
    world.at("migrate_exit", ret=0)
    world.at("wait_enter", "MODE_WRITE", **anon_vma())
    world.at("wait_exit", "MODE_WRITE", ret=HOLDER + 8)
    fork(world)
    world.at("cow_enter")
    world.at("cow_exit")


def test_all_types_have_one_order_and_an_account_each(world: World) -> None:
    everything(world)
    types = [slot[events.HEADER + events.offsets("walk")["type"]] for slot in world.tape.take()]
    assert [list(events.EVENTS)[number - 1] for number in types] == [
        "walk", "reference", "ksm", "memory_failure", "signal", "migration", "lock_wait", "fork"
    ]  # fmt: skip
    assert world.tape.produced == dict.fromkeys(plan.TOLD, 1)
    everything(world)
    seqs = [int.from_bytes(slot[: events.HEADER], "little") for slot in world.tape.take()]
    assert seqs == list(range(len(plan.TOLD), 2 * len(plan.TOLD)))


@pytest.mark.parametrize("event", plan.TOLD)
def test_what_nobody_wants_is_not_told(world: World, event: str) -> None:
    world.tape.wanted = frozenset([event])
    everything(world)
    assert world.tape.produced == {event: 1}
    assert len(world.events(event)) == 1


def test_what_nobody_takes_is_lost_by_the_number() -> None:
    """Whatever it is of: the memory that a tape takes is bounded, and its numbers have no gap."""
    world = World()
    world.tape = world.follower._tape = Tape(3, plan.TOLD)
    for _ in range(2):
        everything(world)
    kept = {name: len(found) for name, found in taken_of(world).items()}
    assert kept == {"walk": 1, "reference": 1, "ksm": 1}
    assert world.tape.produced == dict.fromkeys(plan.TOLD, 2)
    assert {name: 2 - kept.get(name, 0) for name in plan.TOLD} == world.tape.lost
    world.walk_begins()
    world.at("walk_exit", "KIND_ANON")
    assert world.events("walk")["seq"].tolist() == [3]


def taken_of(world: World) -> dict:
    from traced import taken

    return {name: found for name, found in taken(world.tape).items() if len(found)}


def test_from_zero(world: World) -> None:
    everything(world)
    world.tape.lose("walk")
    world.tape.reset()
    assert world.tape.take() == []
    assert not world.tape.produced
    assert not world.tape.lost
    everything(world)
    assert world.tape.produced == dict.fromkeys(plan.TOLD, 1)


def test_what_is_not_told_is_said() -> None:
    """Batches and writes: of the others all that matters lies in memory."""
    assert set(events.EVENTS) - set(plan.TOLD) == {"batch", "cow"}
    assert "recordings tell of none" in plan.LOST["batch_exit"]
    assert "recordings tell of none" in plan.LOST["cow_exit"]
