"""What is told of a walk, and of the folio that it or a check is about, by their entry. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from .. import events, rmap
from .counting import Call, Given, Kernel, WalkEnd
from .tape import Told

_TAGS = 3
_RESTORE = next(number for number, op in enumerate(rmap.OPS) if op.name == "restore")
_ANON = rmap.KINDS.index("anon")

_NO_FOLIO = {
    "pfn": events.ALL_ONES,
    "map": 0,
    "root": 0,
    "mapcount_before": events.NOT_KNOWN,
    "nr_pages": 0,
}


def of_walk(kernel: Kernel, walk: WalkEnd, gave_up: bool) -> Told:
    """Return what is told of a walk; ``gave_up``: on a lock that somebody held."""
    call, given = walk.call, walk.call.given
    flags = events.WALK_BAILED if gave_up else 0
    flags |= events.WALK_LOCKED if given.get("locked") else 0
    flags |= events.WALK_FILTERED if given.get("filter") else 0
    flags |= events.WALK_WAITED if call.waited else 0
    return {
        **_of_folio(kernel, walk.kind, given),
        "ns": walk.end - call.begin,
        "old_pfn": _restored_from(kernel, call.number, given),
        "vmas": events.NOT_KNOWN if walk.vmas is None else walk.vmas,
        "looked_at": events.NOT_KNOWN,
        "ptes": events.NOT_KNOWN,
        "mapper": 0,
        "mapcount_after": events.NOT_KNOWN,
        "op": call.number,
        "kind": walk.kind,
        "flags": flags,
        "comm": comm(given),
    }


def of_check(kernel: Kernel, call: Call, result: int) -> Told:
    """Return what is told of a reference check; its flags at the end are not seen."""
    given = call.given
    return {
        "walk": call.walk.end if call.walk else 0,
        "pfn": pfn(kernel, given.get("folio", 0), given),
        "index": given.get("index", 0),
        "vm_flags": events.ALL_ONES,
        "page_flags": events.ALL_ONES,
        "result": result,
        "nr_pages": nr_pages(kernel, given),
        "is_locked": int(bool(given["is_locked"])),
        "decision": events.UNSEEN,
    }


def comm(given: Given) -> bytes:
    """Return the name of the thread."""
    return given.get("comm", 0).to_bytes(16, "little")


def pfn(kernel: Kernel, page: int, given: Given) -> int:
    """Return the frame of a struct page, or of a folio's first one; all ones where unknown."""
    base = given.get("pages_at")
    if base is None or not page or not kernel.page_size:
        return events.ALL_ONES
    return (page - base) // kernel.page_size


def nr_pages(kernel: Kernel, given: Given) -> int:
    """Return the base pages of the folio; 0 for a large one where no field holds their number."""
    return given.get("large_pages", 0) if given["flags"] & kernel.head else 1


def _restored_from(kernel: Kernel, op: int, given: Given) -> int:
    """Return the frame that mappings are restored of; the folio's own if it did not move."""
    if op != _RESTORE:
        return events.ALL_ONES
    return pfn(kernel, given.get("restored_from", given["arg"]), given)


def _of_folio(kernel: Kernel, kind: int, given: Given) -> Mapping[str, int]:
    folio = given["folio"]
    if not folio:
        return _NO_FOLIO | {"index": given.get("given_index", 0)}
    mapping = given["mapping"] & ~_TAGS
    return {
        "pfn": pfn(kernel, folio, given),
        "index": given["index"],
        "map": mapping,
        "root": given["root"] if kind == _ANON and mapping else mapping,
        "mapcount_before": _mapcount(kernel, given),
        "nr_pages": nr_pages(kernel, given),
    }


def _mapcount(kernel: Kernel, given: Given) -> int:
    count = given.get("large_count") if given["flags"] & kernel.head else given["count"]
    return events.NOT_KNOWN if count is None else count + 1
