"""Any history: the structures against brute force over all page tables of a small machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rmapwatch.kernels.semantics import PRESETS, Linking, Reuse, Semantics, before
from rmapwatch.model import ksm
from rmapwatch.model.history import (
    Exit,
    Fork,
    Map,
    Merge,
    Operation,
    Read,
    Remap,
    Split,
    Unmap,
    Write,
    replay,
)
from rmapwatch.model.mm_types import Machine, Page, Vma
from rmapwatch.model.rmap import Op, linked_vmas, rmap_walk

PAGES = 4
KERNELS = st.sampled_from(sorted(PRESETS))
# reuse by degree is no preset's rule
SEMANTICS = st.sampled_from([*PRESETS.values(), before("anon_vma_active_vmas")])


class History:
    """Draws operations that make sense in the state that the previous ones led to."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.ops: list[Operation] = []
        self.regions: dict[int, dict[int, int]] = {}  # process -> region -> pages
        self.next_process, self.next_region, self.next_start = 1, 2, 0x1000

    def fresh_start(self) -> int:
        self.next_start += 0x100
        return self.next_start

    def begin(self) -> None:
        self.regions[0] = {0: PAGES, 1: PAGES}
        self.ops += [
            Map(0, 0, self.fresh_start(), PAGES),
            Map(0, 1, self.fresh_start(), PAGES, file="f", file_offset=2),
        ]

    def step(self, merging: bool) -> None:
        process = self.draw(st.sampled_from(sorted(self.regions)))
        regions = self.regions[process]
        kinds = ["fork", "exit"] if not regions else ["write"] * 4 + ["read", "fork", "fork"]
        if regions:
            kinds += ["unmap", "remap", "split", "exit"] + ["merge"] * 2 * merging
        kind = self.draw(st.sampled_from(kinds))
        getattr(self, kind)(process, regions)

    def place(self, regions: dict[int, int]) -> tuple[int, int]:
        region = self.draw(st.sampled_from(sorted(regions)))
        return region, self.draw(st.integers(0, regions[region] - 1))

    def write(self, process: int, regions: dict[int, int]) -> None:
        self.ops.append(Write(process, *self.place(regions)))

    def read(self, process: int, regions: dict[int, int]) -> None:
        self.ops.append(Read(process, *self.place(regions)))

    def fork(self, process: int, regions: dict[int, int]) -> None:
        self.ops.append(Fork(process, self.next_process))
        self.regions[self.next_process] = dict(regions)
        self.next_process += 1

    def exit(self, process: int, _: dict[int, int]) -> None:
        if len(self.regions) > 1:
            self.ops.append(Exit(process))
            del self.regions[process]

    def unmap(self, process: int, regions: dict[int, int]) -> None:
        region, _ = self.place(regions)
        self.ops.append(Unmap(process, region))
        del regions[region]

    def remap(self, process: int, regions: dict[int, int]) -> None:
        region, _ = self.place(regions)
        self.ops.append(Remap(process, region, self.fresh_start()))

    def split(self, process: int, regions: dict[int, int]) -> None:
        region, offset = self.place(regions)
        if offset:
            self.ops.append(Split(process, region, offset, self.next_region))
            regions[self.next_region] = regions[region] - offset
            regions[region] = offset
            self.next_region += 1

    def merge(self, process: int, regions: dict[int, int]) -> None:
        """Write to a few places, so that each has an anonymous page, and merge them."""
        places = {
            (other, *self.place(self.regions[other]))
            for other in self.draw(st.lists(st.sampled_from(sorted(self.regions)), max_size=3))
            if self.regions[other]
        }
        places.add((process, *self.place(regions)))
        ordered = tuple(sorted(places))
        self.ops += [Write(*place) for place in ordered]
        self.ops.append(Merge(ordered))


def history(data: st.DataObject, merging: bool = False, steps: int = 14) -> list[Operation]:
    drawn = History(data)
    drawn.begin()
    for _ in range(data.draw(st.integers(1, steps))):
        drawn.step(merging)
    return drawn.ops


def brute_force(machine: Machine, page: Page) -> set[Vma]:
    """Who maps the page, from the page tables of every process."""
    return {
        vma
        for regions in machine.processes.values()
        for vma in regions.values()
        if page in vma.table.values()
    }


@given(SEMANTICS, st.data())
def test_a_walk_visits_every_vma_that_maps_the_page(
    semantics: Semantics, data: st.DataObject
) -> None:
    machine = replay(semantics, history(data))
    for page in machine.every_page():
        mapping = brute_force(machine, page)
        restore = rmap_walk(machine, page, Op.RESTORE).entered
        assert mapping <= set(restore)
        assert len(restore) == len(set(restore)), "a VMA is entered once"
        for op in (Op.REFERENCE, Op.UNMAP, Op.MIGRATE):
            entered = rmap_walk(machine, page, op).entered
            assert mapping <= set(entered)
            assert entered == restore[: len(entered)]
            assert entered[-1] in mapping, "it ends where the last mapping is found"


@given(SEMANTICS, st.data())
def test_mapcounts_are_conserved(semantics: Semantics, data: st.DataObject) -> None:
    machine = replay(semantics, history(data, merging=True))
    tables = Counter(
        page.id
        for regions in machine.processes.values()
        for vma in regions.values()
        for page in vma.table.values()
    )
    assert {page.id: page.mapcount for page in machine.every_page()} == tables
    for page in machine.page_cache.values():
        assert page.mapcount == tables[page.id]


@given(KERNELS, st.data())
def test_chains_never_link_more_than_the_shared_anon_vma_did(
    kernel: str, data: st.DataObject
) -> None:
    ops = history(data)
    chains = replace(PRESETS[kernel], linking=Linking.CHAINS)
    shared = replace(chains, linking=Linking.SHARED, reuse=Reuse.NEVER)
    new, old = replay(chains, ops), replay(shared, ops)
    for process, regions in new.processes.items():
        for region, vma in regions.items():
            for offset, page in vma.table.items():
                before_it = old.page(process, offset, region)
                assert len(linked_vmas(new, page)) <= len(linked_vmas(old, before_it))


@given(st.sampled_from(["v2.6.33", "v5.10", "v6.1", "v6.12", "v7.3"]), st.data())
def test_the_two_pass_ksm_walk_finds_every_sharer(kernel: str, data: st.DataObject) -> None:
    machine = replay(PRESETS[kernel], history(data, merging=True))
    for page in machine.every_page():
        if not page.ksm:
            continue
        mapping = brute_force(machine, page)
        for op in (Op.REFERENCE, Op.UNMAP, Op.MIGRATE, Op.RESTORE):
            assert mapping <= set(ksm.rmap_walk_ksm(machine, page, op).entered)


@given(st.data())
def test_the_chain_holds_what_the_trees_hold(data: st.DataObject) -> None:
    machine = replay(PRESETS["v6.12"], history(data))
    for regions in machine.processes.values():
        for vma in regions.values():
            assert all(vma in anon_vma.tree for anon_vma in vma.chain)
            assert len(set(vma.chain)) == len(vma.chain)
            if vma.anon_vma is not None:
                assert vma.anon_vma in vma.chain
                assert vma.anon_vma.num_active_vmas > 0
            for anon_vma in vma.chain:
                assert all(other.process in machine.processes for other in anon_vma.tree)


@settings(max_examples=60)
@given(st.data())
def test_counters_of_an_anon_vma_count_what_they_say(data: st.DataObject) -> None:
    machine = replay(PRESETS["v6.12"], history(data))
    vmas = [vma for regions in machine.processes.values() for vma in regions.values()]
    anon_vmas = {anon_vma for vma in vmas for anon_vma in vma.chain}
    for anon_vma in anon_vmas:
        assert anon_vma.num_active_vmas == sum(vma.anon_vma is anon_vma for vma in vmas)
        children = sum(other.parent is anon_vma for other in anon_vmas)
        assert anon_vma.num_children == children
