"""Events of the event table, told one after the other, as slots of the ring. Pure."""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .. import events

Told = Mapping[str, int | bytes]
"""What is told of an event by the names of its fields; `type` and `reserved` need not be."""

_CODES = {"u64": "Q", "s64": "q", "u32": "I", "s32": "i", "u16": "H", "u8": "B"}


@dataclass(frozen=True)
class _Form:
    """How events of one type are laid out: the names of their fields in order, seq before them."""

    type: int
    names: tuple[str, ...]
    slot: struct.Struct

    def pack(self, seq: int, told: Told) -> bytes:
        whole = {"type": self.type, "reserved": 0, **told}
        return self.slot.pack(seq, *(whole[name] for name in self.names))


def _form(event: str) -> _Form:
    members = events.fields(event)
    codes = (f"{m.count}s" if m.ctype == "char" else _CODES[m.ctype] for m in members)
    slot = struct.Struct("<Q" + "".join(codes))
    padded = struct.Struct(f"{slot.format}{events.STRIDE - slot.size}x")
    return _Form(events.type_number(event), tuple(m.name for m in members), padded)


_FORMS = {event: _form(event) for event in events.EVENTS}


class Tape:
    """
    Events in the order in which they were told, until somebody takes them.

    ``wanted``: the types that are kept. ``produced`` and ``lost``: by type, of those that were.
    ``seq``: of the next one, lost ones left out.
    """

    def __init__(self, most: int, wanted: Collection[str] = ()) -> None:
        """Keep `most` events at once, whatever they are of; those beyond are lost, and counted."""
        self._most, self.wanted = most, frozenset(wanted)
        self._slots: deque[bytes] = deque()
        self.produced: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.seq = 0

    def add(self, event: str, told: Told) -> None:
        """Keep an event, where somebody wants such."""
        if event not in self.wanted:
            return
        if len(self._slots) >= self._most:
            self.lose(event)
            return
        self.produced[event] += 1
        self._slots.append(_FORMS[event].pack(self.seq, told))
        self.seq += 1

    def lose(self, event: str) -> None:
        """Note that an event cannot be kept, or told as a whole, where somebody wants such."""
        if event in self.wanted:
            self.produced[event] += 1
            self.lost[event] += 1

    def take(self) -> list[bytes]:
        """Return the slots that nobody has taken, and keep them no longer."""
        taken = list(self._slots)
        self._slots.clear()
        return taken

    def reset(self) -> None:
        """Count from zero; what nobody has taken is thrown away."""
        self._slots.clear()
        self.produced.clear()
        self.lost.clear()
