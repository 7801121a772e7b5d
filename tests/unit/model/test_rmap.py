"""Callback counts of anon and file walks: each row was measured on the four lab kernels."""

from __future__ import annotations

import pytest
from rmapwatch.kernels.semantics import PRESETS, after, before
from rmapwatch.model.history import (
    VM_DONTCOPY,
    VM_WIPEONFORK,
    Advise,
    Exit,
    Fork,
    Map,
    Operation,
    Read,
    Remap,
    Split,
    Unmap,
    Write,
    replay,
)
from rmapwatch.model.mm_types import Machine, Page
from rmapwatch.model.references import VM_LOCKED, VM_SEQ_READ, VM_SHARED
from rmapwatch.model.rmap import Op, linked_vmas, rmap_walk

LAB = ["v5.10", "v6.1", "v6.12", "v7.3"]
EARLY_EXIT = (Op.REFERENCE, Op.UNMAP, Op.MIGRATE)
N = 7  # children of the storm
P = 0  # the parent


def storm(*more: Operation, children: int = N) -> list[Operation]:
    """Parent with one touched page, and its children, as fork left them."""
    start: list[Operation] = [Map(P, 0, 0x100, 4), Write(P, 0, 1)]
    return [*start, *(Fork(P, c) for c in range(1, children + 1)), *more]


def counts(machine: Machine, page: Page, memcg: frozenset[int] | None = None) -> dict[Op, int]:
    return {op: len(rmap_walk(machine, page, op, memcg).entered) for op in Op}


def check(kernel: str, history: list[Operation], owner: int, early: int, restore: int) -> None:
    machine = replay(PRESETS[kernel], history)
    found = counts(machine, machine.page(owner, 1))
    for op in EARLY_EXIT:
        assert found[op] == early, (kernel, op)
    assert found[Op.RESTORE] == restore, kernel


@pytest.mark.parametrize("kernel", LAB)
class TestStormTable:
    def test_no_cow(self, kernel: str) -> None:
        check(kernel, storm(), P, N + 1, N + 1)

    @pytest.mark.parametrize("cowed", [1, 3, N])
    def test_the_last_children_wrote(self, kernel: str, cowed: int) -> None:
        history = storm(*(Write(c, 0, 1) for c in range(N - cowed + 1, N + 1)))
        check(kernel, history, P, N + 1 - cowed, N + 1)

    @pytest.mark.parametrize("cowed", [1, 3, N - 1])
    def test_the_first_children_wrote(self, kernel: str, cowed: int) -> None:
        history = storm(*(Write(c, 0, 1) for c in range(1, cowed + 1)))
        check(kernel, history, P, N + 1, N + 1)

    @pytest.mark.parametrize("child", [1, 4, N])
    def test_a_childs_own_copy(self, kernel: str, child: int) -> None:
        check(kernel, storm(Write(child, 0, 1)), child, 1, 1)

    def test_the_parents_own_new_copy(self, kernel: str) -> None:
        check(kernel, storm(Write(P, 0, 1)), P, 1, N + 1)

    @pytest.mark.parametrize("child", [1, 4, N])
    def test_a_child_that_unmapped_or_exited_is_one_less(self, kernel: str, child: int) -> None:
        check(kernel, storm(Unmap(child, 0)), P, N, N)
        check(kernel, storm(Exit(child)), P, N, N)

    def test_the_parent_moved_the_range(self, kernel: str) -> None:
        history = storm(Remap(P, 0, 0x900))
        check(kernel, history, P, N + 1, N + 1)
        machine = replay(PRESETS[kernel], history)
        order = [vma.process for vma in linked_vmas(machine, machine.page(P, 1))]
        assert order == [*range(1, N + 1), P]

    def test_all_children_exited(self, kernel: str) -> None:
        check(kernel, storm(*(Exit(c) for c in range(1, N + 1))), P, 1, 1)

    @pytest.mark.parametrize("child", [1, 4, N])
    def test_the_last_sharer_wrote_in_place(self, kernel: str, child: int) -> None:
        others = [Write(c, 0, 1) for c in range(0, N + 1) if c != child]
        history = storm(*others, Write(child, 0, 1))
        if kernel == "v5.10":
            check(kernel, history, child, child + 1, N + 1)  # its position in the root's tree
        else:
            check(kernel, history, child, 1, 1)


@pytest.mark.parametrize("kernel", LAB)
class TestNestedForks:
    D = 5

    def nested(self) -> list[Operation]:
        ops: list[Operation] = [Map(0, 0, 0x100, self.D + 1)]
        for k in range(self.D):
            ops += [Write(k, 0, k), Fork(k, k + 1)]
        return [*ops, Write(self.D, 0, self.D)]

    def test_a_page_is_linked_to_its_owner_and_what_came_after(self, kernel: str) -> None:
        machine = replay(PRESETS[kernel], self.nested())
        for k in range(self.D + 1):
            for op in (*EARLY_EXIT, Op.RESTORE):
                walk = rmap_walk(machine, machine.page(k, k), op)
                assert len(walk.entered) == self.D - k + 1

    def test_a_page_left_to_the_first_processes(self, kernel: str) -> None:
        for j in range(self.D):
            cow = [Write(k, 0, 0) for k in range(j + 1, self.D + 1)]
            machine = replay(PRESETS[kernel], [*self.nested(), *cow])
            page = machine.page(0, 0)
            assert len(rmap_walk(machine, page, Op.UNMAP).entered) == j + 1
            assert len(rmap_walk(machine, page, Op.RESTORE).entered) == self.D + 1


def fork_exit_chain(length: int) -> list[Operation]:
    """Each process forks one child and exits, having touched a page of its own."""
    ops: list[Operation] = [Map(0, 0, 0x100, length + 1), Write(0, 0, 0)]
    for k in range(length):
        ops += [Fork(k, k + 1), Exit(k), Write(k + 1, 0, k + 1)]
    return ops


def own_anon_vmas(semantics_name: str, length: int) -> list[int]:
    found = []
    for k in range(length + 1):
        anon_vma = replay(PRESETS[semantics_name], fork_exit_chain(k)).vma(k).anon_vma
        assert anon_vma is not None
        found.append(anon_vma.id)
    return found


@pytest.mark.parametrize("kernel", LAB)
def test_an_endless_chain_of_forks_alternates_between_two_anon_vmas(kernel: str) -> None:
    assert own_anon_vmas(kernel, 7) == [0, 1, 2, 1, 2, 1, 2, 1]


def test_without_reuse_the_chain_grows_for_ever() -> None:
    assert own_anon_vmas("v2.6.34", 6) == [0, 1, 2, 3, 4, 5, 6]
    vma = replay(PRESETS["v2.6.34"], fork_exit_chain(6)).vma(6)
    assert [anon_vma.id for anon_vma in vma.chain] == [0, 1, 2, 3, 4, 5, 6]
    assert [a.id for a in replay(PRESETS["v6.12"], fork_exit_chain(6)).vma(6).chain] == [0, 1, 2]


def test_degree_reuses_as_well_but_could_not_tell_vmas_from_children() -> None:
    degree = before("anon_vma_active_vmas")
    machine = replay(degree, fork_exit_chain(7))
    assert len(machine.vma(7).chain) == 3
    # a grandchild, then its parent goes: degree 1 may be a child or a VMA
    assert after("anon_vma_active_vmas").reuse is not degree.reuse


@pytest.mark.parametrize("kernel", LAB)
def test_a_page_of_a_reused_anon_vma_is_linked_to_the_parent_too(kernel: str) -> None:
    ops = [*fork_exit_chain(2), Fork(2, 3), Write(3, 0, 1)]  # 3 takes A1, whose tree has 2
    machine = replay(PRESETS[kernel], ops)
    own = machine.vma(3).anon_vma
    assert own is not None
    assert own.id == 1
    assert counts(machine, machine.page(3, 1))[Op.REFERENCE] == 2


@pytest.mark.parametrize("kernel", LAB)
def test_reclaim_of_a_memcg_passes_over_the_others_but_unmap_does_not(kernel: str) -> None:
    machine = replay(PRESETS[kernel], storm())
    found = counts(machine, machine.page(P, 1), memcg=frozenset({P, 2, 3}))
    assert found[Op.REFERENCE] == 3
    assert found[Op.UNMAP] == found[Op.MIGRATE] == N + 1


@pytest.mark.parametrize("kernel", LAB)
def test_sequential_children_are_not_asked_since_6_3(kernel: str) -> None:
    seq = [Advise(c, 0, VM_SEQ_READ) for c in (2, 5)]
    machine = replay(PRESETS[kernel], storm(*seq))
    found = counts(machine, machine.page(P, 1))
    assert found[Op.REFERENCE] == (N + 1 if kernel in ("v5.10", "v6.1") else N - 1)
    assert found[Op.UNMAP] == N + 1


@pytest.mark.parametrize("kernel", LAB)
def test_dontunmap_leaves_the_old_vma_linked_on_5_10(kernel: str) -> None:
    ops = [Map(P, 0, 0x100, 2), Write(P, 0, 1), Remap(P, 0, 0x900, left=1)]
    machine = replay(PRESETS[kernel], ops)
    assert counts(machine, machine.page(P, 1))[Op.RESTORE] == (2 if kernel == "v5.10" else 1)


@pytest.mark.parametrize("kernel", LAB)
def test_children_that_did_not_get_the_region_are_not_visited(kernel: str) -> None:
    for flag in (VM_DONTCOPY, VM_WIPEONFORK):
        ops = [Map(P, 0, 0x100, 2, vm_flags=flag), Write(P, 0, 1), Fork(P, 1)]
        machine = replay(PRESETS[kernel], ops)
        assert counts(machine, machine.page(P, 1))[Op.RESTORE] == 1
        assert (0 in machine.processes[1]) == (flag == VM_WIPEONFORK)


@pytest.mark.parametrize("kernel", LAB)
def test_an_mlocked_vma_ends_reference_and_unmap_but_not_migrate(kernel: str) -> None:
    machine = replay(PRESETS[kernel], storm(Advise(2, 0, VM_LOCKED)))
    found = counts(machine, machine.page(P, 1))
    assert (found[Op.REFERENCE], found[Op.UNMAP]) == (3, 3)
    assert (found[Op.MIGRATE], found[Op.RESTORE]) == (N + 1, N + 1)


@pytest.mark.parametrize("kernel", LAB)
def test_mlock_is_not_inherited(kernel: str) -> None:
    ops: list[Operation] = [Map(P, 0, 0x100, 2), Write(P, 0, 1), Advise(P, 0, VM_LOCKED)]
    machine = replay(PRESETS[kernel], [*ops, Fork(P, 1)])
    assert not machine.vma(1).vm_flags & VM_LOCKED


@pytest.mark.parametrize("kernel", LAB)
def test_vmas_come_by_page_offset_and_a_split_one_goes_last_among_equals(kernel: str) -> None:
    machine = replay(PRESETS[kernel], storm(Split(P, 0, 2, upper=1), children=2))
    vmas = linked_vmas(machine, machine.page(P, 1))
    assert [vma.process for vma in vmas] == [1, 2, P]
    whole = linked_vmas(machine, machine.page(P, 1), pages=3)
    assert [vma.name for vma in whole] == [(1, 0), (2, 0), (P, 0), (P, 1)]


def test_before_the_chains_every_relative_is_linked_to_every_page() -> None:
    history = storm(*(Write(c, 0, 1) for c in range(1, N + 1)))
    machine = replay(before("anon_vma_chains"), history)
    for owner in range(N + 1):
        found = counts(machine, machine.page(owner, 1))
        assert found[Op.RESTORE] == N + 1
        assert found[Op.REFERENCE] == owner + 1  # its place in the list


def test_the_index_of_an_anonymous_page_in_a_private_file_mapping() -> None:
    ops = [Map(P, 0, 0x100, 4, file="f", file_offset=9), Write(P, 0, 2)]
    assert replay(PRESETS["v6.12"], ops).page(P, 2).index == 9 + 2
    assert replay(PRESETS["v7.3"], ops).page(P, 2).index == 0x102


def test_an_offset_beyond_the_region_is_refused() -> None:
    for access in (Write(P, 0, 4), Read(P, 0, 4), Write(P, 0, -1)):
        with pytest.raises(ValueError, match="beyond"):
            replay(PRESETS["v6.12"], [Map(P, 0, 0x100, 4, file="f"), access])


@pytest.mark.parametrize("kernel", LAB)
class TestFileWalks:
    def test_every_mapping_of_the_offset_once_private_ones_too(self, kernel: str) -> None:
        ops: list[Operation] = [
            Map(process, 0, 0x100 * process + 0x100, 8, file="f", file_offset=process)
            for process in range(4)
        ]
        machine = replay(PRESETS[kernel], [*ops, *(Read(p, 0, 5 - p) for p in range(2))])
        page = machine.page(0, 5)
        assert page is machine.page(1, 4)
        found = counts(machine, page)
        assert found[Op.RESTORE] == 4
        assert found[Op.REFERENCE] == found[Op.UNMAP] == 2  # 2 and 3 start later: not reached
        assert found[Op.MKCLEAN] == 0

    def test_mkclean_asks_shared_mappings_only(self, kernel: str) -> None:
        ops: list[Operation] = [
            Map(0, 0, 0x100, 2, file="f", vm_flags=VM_SHARED),
            Map(1, 0, 0x100, 2, file="f"),
            Read(0, 0, 0),
        ]
        machine = replay(PRESETS[kernel], ops)
        assert counts(machine, machine.page(0, 0))[Op.MKCLEAN] == 1

    def test_a_written_page_leaves_the_file(self, kernel: str) -> None:
        ops = [Map(0, 0, 0x100, 2, file="f"), Read(0, 0, 0), Write(0, 0, 0)]
        machine = replay(PRESETS[kernel], ops)
        assert machine.page_cache["f", 0].mapcount == 0
        assert machine.page(0, 0).anon_vma is machine.vma(0).anon_vma
