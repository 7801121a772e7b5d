"""
Fork (kernel/fork.c, mm/rmap.c, mm/memory.c): what it takes to copy a process's memory.

`copy_process` is the frame: it is a function of its own on every kernel, and what it returns is
the child, whose mm tells how many VMAs and pages it was born with. `dup_mmap`, which copies the
VMAs, is inlined into it on some. For each VMA `anon_vma_fork` links the child's to all that its
parent's is linked to, by `anon_vma_clone`, and `copy_page_range` copies the page tables, but for
VMAs that a fault can fill again. How long a chain was copied is read off the VMA that got it.
"""

from __future__ import annotations

from .spec import Member, ProbePoint, Source

STEPS = ("copy_process", "dup_mmap", "anon_vma_fork", "copy_page_range")
"""The functions whose calls are timed, outermost first."""

CLONERS = ("fork", "other")
"""Who copies a chain of anon_vmas: a fork; or a VMA that is split, merged or moved."""

FAILING = (*STEPS, "anon_vma_clone")
"""The functions whose failures are counted."""

ERRORS = ("ENOMEM", "EAGAIN", "other")
"""What they return when they fail."""

CHAIN_LIMIT = 128
"""Links of a chain that are followed; how long a longer one is, is not known."""

CPU_LIMIT = 64
"""Possible CPUs up to which a counter that each has a part of is summed at a fork."""

_DURATION = ("rmapwatch_fork_duration_seconds", "rmapwatch_fork_errors_total")
_A_VMA = "One pair of programs per VMA that is copied at a fork."


def _of_vma(name: str, summary: str, source_file: str) -> ProbePoint:
    return ProbePoint(
        name=name,
        summary=summary,
        kernel_source=source_file,
        sources=(Source(name),),
        section="vma",
        entry="vma_enter(&a)",
        exit=f"vma_exit(&a, STEP_{name.upper()})",
        metrics=_DURATION,
        overhead=_A_VMA,
    )


POINTS = (
    ProbePoint(
        name="copy_process",
        summary="A fork: how long it takes, and how many VMAs and pages the child is born with.",
        kernel_source="kernel/fork.c",
        sources=(Source("copy_process", {"clone_args": 3}),),
        section="fork",
        entry="fork_enter(&a)",
        exit="fork_exit(&a)",
        metrics=(*_DURATION, "rmapwatch_fork_vmas_total", "rmapwatch_fork_pages_total"),
        overhead="One pair of programs per fork or new thread.",
    ),
    ProbePoint(
        name="dup_mmap",
        summary="The part of a fork in which the memory is copied.",
        kernel_source="kernel/fork.c",
        sources=(Source("dup_mmap"),),
        section="mmap",
        entry="mmap_enter(&a)",
        exit="mmap_exit(&a)",
        metrics=_DURATION,
        overhead="One pair of programs per fork.",
    ),
    _of_vma(
        "anon_vma_fork", "A child's VMA is linked to what its parent's pages need.", "mm/rmap.c"
    ),
    ProbePoint(
        name="anon_vma_clone",
        summary="A VMA gets the chain of anon_vmas of another: its length, and the time.",
        kernel_source="mm/rmap.c",
        sources=(Source("anon_vma_clone", {"dst": 0, "src": 1}),),
        section="clone",
        entry="clone_enter(&a)",
        exit="clone_exit(&a)",
        metrics=(
            "rmapwatch_anon_vma_clone_duration_seconds",
            "rmapwatch_anon_vma_chain_length",
            "rmapwatch_fork_errors_total",
        ),
        overhead="One pair of programs per VMA with anonymous pages that is copied or split.",
    ),
    _of_vma("copy_page_range", "The page tables of a VMA are copied, or left out.", "mm/memory.c"),
)

MEMBERS = (
    Member("TASK_PID", (("task_struct", "pid"),)),
    Member("CLONE_ARGS_FLAGS", (("kernel_clone_args", "flags"),)),
    Member("MM_MAP_COUNT", (("mm_struct", "map_count"),)),
    Member("MM_RSS", (("mm_struct", "rss_stat"),)),
    Member("RSS_COUNT", (("mm_rss_stat", "count"),), optional=True),
    Member("PERCPU_COUNT", (("percpu_counter", "count"),)),
    Member("PERCPU_COUNTERS", (("percpu_counter", "counters"),)),
    Member("VMA_CHAIN", (("vm_area_struct", "anon_vma_chain"),)),
)

DEFINES = ("CLONE_VM", "NR_MM_COUNTERS", "ENOMEM", "EAGAIN")

DATA_SYMBOLS = ("__per_cpu_offset",)
