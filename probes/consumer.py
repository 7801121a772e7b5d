"""Takes the events of a session, in order, and hides kernel addresses before anybody sees them."""

from __future__ import annotations

import secrets
from typing import Protocol

from . import ring
from .backend import Attached
from .ring import Records


class Sink(Protocol):
    """Takes events of one type, kernel addresses hidden."""

    def append(self, event: str, records: Records) -> None:
        """Take some more of them."""


class Consumer:
    """Takes the events of a session, in order, and hides kernel addresses with a key of its own."""

    def __init__(self, attached: Attached, sink: Sink) -> None:
        self._attached, self._sink = attached, sink
        self._ring = attached.ring()
        self._key = secrets.token_bytes(32)

    def drain(self) -> int:
        """Take what the ring holds; return how many records that was."""
        _, batch = self._ring.drain()
        for name, records in ring.decode(batch).items():
            self._attached.received(name, len(records))
            ring.hide_pointers(records, name, self._key)
            self._sink.append(name, records)
        return len(batch)
