"""
The event table: one record of fixed size per event, in the ring and, decoded, everywhere else.

From it come the C structs, the numpy dtypes and the columns of recordings. The ring's own header is
eight bytes, so that a record with it takes `STRIDE` bytes and the whole ring can be read as one
array; once a record is consumed, its `seq` stands in the header's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .cow import OUTCOMES
from .cow import PAGES as COW_PAGES
from .ksm import WHAT
from .locks import DURING, LOCKS, MODES
from .memory_failure import CODES, HANDLERS
from .reclaim import CALLERS, DECISIONS, RECLAIMERS, STATS
from .rmap import KINDS, OPS

STRIDE = 128
"""Bytes from one record of the ring to the next."""

HEADER = 8
"""Bytes of the ring's header before each record."""

ALL_ONES = 2**64 - 1

NOT_KNOWN = -1
"""What a signed field holds where the kernel does not tell; readers turn it into None."""

NO_COUNT = 2**32 - 1
"""What an unsigned field that counts holds where nobody does; None to readers."""

UNSEEN = 255
"""What a field that stands for a name holds where nothing was seen; None to readers."""

_C_SIZES = {"u64": 8, "s64": 8, "u32": 4, "s32": 4, "u16": 2, "u8": 1, "char": 1}
_NUMPY = {"u64": "<u8", "s64": "<i8", "u32": "<u4", "s32": "<i4", "u16": "<u2", "u8": "u1"}


@dataclass(frozen=True)
class EventField:
    """
    A field of an event. ``pointer``: a kernel address, hashed before it leaves the reader.

    ``count`` is above one for text only. ``unit``: of the value; "" for a plain number.
    ``unknown``: the value that says that the kernel does not tell; None where there is none.
    ``names``: what the numbers from 0 on stand for.
    """

    name: str
    ctype: str
    doc: str
    count: int = 1
    pointer: bool = False
    unit: str = ""
    unknown: int | None = None
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that the field takes."""
        return _C_SIZES[self.ctype] * self.count


SEQ = EventField("seq", "u64", "place among all events of the ring, lost ones left out")
"""Not in the C struct: the consumer counts it."""

COMMON = (
    EventField("time", "u64", "CLOCK_MONOTONIC at the end of what is told", unit="ns"),
    EventField("tid", "u32", "thread that ran it"),
    EventField("tgid", "u32", "its process; 0 unknown", unknown=0),
    EventField("cpu", "u16", "CPU at the end"),
    EventField("type", "u8", "which of the event types this is, from 1"),
    EventField("reserved", "u8", "zero"),
    EventField("batch", "u32", "reclaim batch of that thread, 0 outside one"),
)

EVENTS: dict[str, tuple[EventField, ...]] = {
    "walk": (
        EventField(
            "pfn",
            "u64",
            "frame of the folio's first page; all ones where unknown",
            unknown=ALL_ONES,
        ),
        EventField("index", "u64", "index of that page in its mapping"),
        EventField("map", "u64", "anon_vma, address_space or KSM stable node", pointer=True),
        EventField("root", "u64", "root of the anon_vma tree; otherwise as map", pointer=True),
        EventField(
            "ns", "u64", "wall time from entry to exit, time off the CPU included", unit="ns"
        ),
        EventField(
            "old_pfn",
            "u64",
            "frame that mappings are restored of; all ones without a restore walk",
            unknown=ALL_ONES,
        ),
        EventField(
            "vmas",
            "s32",
            "VMAs entered (callback calls); -1 where steps are not watched",
            unknown=NOT_KNOWN,
        ),
        EventField(
            "looked_at",
            "s32",
            "VMAs looked at (interval-tree steps); -1 where not seen",
            unknown=NOT_KNOWN,
        ),
        EventField(
            "ptes",
            "s32",
            "page-table entries found, changed or restored; -1 unknown",
            unknown=NOT_KNOWN,
        ),
        EventField("mapcount_before", "s32", "mapcount at entry; -1 unknown", unknown=NOT_KNOWN),
        EventField("mapcount_after", "s32", "mapcount at exit; -1 unknown", unknown=NOT_KNOWN),
        EventField("nr_pages", "u32", "base pages of the folio; 0 unknown", unknown=0),
        EventField(
            "mapper",
            "u32",
            "process whose address space was entered first; 0 unknown, or none was",
            unknown=0,
        ),
        EventField("op", "u8", "what the walk was for", names=tuple(op.name for op in OPS)),
        EventField("kind", "u8", "anon, file or ksm", names=KINDS),
        EventField(
            "flags",
            "u16",
            "1 lock bail-out, 2 caller holds the lock, 4 VMAs are filtered, 8 waited for the lock",
        ),
        EventField("comm", "char", "the thread's name", count=16),
    ),
    "reference": (
        EventField(
            "walk",
            "u64",
            "time of its walk's event of the same thread; 0 without a walk",
            unit="ns",
            unknown=0,
        ),
        EventField(
            "pfn",
            "u64",
            "frame of the folio's first page; all ones where unknown",
            unknown=ALL_ONES,
        ),
        EventField("index", "u64", "index of that page in its mapping"),
        EventField(
            "vm_flags",
            "u64",
            "flags that the check reports of the VMAs; all ones not seen",
            unknown=ALL_ONES,
        ),
        EventField(
            "page_flags",
            "u64",
            "the folio's flags word at the check's return; all ones not seen",
            unknown=ALL_ONES,
        ),
        EventField("result", "s32", "VMAs that referenced it; -1 given up"),
        EventField("nr_pages", "u32", "base pages of the folio; 0 unknown", unknown=0),
        EventField("is_locked", "u8", "1 shrink list, 0 shrink_active_list"),
        EventField(
            "decision",
            "u8",
            "what was decided, as seen by its effect in a batch that was followed; 255 not seen",
            unknown=UNSEEN,
            names=DECISIONS,
        ),
    ),
    "batch": (
        EventField("memcg", "u64", "inode of the cgroup it is for; 0 for the whole machine"),
        EventField("ns", "u64", "wall time, time off the CPU included", unit="ns"),
        EventField(
            "isolated",
            "s32",
            "pages that the thread isolated for it, as the kernel reports; -1 unknown",
            unknown=NOT_KNOWN,
        ),
        EventField("reclaimed", "u32", "pages freed"),
        *(EventField(name, "u32", f"{name} of its struct reclaim_stat") for name in STATS),
        EventField("nr_activate_anon", "u32", "nr_activate[0] of its struct reclaim_stat"),
        EventField("nr_activate_file", "u32", "nr_activate[1] of its struct reclaim_stat"),
        *(EventField(f"decided_{d}", "u32", f"pages seen to be decided: {d}") for d in DECISIONS),
        EventField("caller", "u8", "who asked for it", names=CALLERS),
        EventField("reclaimer", "u8", "on whose behalf", names=RECLAIMERS),
        EventField("ignores_references", "u8", "1 where it makes no reference check"),
    ),
    "ksm": (
        EventField("pfn", "u64", "frame of the KSM page; all ones where unknown", unknown=ALL_ONES),
        EventField("ns", "u64", "wall time of a pass of ksmd, 0 for a page", unit="ns"),
        EventField("what", "u8", "what happened to a page, or a pass of ksmd", names=WHAT),
    ),
    "memory_failure": (
        EventField("pfn", "u64", "frame that failed"),
        EventField("ns", "u64", "wall time of its handling", unit="ns"),
        EventField("collect_ns", "u64", "of that, to find who maps it", unit="ns"),
        EventField("mf_flags", "u32", "flags of the call (enum mf_flags)"),
        EventField(
            "page_type",
            "s32",
            "what it was (enum mf_action_page_type of that kernel); -1 not seen",
            unknown=NOT_KNOWN,
        ),
        EventField(
            "result", "s32", "what came of it (enum mf_result); -1 not seen", unknown=NOT_KNOWN
        ),
        EventField("returned", "s32", "what the handler returned: 0 or a negative errno"),
        EventField(
            "victims",
            "u32",
            "processes found that map it and may be told; all ones not seen",
            unknown=NO_COUNT,
        ),
        EventField("handler", "u8", "what was asked for", names=HANDLERS),
    ),
    "signal": (
        EventField(
            "pfn",
            "u64",
            "frame that is being handled; all ones without a handler",
            unknown=ALL_ONES,
        ),
        EventField("address", "u64", "si_addr: where that process maps it"),
        EventField("target", "u32", "process that is told; 0 unknown", unknown=0),
        EventField("lsb", "u16", "si_addr_lsb: log2 of the extent that is lost"),
        EventField("code", "u8", "si_code of its SIGBUS", names=CODES),
    ),
    "migration": (
        EventField("ns", "u64", "wall time of the call, time off the CPU included", unit="ns"),
        EventField(
            "succeeded",
            "s32",
            "base pages moved, as the kernel reports; -1 unknown",
            unknown=NOT_KNOWN,
        ),
        EventField(
            "failed",
            "s32",
            "base pages that stay, as the kernel reports; -1 unknown",
            unknown=NOT_KNOWN,
        ),
        EventField(
            "split",
            "s32",
            "huge pages split for it, as the kernel reports; -1 unknown",
            unknown=NOT_KNOWN,
        ),
        EventField("returned", "s32", "what the call returned: folios left, or a negative errno"),
        EventField("reason", "u32", "why (enum migrate_reason of that kernel)"),
        EventField("mode", "u32", "how hard it tries (enum migrate_mode of that kernel)"),
    ),
    "lock_wait": (
        EventField(
            "root",
            "u64",
            "whose lock: the root of an anon_vma tree, or a mapping",
            pointer=True,
        ),
        EventField(
            "walk",
            "u64",
            "beginning of the walk that the thread was inside of; 0 without a walk",
            unit="ns",
            unknown=0,
        ),
        EventField("ns", "u64", "wall time until it was had", unit="ns"),
        EventField("lock", "u8", "which lock", names=LOCKS),
        EventField("mode", "u8", "what for", names=MODES),
        EventField("during", "u8", "inside of what", names=DURING),
        EventField("comm", "char", "the thread's name", count=16),
    ),
    "fork": (
        EventField(
            "pages",
            "s64",
            "pages and swap entries that the child is born with; -1 unknown",
            unknown=NOT_KNOWN,
        ),
        EventField("ns", "u64", "wall time, time off the CPU included", unit="ns"),
        EventField("anon_vma_ns", "u64", "of that, to link VMAs to anon_vmas", unit="ns"),
        EventField("copy_ns", "u64", "of that, to copy page tables", unit="ns"),
        EventField("child", "u32", "process that is born, if one is; 0 unknown", unknown=0),
        EventField("returned", "s32", "0 or a negative errno"),
        EventField(
            "vmas", "s32", "VMAs that the child is born with; -1 unknown", unknown=NOT_KNOWN
        ),
        EventField("linked", "u32", "of those, linked to anon_vmas of the parent"),
        EventField(
            "links",
            "s32",
            "links to anon_vmas that were copied; -1 where the end of a chain was not seen",
            unknown=NOT_KNOWN,
        ),
        EventField(
            "longest",
            "s32",
            "of those, of one VMA at most; -1 where the end of a chain was not seen",
            unknown=NOT_KNOWN,
        ),
    ),
    "cow": (
        EventField("pfn", "u64", "frame that was mapped and write-protected"),
        EventField(
            "pfn_after", "u64", "frame mapped in the end; all ones where not seen", unknown=ALL_ONES
        ),
        EventField("address", "u64", "the page's address in that process"),
        EventField("ns", "u64", "wall time, time off the CPU included", unit="ns"),
        EventField("page", "u8", "what was mapped", names=COW_PAGES),
        EventField("outcome", "u8", "what became of it", names=OUTCOMES),
    ),
}

WALK_BAILED, WALK_LOCKED, WALK_FILTERED, WALK_WAITED = 1, 2, 4, 8


def type_number(event: str) -> int:
    """Return the number that stands in a record's `type`."""
    return list(EVENTS).index(event) + 1


def mask(names: Iterable[str]) -> int:
    """Return the word that asks the probes for these types of event."""
    return sum(1 << type_number(name) for name in names)


def fields(event: str) -> tuple[EventField, ...]:
    """Return all fields of an event, the common ones first."""
    return COMMON + EVENTS[event]


def offsets(event: str) -> dict[str, int]:
    """Return the byte offset of each field in its record."""
    found, at = {}, 0
    for member in fields(event):
        if at % _C_SIZES[member.ctype]:
            raise ValueError(f"{event}.{member.name} is not aligned")
        found[member.name] = at
        at += member.size
    if at > STRIDE - HEADER:
        raise ValueError(f"{event} takes {at} bytes of {STRIDE - HEADER}")
    return found


def numpy_fields(event: str) -> dict[str, list[str] | list[int] | int]:
    """Return numpy's dtype specification of one slot of the ring holding such an event."""
    members = (SEQ, *fields(event))
    at = offsets(event)
    return {
        "names": [m.name for m in members],
        "formats": [f"S{m.count}" if m.ctype == "char" else _NUMPY[m.ctype] for m in members],
        "offsets": [0, *(HEADER + at[m.name] for m in fields(event))],
        "itemsize": STRIDE,
    }


def c_text() -> Iterator[str]:
    """Yield the C definitions."""
    for number, event in enumerate(EVENTS, 1):
        size = sum(member.size for member in fields(event))
        yield f"#define EVENT_{event.upper()} {number}"
        yield f"struct {event}_event {{"
        for member in fields(event):
            array = f"[{member.count}]" if member.count > 1 else ""
            yield f"\t{member.ctype} {member.name}{array};"
        yield f"\tchar unused[{STRIDE - HEADER - size}];"
        yield "};"
