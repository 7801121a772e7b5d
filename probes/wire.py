"""
What the loader and the reader say to each other, over a Unix stream socket.

One request and one answer, each a JSON text behind its length; descriptors travel with the answer
(SCM_RIGHTS, at most `FDS_A_MESSAGE` in one message, as the kernel allows).
"""

from __future__ import annotations

import array
import json
import socket
import struct
from typing import Any

FDS_A_MESSAGE = 253
_LENGTH = struct.Struct("<II")
_LIMIT = 16 << 20


class PeerGoneError(ConnectionError):
    """The other side closed the socket before its message was whole."""


def send(sock: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send one message with its descriptors, in order."""
    text = json.dumps(message).encode()
    fds = fds or []
    sock.sendall(_LENGTH.pack(len(text), len(fds)) + text)
    for start in range(0, len(fds), FDS_A_MESSAGE):
        part = array.array("i", fds[start : start + FDS_A_MESSAGE])
        sock.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, part)])


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return one message and its descriptors; raise `PeerGoneError` where it is cut short."""
    length, count = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    if length > _LIMIT:
        raise PeerGoneError(f"a message of {length} bytes is not one of ours")
    message: dict[str, Any] = json.loads(_exactly(sock, length))
    fds: list[int] = []
    while len(fds) < count:
        fds += _descriptors(sock)
    return message, fds


def _exactly(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            raise PeerGoneError("the socket was closed")
        data += part
    return data


def _descriptors(sock: socket.socket) -> list[int]:
    fds = array.array("i")
    data, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(FDS_A_MESSAGE * fds.itemsize))
    if not data:
        raise PeerGoneError("the socket was closed")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return list(fds)
