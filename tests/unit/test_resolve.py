"""Which symbol and which way: pure functions of a kernel's facts."""

from dataclasses import replace

from rmapwatch.kernels.changes import CHANGES
from rmapwatch.kernels.facts import Function, KernelFacts
from rmapwatch.probes import catalogue, rmap, source
from rmapwatch.probes.resolve import Candidate, Unavailable, in_doubt, resolve, resolve_all

FOLIO = (("folio", "struct folio *"), ("rwc", "struct rmap_walk_control *"), ("locked", "bool"))


def kernel(**functions: Function) -> KernelFacts:
    return KernelFacts("1", "", "x86_64", functions=functions)


def point(name: str):
    return next(p for p in catalogue.POINTS if p.name == name)


def test_the_preferred_symbol_wins() -> None:
    new = Function(True, (("folio", "struct folio *"),), "int")
    facts = kernel(folio_referenced_one=new, page_referenced_one=new)
    answer = resolve(point("step_reference"), facts)
    assert isinstance(answer, Candidate)
    assert answer.source.symbol == "folio_referenced_one"
    assert answer.mechanisms == ("fentry",)


def test_a_refused_rung_falls_to_the_next_and_says_so() -> None:
    refused = Function(True, FOLIO, "void", {"fentry": "ok", "fexit": "EINVAL"})
    answer = resolve(point("rmap_walk_anon"), kernel(rmap_walk_anon=refused))
    assert isinstance(answer, Candidate)
    assert answer.mechanisms == ("kprobe", "kretprobe")
    assert answer.reason == "rmap_walk_anon is traceable; not fentry/fexit: fexit answered EINVAL"


def test_who_is_tried_before_all_is_attached(kernel_facts: KernelFacts) -> None:
    """More arguments than registers: 6.1 refuses a trampoline to migrate_pages()."""
    doubtful = [p.name for p in catalogue.POINTS if in_doubt(p, kernel_facts)]
    many = len(kernel_facts.functions["migrate_pages"].params or ()) > 6
    assert doubtful == ["migrate_pages"] * many
    answered = kernel_facts.functions["migrate_pages"].attach
    assert {answered["fentry"], answered["fexit"]} == {"ok"} or many


def test_without_btf_there_is_no_fentry() -> None:
    answer = resolve(point("rmap_walk_anon"), kernel(rmap_walk_anon=Function(True)))
    assert isinstance(answer, Candidate)
    assert answer.mechanisms == ("kprobe", "kretprobe")
    assert "no BTF prototype" in answer.reason


def test_a_symbol_that_cannot_be_traced_is_not_taken() -> None:
    inlined = Function(False, FOLIO, "void")
    answer = resolve(point("rmap_walk_file"), kernel(rmap_walk_file=inlined))
    assert isinstance(answer, Unavailable)
    assert answer.reason == "this kernel has no traceable rmap_walk_file or __rmap_walk_file"


def test_a_return_probe_alone_sees_no_arguments() -> None:
    answer = resolve(point("reference_check"), kernel(folio_referenced=Function(True)))
    assert isinstance(answer, Unavailable)
    assert "a kretprobe cannot see arguments" in answer.reason


def test_every_point_resolves_or_is_known_to_be_missing(kernel_facts: KernelFacts) -> None:
    _, missing = resolve_all(catalogue.POINTS, kernel_facts)
    # What a kernel of the lab does not have, because there it is part of something else.
    later = {"step_unmap_poisoned_hugetlb", "step_migrate", "reclaim_evict", "reclaim_inactive"}
    later |= {"reclaim_age_generation", "ksm_scan_end"}
    # The walk that finds who maps a page is one function, or one for each kind of page.
    later |= {"collect_procs", "collect_procs_anon", "collect_procs_file"}
    later |= {"dup_mmap"}
    assert {unavailable.point.name for unavailable in missing} <= later


def test_vmas_are_told_only_for_ops_whose_callbacks_are_all_watched(
    kernel_facts: KernelFacts,
) -> None:
    candidates, _ = resolve_all(catalogue.POINTS, kernel_facts)
    bits = rmap.steps_watched([c.source.symbol for c in candidates], kernel_facts)
    watched = {op.name for n, op in enumerate(rmap.OPS) if bits >> n & 1}
    assert {"reference", "unmap", "migrate", "restore", "mkclean"} <= watched
    assert not watched & {"damon", "idle", "other"}
    without = [c.source.symbol for c in candidates if c.point.name != "step_unmap"]
    bits = rmap.steps_watched(without, kernel_facts)
    assert not bits >> [op.name for op in rmap.OPS].index("unmap") & 1


def test_looks_are_told_only_where_both_their_probes_are_attached() -> None:
    kinds = {kind: 1 << number for number, kind in enumerate(rmap.KINDS)}
    assert rmap.looks_watched(catalogue.names(steps=True)) == kinds["anon"] | kinds["ksm"]
    assert rmap.looks_watched(catalogue.names()) == 0
    assert rmap.looks_watched(["look_first"]) == 0


def test_what_costs_a_program_a_step_is_asked_for() -> None:
    assert set(catalogue.names(steps=True)) - set(catalogue.names()) == {"look_first", "look_next"}


def test_the_c_text_holds_this_kernels_offsets(kernel_facts: KernelFacts) -> None:
    candidates, _ = resolve_all(catalogue.POINTS, kernel_facts)
    text = source.c_source(candidates, kernel_facts, source.Build(2, {}))
    offset = kernel_facts.offset("rmap_walk_control", "rmap_one")
    assert f"#define RWC_ONE ({offset}LL)" in text
    contended = kernel_facts.offset("rmap_walk_control", "contended")
    assert f"#define RWC_CONTENDED ({-1 if contended is None else contended}LL)" in text


def test_a_member_that_is_needed_and_not_described_is_said(kernel_facts: KernelFacts) -> None:
    import pytest
    from rmapwatch.errors import NothingAttachedError

    structs = {k: v for k, v in kernel_facts.structs.items() if k != "vm_fault"}
    candidates, _ = resolve_all(catalogue.POINTS, kernel_facts)
    with pytest.raises(NothingAttachedError, match=r"does not describe vm_fault"):
        source.c_source(candidates, replace(kernel_facts, structs=structs), source.Build(2, {}))


def test_a_source_is_there_where_its_change_is_seen(kernel_facts: KernelFacts) -> None:
    """What brought a symbol, by its row in the table of changes, and the symbol go together."""
    for source_ in (s for p in catalogue.POINTS for s in p.sources if s.change):
        seen = CHANGES[source_.change].seen_by(kernel_facts)
        assert seen == kernel_facts.traceable(source_.symbol), source_.symbol
