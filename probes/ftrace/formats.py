"""What tracefs says of an event (`format`): its number, and where its values lie. Pure."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_ID = re.compile(r"^ID: (\d+)$", re.MULTILINE)
_FIELD = re.compile(
    r"\tfield:(.*?)(\w+)(?:\[\d*\])?;\toffset:(\d+);\tsize:(\d+);(?:\tsigned:(\d);)?"
)
_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
_TEXT = "__data_loc"

Values = tuple[int, ...]

NUMBER = struct.Struct("<H")
"""An event's number, at its beginning."""

THREAD = struct.Struct("<i")
"""The thread that ran into it."""

THREAD_AT = 4


@dataclass(frozen=True)
class Place:
    """Where a value lies in an event; ``code``: as `struct` names its type; ``text``: elsewhere."""

    at: int
    size: int
    code: str
    text: bool = False


@dataclass(frozen=True)
class Format:
    """An event's number and its values by name, those that all events have left out."""

    number: int
    places: Mapping[str, Place]

    def reader(self, names: Sequence[str]) -> Callable[[bytes, int], Values]:
        """Return what reads these values, which lie in this order; KeyError where one is absent."""
        at, code = 0, "<"
        for name in names:
            place = self.places[name]
            code += f"{place.at - at}x{place.code}"
            at = place.at + place.size
        return struct.Struct(code).unpack_from


def parse(text: str) -> Format:
    """Return what the format file `text` says; raise ValueError where it is none."""
    number = _ID.search(text)
    places = {
        name: _place(kind, int(at), int(size), signed)
        for kind, name, at, size, signed in _FIELD.findall(text)
    }
    common = (places.get("common_type"), places.get("common_pid"))
    if number is None or common != (Place(0, 2, "H"), Place(THREAD_AT, 4, "i")):
        raise ValueError("the format of an event is not one known here")
    named = {name: place for name, place in places.items() if not name.startswith("common_")}
    return Format(int(number.group(1)), named)


def _place(kind: str, at: int, size: int, signed: str) -> Place:
    code = _CODES.get(size, "")
    return Place(at, size, code if signed == "1" else code.upper(), kind.startswith(_TEXT))


def text_at(record: bytes, start: int, place: int) -> bytes:
    """Return a text whose place (offset, length) a `__data_loc` value tells, without its end."""
    at, length = start + (place & 0xFFFF), place >> 16
    return record[at : at + length].partition(b"\0")[0]
