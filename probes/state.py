"""
The state in the kernel, written by the probes and read through mmap.

`cpu_state` stands once per possible CPU and only ever grows; `work` is the slot of a thread that
is inside a walk or reclaims; `control` is written by the reader: a bit per event type that it
wants in the ring, a bit per op whose VMAs are all counted, one per kind of walk whose looks are,
and `gate`, the walks of which one is counted less one, a power of two less one. One table gives
both the C structs and the places from which Python reads, so the two cannot disagree. Every field
is a 64-bit word, or an array of such words or of other structs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .cow import OUTCOMES
from .cow import PAGES as COW_PAGES
from .events import EVENTS
from .fork import CLONERS, ERRORS, FAILING, STEPS
from .ksm import PAGES, SWAPINS
from .locks import DURING, LOCKS, MODES
from .memory_failure import CODES, HANDLERS, TYPES
from .memory_failure import RESULTS as ACTION_RESULTS
from .migrate import REASONS
from .reclaim import AGERS, ALGORITHMS, CALLERS, DECISIONS, LISTS, RECLAIMERS, STATS
from .rmap import KINDS, OPS

SLOTS = 36
"""Buckets of every histogram in the kernel."""

EXACT_COUNTS = 16
"""Counts up to this have a bucket each; from there on the bounds are powers of two."""

BITS_WORDS = 256 // 8
"""A byte for each value of a byte: the bits that it needs. No instruction of BPF counts them."""

WORK_SLOTS = 4096
"""Walks in progress at once; a task takes the slot of its tid modulo this."""

RESULTS = ("bailed", "none", "one", "many")
LRUS = ("anon", "file")
ASKED_BY = ("shrink_active_list", "shrink_list")
"""The two callers of the reference check, told apart by its argument `is_locked`."""

SECTIONS = (
    "walk",
    "batch",
    "shrink",
    "age",
    "reclaim",
    "remove",
    "failure",
    "collect",
    "migration",
    "wait",
    "fork",
    "mmap",
    "vma",
    "clone",
    "cow",
)
"""What a thread can be inside of at once, one of each."""


CHECK = ("told", "time", "walk", "pfn", "index", "vm_flags", "page_flags", "result", "pages")
"""What is kept of a reference check until its decision can be seen; `told`: an event is due."""


def duration_bound_ns(slot: int) -> int | None:
    """Return the inclusive upper bound of a slot of a duration histogram; None for the last."""
    return None if slot == SLOTS - 1 else 1 << slot


def count_bound(slot: int) -> int | None:
    """Return the inclusive upper bound of a slot of a count histogram; None for the last."""
    if slot == SLOTS - 1:
        return None
    return slot if slot <= EXACT_COUNTS else EXACT_COUNTS << (slot - EXACT_COUNTS)


@dataclass(frozen=True)
class Field:
    """A member of a state struct: ``count`` words, or ``count`` structs called ``struct``."""

    name: str
    count: int = 1
    struct: str = ""


def structs(probes: Sequence[str]) -> dict[str, tuple[Field, ...]]:
    """Return the structs of the state for these probes (their order is their number)."""
    return {
        "account": (
            Field("entries"),
            Field("exits"),
            Field("collided"),
            Field("stale"),
            Field("unmatched"),
        ),
        "walk_cell": (
            Field("walks"),
            Field("bailouts"),
            Field("ns"),
            Field("vmas"),
            Field("ptes"),
            Field("looked_at"),
            Field("ns_slots", SLOTS),
            Field("vmas_slots", SLOTS),
            Field("ptes_slots", SLOTS),
        ),
        "batch_cell": (
            Field("batches"),
            Field("ns"),
            Field("ns_slots", SLOTS),
            Field("reclaimed"),
            Field("stats", len(STATS)),
            Field("activated", 2),
            Field("decided", len(DECISIONS)),
            Field("keep_differs"),
            Field("activate_exceeds"),
            Field("reclaimed_exceeds"),
        ),
        "call_cell": (Field("calls"), Field("ns"), Field("ns_slots", SLOTS)),
        "migration_cell": (
            Field("call", 1, "call_cell"),
            Field("succeeded"),
            Field("failed"),
            Field("split"),
        ),
        "clone_cell": (
            Field("calls"),
            Field("ns"),
            Field("ns_slots", SLOTS),
            Field("links"),
            Field("links_slots", SLOTS),
        ),
        "isolation_cell": (Field("isolations"), Field("scanned"), Field("taken")),
        "shrunk_cell": (Field("lists"), Field("scanned"), Field("reclaimed")),
        "deactivation_cell": (
            Field("lists"),
            Field("taken"),
            Field("activated"),
            Field("deactivated"),
        ),
        "cpu_state": (
            Field("accounts", len(probes), "account"),
            Field("walks", len(KINDS) * len(OPS), "walk_cell"),
            Field("references", len(ASKED_BY) * len(LRUS) * len(RESULTS)),
            Field("decisions", len(LRUS) * len(DECISIONS)),
            Field("batches", len(CALLERS) * len(RECLAIMERS), "batch_cell"),
            Field("stalls", len(RECLAIMERS), "call_cell"),
            Field("ages", len(AGERS), "call_cell"),
            Field("isolations", len(ALGORITHMS) * len(LISTS), "isolation_cell"),
            Field("shrunk", len(ALGORITHMS), "shrunk_cell"),
            Field("deactivation", 1, "deactivation_cell"),
            Field("ksm_begun"),
            Field("ksm_scan", 1, "call_cell"),
            Field("ksm_pages", len(PAGES)),
            Field("ksm_swapins", len(SWAPINS)),
            Field("failures", len(HANDLERS), "call_cell"),
            Field("failure_errors", len(HANDLERS)),
            Field("collects", 1, "call_cell"),
            Field("actions", TYPES * len(ACTION_RESULTS)),
            Field("signals", len(CODES)),
            Field("migrations", REASONS, "migration_cell"),
            Field("waits", len(LOCKS) * len(MODES) * len(DURING), "call_cell"),
            Field("forks", len(STEPS), "call_cell"),
            Field("fork_errors", len(FAILING) * len(ERRORS)),
            Field("fork_vmas"),
            Field("fork_pages"),
            Field("fork_unsummed"),
            Field("clones", len(CLONERS), "clone_cell"),
            Field("cows", len(OUTCOMES), "call_cell"),
            Field("cow_pages", len(COW_PAGES) * len(OUTCOMES)),
            Field("stray_steps"),
            Field("produced", len(EVENTS)),
            Field("lost", len(EVENTS)),
        ),
        "work": (
            *(Field(f"{section}_{what}") for section in SECTIONS for what in ("owner", "probe")),
            Field("folio"),
            Field("index"),
            Field("rwc"),
            Field("arg"),
            Field("op"),
            Field("counted"),
            Field("mapcount"),
            Field("large"),
            Field("flags"),
            Field("steps"),
            Field("vmas"),
            Field("mapper"),
            Field("looks"),
            Field("looked_at"),
            Field("start"),
            Field("reference_tid"),
            Field("reference_walk"),
            Field("reclaimer"),
            Field("reclaim_start"),
            Field("caller"),
            Field("ager"),
            Field("age_start"),
            Field("isolated"),
            Field("isolated_tid"),
            Field("control"),
            Field("batch"),
            Field("batch_start"),
            Field("stat"),
            Field("ignore_references"),
            Field("decided", len(DECISIONS)),
            Field("checked"),
            Field("checked_lru"),
            Field("checked_pages"),
            Field("verdict"),
            *(Field(f"check_{what}") for what in CHECK),
            Field("ksmd"),
            Field("scan_start"),
            Field("stable"),
            Field("handler"),
            Field("failure_start"),
            Field("failure_pfn"),
            Field("failure_flags"),
            Field("failure_type"),
            Field("failure_result"),
            Field("victims"),
            Field("collect_start"),
            Field("collect_ns"),
            Field("migration_start"),
            Field("migration_reason"),
            Field("migration_mode"),
            Field("migration_succeeded"),
            Field("migration_failed"),
            Field("migration_split"),
            Field("wait_start"),
            Field("wait_for"),
            Field("wait_holder"),
            Field("wait_cell"),
            Field("fork_start"),
            Field("fork_shares"),
            Field("fork_linked"),
            Field("fork_links"),
            Field("fork_longest"),
            Field("fork_cut"),
            Field("fork_anon_ns"),
            Field("fork_copy_ns"),
            Field("mmap_start"),
            Field("vma_start"),
            Field("clone_start"),
            Field("clone_vma"),
            Field("clone_forks"),
            Field("vmf"),
            Field("cow_pfn"),
            Field("cow_page"),
            Field("cow_moved"),
            Field("cow_start"),
        ),
        "control": (
            Field("events"),
            Field("steps"),
            Field("looks"),
            Field("gate"),
            Field("bits", BITS_WORDS),
        ),
    }


@dataclass(frozen=True)
class Layout:
    """The state's structs with their sizes, in words of eight bytes."""

    structs: dict[str, tuple[Field, ...]]

    def words(self, struct: str) -> int:
        """Return the size of `struct` in words."""
        return self._sizes[struct]

    @cached_property
    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for (
            struct,
            members,
        ) in self.structs.items():  # a struct comes after those that it is made of
            sizes[struct] = sum(m.count * (sizes[m.struct] if m.struct else 1) for m in members)
        return sizes

    def _span(self, member: Field) -> int:
        return member.count * (self.words(member.struct) if member.struct else 1)

    def find(self, struct: str, name: str) -> tuple[int, Field]:
        """Return where member `name` starts in `struct`, in words, and the member."""
        return self._places[struct][name]

    @cached_property
    def _places(self) -> dict[str, dict[str, tuple[int, Field]]]:
        places: dict[str, dict[str, tuple[int, Field]]] = {}
        for struct, members in self.structs.items():
            starts = itertools.accumulate(map(self._span, members), initial=0)
            places[struct] = {m.name: (at, m) for m, at in zip(members, starts, strict=False)}
        return places

    def c_text(self) -> Iterator[str]:
        """Yield the C definitions."""
        for name, members in self.structs.items():
            yield f"struct {name} {{"
            for member in members:
                ctype = f"struct {member.struct}" if member.struct else "u64"
                array = f"[{member.count}]" if member.count > 1 or member.struct else ""
                yield f"\t{ctype} {member.name}{array};"
            yield "};"


def summed(memory: bytes, cpus: int) -> tuple[int, ...]:
    """
    Return the words of as many blocks of equal size, added up.

    As one number each, so that it takes no longer for a word than a processor takes: counts are
    far from running over into the next word.
    """
    size = len(memory) // cpus
    blocks = (memory[at : at + size] for at in range(0, len(memory), size))
    total = sum(int.from_bytes(block, "little") for block in blocks)
    return tuple(memoryview(total.to_bytes(size, "little")).cast("Q"))


class Block:
    """A struct inside an array of words: `block["walks"]`, `block.array("ns_slots")`."""

    def __init__(self, layout: Layout, struct: str, words: Sequence[int], at: int = 0) -> None:
        self._layout, self._struct, self._words, self._at = layout, struct, words, at

    def __getitem__(self, name: str) -> int:
        return self._words[self._at + self._layout.find(self._struct, name)[0]]

    def array(self, name: str) -> tuple[int, ...]:
        """Return the words of an array member."""
        start, member = self._layout.find(self._struct, name)
        return tuple(self._words[self._at + start : self._at + start + member.count])

    def inner(self, name: str, index: int) -> Block:
        """Return element `index` of a member that is an array of structs."""
        start, member = self._layout.find(self._struct, name)
        at = self._at + start + index * self._layout.words(member.struct)
        return Block(self._layout, member.struct, self._words, at)


def layout(probes: Sequence[str]) -> Layout:
    """Return the layout of the state for these probes; their order gives their numbers."""
    return Layout(structs(probes))
