"""What would be written to tracefs, and what would not and why: a function of the facts."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import catalogue
from rmapwatch.probes.ftrace import clean, follow, plan
from rmapwatch.probes.ftrace.counting import Kernel
from rmapwatch.probes.ftrace.follow import Follower
from rmapwatch.probes.resolve import Candidate, Unavailable

ALL = catalogue.names(steps=True)


def choice(name: str, facts: KernelFacts, steps: bool = False) -> Candidate | Unavailable:
    point = next(point for point in catalogue.POINTS if point.name == name)
    return plan.choose(point, facts, steps)


def test_walks_checks_and_reclaim_are_there_on_every_kernel(kernel_facts: KernelFacts) -> None:
    for name in (
        "rmap_walk_anon",
        "rmap_walk_file",
        "rmap_walk_ksm",
        "reference_check",
        "reclaim_batch",
        "reclaim_kswapd",
        "reclaim_direct",
        "reclaim_memcg",
        "reclaim_isolate",
    ):
        assert isinstance(choice(name, kernel_facts), Candidate), name


def test_every_other_path_is_there_on_every_kernel(kernel_facts: KernelFacts) -> None:
    for name in (
        "ksm_scan",
        "ksm_append",
        "ksm_remove",
        "ksm_swapin",
        "memory_failure",
        "memory_failure_action",
        "signal_sent",
        "migrate_pages",
        "migrate_report",
        "lock_read",
        "lock_write",
        "copy_process",
        "anon_vma_clone",
        "cow",
    ):
        assert isinstance(choice(name, kernel_facts), Candidate), name


def test_there_is_a_handler_for_each_event_and_it_finds_what_it_needs() -> None:
    """By name, as in bpf/, and every point has what its handlers need, or a reason why not."""
    for point in catalogue.POINTS:
        for call, _ in plan._calls(point).values():
            assert point.name in plan.NOT_SEEN or call in plan.CARRIED, point.name
    for call in plan.CARRIED:
        assert callable(getattr(Follower, f"_{call}")), call


def test_what_is_lost_is_said(kernel_facts: KernelFacts) -> None:
    summed = "rss0=" in written(("copy_process",), kernel_facts)
    fork = choice("copy_process", kernel_facts)
    assert ("each CPU has a part" in fork.reason) == (not summed)
    assert summed == ("mm_rss_stat" in kernel_facts.structs)
    assert "the page table is not seen" in choice("cow", kernel_facts).reason
    assert "the length of chains is not seen" in choice("anon_vma_clone", kernel_facts).reason
    refused = choice("cow_move", kernel_facts)
    assert isinstance(refused, Unavailable)
    assert "what becomes of a write is not seen" in refused.reason


@pytest.mark.parametrize(
    ("probe", "carried"),
    [
        ("reference_check", "folio index large_pages pages_at"),
        ("ksm_append", "pfn"),
        ("ksm_swapin", "pages_at"),
        ("memory_failure", "pfn flags"),
        ("soft_offline", "pfn flags"),
        ("signal_forced", "address lsb"),
        ("signal_sent", "address lsb task target"),
        ("migrate_pages", "mode ret"),
        ("lock_read", "comm"),
        ("lock_write", "comm"),
        ("copy_process", "process"),
    ],
)
def test_what_recordings_tell_is_carried_on_every_kernel(
    probe: str, carried: str, kernel_facts: KernelFacts
) -> None:
    found = choice(probe, kernel_facts)
    assert isinstance(found, Candidate)
    there = {name for side in plan.sides(found, kernel_facts, "PID") for name in side.carried}
    assert set(carried.split()) <= there


def test_who_may_be_told_of_a_failure_is_seen_where_that_is_a_function(
    kernel_facts: KernelFacts,
) -> None:
    found = choice("memory_failure_victim", kernel_facts)
    assert isinstance(found, Candidate)
    assert kernel([found.source.symbol], kernel_facts).victims
    gone = {n: f for n, f in kernel_facts.functions.items() if "add_to_kill" not in n}
    inlined = replace(kernel_facts, functions=gone)
    assert isinstance(choice("memory_failure_victim", inlined), Unavailable)
    assert not kernel(gone, kernel_facts).victims


def kernel(attached: Iterable[str], facts: KernelFacts) -> Kernel:
    return follow.kernel(facts, {}, attached)


def test_what_is_not_told_is_said(kernel_facts: KernelFacts) -> None:
    for probe in ("reclaim_batch", "cow"):
        assert "recordings tell of none" in choice(probe, kernel_facts).reason


def test_what_lies_around_a_lock_is_where_the_kernel_has_it(kernel_facts: KernelFacts) -> None:
    offsets = kernel_facts.structs
    lock, root = (offsets["anon_vma"].offsets[name] for name in ("rwsem", "root"))
    assert f"root={root - lock:+d}($arg1)" in written(("lock_read",), kernel_facts)


def test_steps_only_where_every_vma_is_asked_for(kernel_facts: KernelFacts) -> None:
    refused = choice("step_unmap", kernel_facts)
    assert isinstance(refused, Unavailable)
    assert "--steps" in refused.reason
    assert isinstance(choice("step_unmap", kernel_facts, steps=True), Candidate)
    assert "step_unmap" not in written(catalogue.names(), kernel_facts)
    assert "step_unmap" in written(ALL, kernel_facts)


def written(asked: tuple[str, ...], facts: KernelFacts) -> str:
    writes = plan.writes(asked, facts, plan.USUAL_KB)
    return "\n".join(write.shell() for write in writes)


def test_everything_bears_the_owners_name(kernel_facts: KernelFacts) -> None:
    """So that two sessions, and whatever else is in tracefs, cannot meet."""
    for write in plan.writes(ALL, kernel_facts, plan.USUAL_KB):
        assert write.path == "kprobe_events" or write.path.startswith(f"{clean.INSTANCE}PID")
        if write.path == "kprobe_events":
            assert write.line is not None
            group, _, name = write.line.split()[0].partition(":")[2].partition("/")
            assert group == f"{clean.GROUP}PID"
            assert name.endswith("_PID")
            assert len(name.replace("PID", "4194304")) < 64, "MAX_EVENT_NAME_LEN"


def test_the_exit_is_switched_on_before_the_entry(kernel_facts: KernelFacts) -> None:
    text = written(ALL, kernel_facts)
    for probe in ("rmap_walk_anon", "reference_check", "reclaim_batch"):
        assert text.index(f"{probe}_out_PID/enable") < text.index(f"{probe}_in_PID/enable")


def test_a_kernel_without_btf_shows_what_needs_no_memory(kernel_facts: KernelFacts) -> None:
    blind = replace(kernel_facts, structs={}, enums={})
    refused = choice("rmap_walk_anon", blind)
    assert isinstance(refused, Unavailable)
    assert "RWC_ONE lies" in refused.reason
    assert isinstance(choice("reclaim_batch", blind), Candidate)


def test_a_kprobe_that_was_refused_is_not_tried(kernel_facts: KernelFacts) -> None:
    function = kernel_facts.functions["rmap_walk_anon"]
    functions = {
        **kernel_facts.functions,
        "rmap_walk_anon": replace(function, attach={"kprobe": "EINVAL"}),
    }
    refused = choice("rmap_walk_anon", replace(kernel_facts, functions=functions))
    assert isinstance(refused, Unavailable)
    assert "kprobe answered EINVAL" in refused.reason


@pytest.mark.parametrize(
    ("ring_pages", "cpus", "expected"),
    [(256, 2, 4096), (4096, 2, 16384), (4096, 128, 2048), (256, 1024, 256), (256, 4096, 256)],
)
def test_buffers_have_bounds(ring_pages: int, cpus: int, expected: int) -> None:
    assert plan.buffer_kb(ring_pages, cpus) == expected
