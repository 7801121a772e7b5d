"""The metrics of forks and of copy on write: a part of the catalogue in `metrics`."""

from __future__ import annotations

from .figures import COUNTS, DURATIONS, Each, Slots
from .metric import COUNTER, HISTOGRAM, Metric

FORKS = (
    Metric(
        "rmapwatch_fork_duration_seconds",
        HISTOGRAM,
        ("step",),
        "Wall time of a fork that copies memory (copy_process), or of one of its steps.",
        "copy_process, dup_mmap, anon_vma_fork, copy_page_range",
        Slots("forks.steps", "ns_slots", "ns", DURATIONS),
        "Forks",
        "Duration of a fork and its steps",
    ),
    Metric(
        "rmapwatch_fork_errors_total",
        COUNTER,
        ("step", "error"),
        "Forks, and steps of them, that failed.",
        "what these functions and anon_vma_clone returned",
        Each("forks.errors"),
        "Forks",
        "Forks that failed",
    ),
    Metric(
        "rmapwatch_fork_vmas_total",
        COUNTER,
        (),
        "VMAs that children were born with.",
        "mm->map_count of the child",
        Each("forks", "vmas"),
        "Forks",
        "VMAs copied",
    ),
    Metric(
        "rmapwatch_fork_pages_total",
        COUNTER,
        (),
        "Pages and swap entries that children were born with: what forks copied of page tables.",
        "mm->rss_stat of the child",
        Each("forks", "pages"),
        "Forks",
        "Pages mapped in children",
    ),
    Metric(
        "rmapwatch_anon_vma_clone_duration_seconds",
        HISTOGRAM,
        ("cloner",),
        "Wall time in which a VMA gets the chain of anon_vmas of another, "
        "at a fork or where a VMA is split, merged or moved.",
        "anon_vma_clone",
        Slots("forks.clones", "ns_slots", "ns", DURATIONS),
        "Forks",
        "Duration of a chain's copy",
    ),
    Metric(
        "rmapwatch_anon_vma_chain_length",
        HISTOGRAM,
        ("cloner",),
        "Links of a chain of anon_vmas that was copied, up to 128; longer ones are left out.",
        "vma->anon_vma_chain as anon_vma_clone leaves it",
        Slots("forks.clones", "links_slots", "links", COUNTS),
        "Forks",
        "Length of chains copied",
    ),
)

COW = (
    Metric(
        "rmapwatch_cow_faults_total",
        COUNTER,
        ("page", "outcome"),
        "Writes to write-protected pages, by what was mapped and what became of it.",
        "do_wp_page, and the page table after it",
        Each("cow.faults"),
        "Copy on write",
        "Writes to write-protected pages",
    ),
    Metric(
        "rmapwatch_cow_fault_duration_seconds",
        HISTOGRAM,
        ("outcome",),
        "Wall time of a write to a write-protected page, time off the CPU included.",
        "do_wp_page",
        Slots("cow.calls", "ns_slots", "ns", DURATIONS),
        "Copy on write",
        "Duration of a write",
    ),
)
