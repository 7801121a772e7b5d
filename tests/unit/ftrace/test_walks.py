"""A walk followed by events, as a slot of the ring: what is known of it, and what is not."""

import numpy as np
from rmapwatch.kernels.facts import KernelFacts, Struct
from rmapwatch.probes import events, rmap
from rmapwatch.probes.ftrace import walks
from rmapwatch.probes.ftrace.counting import Call, WalkEnd
from rmapwatch.probes.ftrace.follow import kernel
from rmapwatch.probes.ftrace.tape import Tape
from traced import taken

FACTS = KernelFacts("6.1-test", "", "x86_64", structs={"page": Struct(64, {})},
                    enums={"pageflags": {"PG_head": 16}})  # fmt: skip
BASE = 0xFFFF_EA00_0000_0000
SMALL = {
    "folio": BASE + 64 * 4711, "pages_at": BASE, "locked": 1, "filter": 0, "flags": 8, "count": 4,
    "mapping": 0xFFFF_8880_0000_1001, "root": 0xFFFF_8880_0000_2000, "index": 101,
    "comm": int.from_bytes(b"storm", "little"),
}  # fmt: skip


def told(
    kind: str, bailed: bool = False, vmas: int | None = None, op: int = 1, **given: int
) -> np.void:
    call = Call(0, 1000, op, {**SMALL, **given})
    common = {"time": 1250, "tid": 7, "tgid": 5, "cpu": 1, "batch": 3}
    end = WalkEnd(rmap.KINDS.index(kind), call, 1250, vmas, common)
    tape = Tape(1, ["walk"])
    tape.add("walk", {**common, **walks.of_walk(kernel(FACTS, {}, []), end, bailed)})
    (found,) = taken(tape)["walk"]
    return found


def test_a_walk_of_an_anonymous_page() -> None:
    walk = told("anon", vmas=5)
    known = {"time": 1250, "ns": 250, "tid": 7, "tgid": 5, "cpu": 1, "batch": 3, "op": 1, "kind": 0,
             "pfn": 4711, "index": 101, "map": 0xFFFF_8880_0000_1000, "mapcount_before": 5,
             "root": 0xFFFF_8880_0000_2000, "nr_pages": 1, "vmas": 5, "comm": b"storm",
             "flags": events.WALK_LOCKED}  # fmt: skip
    assert {name: walk[name] for name in known} == known
    assert walk["ptes"] == walk["mapcount_after"] == walk["looked_at"] == events.NOT_KNOWN
    assert told("anon")["vmas"] == events.NOT_KNOWN


def test_a_file_is_its_own_root() -> None:
    walk = told("file", mapping=0xFFFF_8880_0000_3000, root=0xBAD)
    assert walk["map"] == walk["root"] == 0xFFFF_8880_0000_3000


def test_flags_are_told() -> None:
    assert told("anon", bailed=True, locked=0)["flags"] == events.WALK_BAILED
    assert told("anon", filter=1, locked=0)["flags"] == events.WALK_FILTERED


def test_a_walk_without_a_folio_tells_nothing_of_one() -> None:
    """What a read through a null pointer leaves in the record is nothing."""
    walk = told("file", folio=0, given_index=31)
    assert (walk["pfn"], walk["index"], walk["nr_pages"]) == (events.ALL_ONES, 31, 0)
    assert walk["map"] == walk["root"] == 0
    assert walk["mapcount_before"] == events.NOT_KNOWN


def test_a_large_folio() -> None:
    walk = told("anon", flags=1 << 16, large_count=6, large_pages=16)
    assert (walk["mapcount_before"], walk["nr_pages"]) == (7, 16)
    walk = told("anon", flags=1 << 16)
    assert (walk["mapcount_before"], walk["nr_pages"]) == (events.NOT_KNOWN, 0)


def test_a_restore_walk_tells_the_frame_of_before() -> None:
    """By the walk's argument, which is that page, or by what it points to on newer kernels."""
    restore = [op.name for op in rmap.OPS].index("restore")
    assert told("anon", op=restore, arg=BASE + 64 * 31)["old_pfn"] == 31
    assert told("anon", op=restore, arg=1, restored_from=BASE + 64 * 37)["old_pfn"] == 37
    assert told("anon", arg=BASE + 64 * 31)["old_pfn"] == events.ALL_ONES
