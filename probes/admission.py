"""
Whom the loader serves, and what it takes from them.

What it is asked for may come from a user without any rights, and ends up in the text of a program
that root loads: names must be those of the tables, and numbers numbers.
"""

from __future__ import annotations

import array
import grp
import socket
import struct
from typing import Any

from ..errors import NotPermittedError, UsageError
from . import catalogue, events

MOST_RING_PAGES = 1 << 14
"""64 MB."""

_PEER = struct.Struct("iII")
"""`struct ucred`: pid, uid, gid."""

_SO_PEERGROUPS = 59
_GROUPS_BYTES = 1024  # as much as Python asks for


def require_member(sock: socket.socket, group: str) -> None:
    """Raise unless the other end was root or a member of `group` when it connected."""
    _, uid, gid = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    others = array.array("I", sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES))
    if uid and _gid(group) not in (gid, *others):
        raise NotPermittedError(
            "the loader does not serve this user",
            f"uid {uid} is not in the group {group}",
            f"usermod --append --groups {group} USER",
        )


def _gid(group: str) -> int | None:
    """Return the number of a group; None where there is no such group."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def check(request: dict[str, Any]) -> None:
    """Raise unless `request` is a `session.Request` of names that there are."""
    pages = request.get("ring_pages")
    known = {"probes": {point.name for point in catalogue.POINTS}, "events": set(events.EVENTS)}
    wrong = [
        name
        for name, names in known.items()
        if not isinstance(request.get(name), list) or not set(map(str, request[name])) <= names
    ]
    if type(pages) is not int or not 0 < pages <= MOST_RING_PAGES or pages & (pages - 1):
        wrong.append("ring_pages")
    if type(request.get("calibrate")) is not bool:
        wrong.append("calibrate")
    if wrong:
        raise UsageError(
            "the loader does not understand the request",
            f"{', '.join(wrong)} is not what this version takes",
            "install both sides from the same version of rmapwatch",
        )
