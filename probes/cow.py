"""
Copy on write (mm/memory.c): what became of a write to a page that was write-protected.

`do_wp_page` decides. What it calls to copy or to reuse a page is inlined on one kernel or another,
so the outcome is told by its effect: another page in the page table is a copy, the same one made
writable is reused. The function of mm/rmap.c that moves a page to the anon_vma of its last owner is
watched inside of it.
"""

from __future__ import annotations

from .spec import Bit, Member, ProbePoint, Source

PAGES = ("anon", "ksm", "file", "special")
"""
What was mapped: a page of a process, of KSM, of a file, or none that has a reverse map, such as the
zero page.
"""

OUTCOMES = ("copied", "reused", "moved", "shared", "other")
"""
A copy is mapped in its place; it is written in place by its only owner; the same, and it moved to
that owner's anon_vma; it is written in place by all who share it; none of these, as where the fault
is to be tried again.
"""

UNSEEN = "unseen"
"""What stands for both where a backend cannot look at the page table."""

_METRICS = ("rmapwatch_cow_faults_total", "rmapwatch_cow_fault_duration_seconds")

POINTS = (
    ProbePoint(
        name="cow",
        summary="A write to a write-protected page: was it copied, or written in place?",
        kernel_source="mm/memory.c",
        sources=(Source("do_wp_page", {"vmf": 0}),),
        section="cow",
        entry="cow_enter(&a)",
        exit="cow_exit(&a)",
        metrics=(*_METRICS, "rmapwatch_ksm_pages_total"),
        overhead="One pair of programs per write to a page that is write-protected.",
    ),
    ProbePoint(
        name="cow_move",
        summary="A page that is written in place moves to the anon_vma of its last owner.",
        kernel_source="mm/rmap.c",
        sources=(
            Source("folio_move_anon_rmap", change="folio_move_anon_rmap"),
            Source("page_move_anon_rmap"),
        ),
        entry="cow_move(&a)",
        metrics=_METRICS,
        overhead="One program per page that moves.",
    ),
)

MEMBERS = (
    Member("VMF_VMA", (("vm_fault", "vma"),)),
    Member("VMF_ADDRESS", (("vm_fault", "address"),)),
    Member("VMF_PTE", (("vm_fault", "pte"),)),
    Member("VMF_ORIG_PTE", (("vm_fault", "orig_pte"),)),
    Member("VMA_FLAGS", (("vm_area_struct", "vm_flags"),)),
    Member("PAGE_HEAD", (("page", "compound_head"), ("page", "compound_info"))),
)

BITS = (Bit("VM_FAULT_RETRY", "vm_fault_reason", "VM_FAULT_RETRY"),)

DEFINES = ("PTE_PFN_MASK", "PAGE_PRESENT", "PAGE_RW", "VM_SHARED", "PAGE_MAPPING_KSM")
