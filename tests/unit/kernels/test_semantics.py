"""The semantics of a kernel is a fold over the changes that its facts show."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from rmapwatch.errors import RmapwatchError
from rmapwatch.kernels import semantics
from rmapwatch.kernels.changes import CHANGES, WANTED
from rmapwatch.kernels.facts import Function, KernelFacts, Struct
from rmapwatch.kernels.semantics import PRESETS, SEEDS, TIMELINE, Semantics

# What the lab kernels were seen to have, reduced to what the predicates ask.
OLDEST = KernelFacts(
    release="5.10.0",
    version="",
    machine="x86_64",
    functions={
        "page_referenced": Function(True),
        "mlock_vma_page": Function(True),
        "page_move_anon_rmap": Function(True),
    },
    structs={
        "anon_vma": Struct(96, {"num_active_vmas": 56, "parent": 64, "root": 0}),
        "anon_vma_chain": Struct(64, {"same_vma": 16, "rb": 32}),
        "rmap_walk_control": Struct(40, {"rmap_one": 8}),
        "vm_area_struct": Struct(192, {"anon_vma": 88}),
    },
    enums={
        "node_stat_item": {"WORKINGSET_REFAULT_ANON": 10},
        "pageflags": {"PG_double_map": 9},
        "mf_action_page_type": {"MF_MSG_BUDDY": 12, "MF_MSG_BUDDY_2ND": 13},
        "page_references": {"PAGEREF_RECLAIM_CLEAN": 1},
    },
    files={"/sys/kernel/mm/ksm/max_page_sharing": "256"},
)
V6_1 = dataclasses.replace(
    OLDEST,
    release="6.1.0",
    functions={
        "folio_referenced": Function(True),
        "mlock_folio": Function(True),
        "kill_accessing_process": Function(True),
        "lru_gen_look_around": Function(True, (("pvmw", "x"),), "void"),
        "page_move_anon_rmap": Function(True),
    },
    structs={
        **OLDEST.structs,
        "rmap_walk_control": Struct(48, {"rmap_one": 16, "try_lock": 8}),
        "folio": Struct(256, {"_total_mapcount": 84}),
    },
    enums={
        "node_stat_item": {"WORKINGSET_REFAULT_ANON": 10},
        "pageflags": {"PG_double_map": 9, "PG_anon_exclusive": 16},
        "mf_action_page_type": {"MF_MSG_BUDDY": 12},
        "mf_flags": {"MF_SW_SIMULATED": 64},
        "folio_references": {"FOLIOREF_KEEP": 2, "FOLIOREF_RECLAIM_CLEAN": 1},
    },
)
V6_12 = dataclasses.replace(
    V6_1,
    release="6.12.0",
    functions={
        **V6_1.functions,
        "lru_gen_look_around": Function(True, (("pvmw", "x"),), "bool"),
        "collect_procs_ksm": Function(True),
        "folio_move_anon_rmap": Function(True),
    },
    structs={
        **V6_1.structs,
        "lru_gen_folio": Struct(1352, {"max_seq": 0}),
        "folio": Struct(256, {"_large_mapcount": 80}),
    },
    enums={
        **V6_1.enums,
        "pageflags": {"PG_anon_exclusive": 11},
        "mf_action_page_type": {"MF_MSG_BUDDY": 12, "MF_MSG_ALREADY_POISONED": 19},
    },
    files={**OLDEST.files, "/sys/kernel/mm/ksm/smart_scan": "1"},
)
V7_3 = dataclasses.replace(
    V6_12,
    release="7.3.4",
    functions={**V6_12.functions, "lru_gen_set_refs": Function(True)},
    structs={
        **V6_12.structs,
        "folio": Struct(256, {"_large_mapcount": 80, "_mm_ids": 104}),
        "vm_area_struct": Struct(192, {"__vm_anon_pgoff_lo": 44}),
    },
    enums={
        **V6_12.enums,
        "pageflags": {"PG_anon_exclusive": 11, "PG_movable_ops": 3},
        "mf_action_page_type": {
            "MF_MSG_BUDDY": 12,
            "MF_MSG_ALREADY_POISONED": 19,
            "MF_MSG_PFN_MAP": 20,
        },
        "folio_references": {"FOLIOREF_KEEP": 1},
    },
)


@pytest.mark.parametrize(
    ("preset", "facts"),
    [("v5.10", OLDEST), ("v6.1", V6_1), ("v6.12", V6_12), ("v7.3", V7_3)],
)
def test_the_facts_of_a_lab_kernel_give_its_preset(preset: str, facts: KernelFacts) -> None:
    assert semantics.semantics_of(facts) == PRESETS[preset]


def test_facts_that_were_not_asked_enough_are_refused() -> None:
    empty: dict[str, Any] = {}
    for without in ("structs", "enums"):
        with pytest.raises(RmapwatchError, match=r"the facts of 6\.12\.0"):
            semantics.semantics_of(dataclasses.replace(V6_12, **{without: empty}))


def test_what_is_asked_of_facts_is_what_the_reader_records() -> None:
    assert semantics.ALWAYS_THERE | WANTED == WANTED


def test_functions_that_were_inlined_are_not_missed() -> None:
    for facts, preset in ((V6_12, "v6.12"), (V7_3, "v7.3")):
        static = {"kill_accessing_process", "collect_procs_ksm", "lru_gen_set_refs"}
        left = {name: f for name, f in facts.functions.items() if name not in static}
        enums = {**facts.enums, "mf_flags": {"MF_SW_SIMULATED": 64, "MF_UNPOISON": 16}}
        inlined = dataclasses.replace(facts, functions=left, enums=enums)
        assert semantics.semantics_of(inlined) == PRESETS[preset]


def test_every_step_is_a_known_change_and_sets_known_fields() -> None:
    fields = {field.name for field in dataclasses.fields(Semantics)}
    for step in TIMELINE:
        assert step.change in CHANGES
        assert step.sets
        assert set(step.sets) <= fields


def test_every_field_is_set_by_some_step_and_to_values_of_its_type() -> None:
    for field in dataclasses.fields(Semantics):
        values = [step.sets[field.name] for step in TIMELINE if field.name in step.sets]
        assert values, f"{field.name} never changes: it is no difference between kernels"
        assert all(type(value) is type(field.default) for value in values)


def test_each_step_alters_the_semantics() -> None:
    for step in TIMELINE:
        assert semantics.before(step.change) != semantics.after(step.change), step.change


def test_the_seeds_are_the_ten_commits_up_to_2_6_34() -> None:
    assert {CHANGES[key].commit for key in SEEDS} == {
        "645747462435", "c44b674323f4", "5beb49305251", "e9995ef978a7", "db114b83ab60",
        "5ad6468801d2", "3ca7b3c5b64d", "db16826367fe", "21333b2b66b8", "6a46079cf57a",
    }  # fmt: skip
    assert PRESETS["v2.6.34"] == semantics.after(SEEDS[-1])
    assert [s.change for s in TIMELINE if s.change in SEEDS] == list(SEEDS)
    assert PRESETS["v2.6.31"] == semantics.before("ksm") == Semantics()


def test_a_change_that_is_no_step_has_no_before() -> None:
    with pytest.raises(KeyError):
        semantics.before("folio_referenced")


def test_commits_are_twelve_hex_digits_or_not_confirmed() -> None:
    for step in TIMELINE:
        commit = CHANGES[step.change].commit
        assert not commit or (len(commit) == 12 and int(commit, 16))
