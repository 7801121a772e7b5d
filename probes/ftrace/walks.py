"""Walks that were followed by events, as records of the event table. Pure."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping

from ...kernels.facts import KernelFacts
from .. import events, rmap
from .counting import Given, WalkEnd

_FIELDS = {"u64": "Q", "s64": "q", "u32": "I", "s32": "i", "u16": "H", "u8": "B"}
_SLOT = struct.Struct(
    "<Q"
    + "".join(
        f"{member.count}s" if member.ctype == "char" else _FIELDS[member.ctype]
        for member in events.fields("walk")
    )
)
_NAMES = tuple(member.name for member in events.fields("walk"))
_TAGS = 3


class Tape:
    """Walks in the order in which they ended, as slots of the ring, until somebody takes them."""

    def __init__(self, facts: KernelFacts, most: int, wanted: bool) -> None:
        """Keep `most` walks at once; those beyond are lost, and counted."""
        self._most, self.wanted = most, wanted
        self._page_size = facts.structs["page"].size
        self._head = 1 << facts.enums.get("pageflags", {}).get("PG_head", 63)
        self._slots: deque[bytes] = deque()
        self.produced = self.lost = self.seq = 0

    def told(self, walk: WalkEnd, bailed: bool) -> None:
        """Keep a walk that is over, where somebody wants it."""
        if not self.wanted:
            return
        self.produced += 1
        if len(self._slots) >= self._most:
            self.lost += 1
            return
        values = {
            **self._of_call(walk, bailed),
            **self._of_folio(walk.kind, walk.given),
            "old_pfn": self._restored_from(walk),
        }
        slot = _SLOT.pack(self.seq, *(values[name] for name in _NAMES))
        self._slots.append(slot.ljust(events.STRIDE, b"\0"))
        self.seq += 1

    def take(self) -> list[bytes]:
        """Return the slots that nobody has taken, and keep them no longer."""
        taken = list(self._slots)
        for _ in taken:
            self._slots.popleft()
        return taken

    def reset(self) -> None:
        """Count from zero; what nobody has taken is thrown away."""
        self._slots.clear()
        self.produced = self.lost = 0

    def _of_call(self, walk: WalkEnd, bailed: bool) -> Mapping[str, int | bytes]:
        given = walk.given
        flags = events.WALK_BAILED if bailed else 0
        flags |= events.WALK_LOCKED if given.get("locked") else 0
        flags |= events.WALK_FILTERED if given.get("filter") else 0
        flags |= events.WALK_WAITED if walk.waited else 0
        return {
            "time": walk.end,
            "tid": walk.tid,
            "tgid": 0,
            "cpu": walk.cpu,
            "type": events.type_number("walk"),
            "reserved": 0,
            "batch": walk.batch,
            "ns": walk.end - walk.begin,
            "vmas": events.NOT_KNOWN if walk.vmas is None else walk.vmas,
            "looked_at": events.NOT_KNOWN,
            "ptes": events.NOT_KNOWN,
            "mapper": 0,
            "mapcount_after": events.NOT_KNOWN,
            "op": walk.op,
            "kind": walk.kind,
            "flags": flags,
            "comm": given.get("comm", 0).to_bytes(16, "little"),
        }

    def _restored_from(self, walk: WalkEnd) -> int:
        """Return the frame that mappings are restored of; the folio's own if it did not move."""
        if rmap.OPS[walk.op].name != "restore":
            return events.ALL_ONES
        return self._pfn(walk.given.get("restored_from", walk.given["arg"]), walk.given)

    def _pfn(self, page: int, given: Given) -> int:
        base = given.get("pages_at")
        return events.ALL_ONES if base is None or not page else (page - base) // self._page_size

    def _of_folio(self, kind: int, given: Given) -> Mapping[str, int]:
        folio = given["folio"]
        if not folio:
            return _NO_FOLIO | {"index": given.get("given_index", 0)}
        large = bool(given["flags"] & self._head)
        mapping = given["mapping"] & ~_TAGS
        anon = rmap.KINDS[kind] == "anon"
        return {
            "pfn": self._pfn(folio, given),
            "index": given["index"],
            "map": mapping,
            "root": given["root"] if anon and mapping else mapping,
            "mapcount_before": _mapcount(given, large),
            "nr_pages": given.get("large_pages", 0) if large else 1,
        }


_NO_FOLIO = {
    "pfn": events.ALL_ONES,
    "map": 0,
    "root": 0,
    "mapcount_before": events.NOT_KNOWN,
    "nr_pages": 0,
}


def _mapcount(given: Given, large: bool) -> int:
    count = given.get("large_count") if large else given["count"]
    return events.NOT_KNOWN if count is None else count + 1
