"""Whom a loader serves that anyone may connect to, and what it takes from them."""

import array
import dataclasses
import json
import os
import socket
import struct
import threading

import pytest
from rmapwatch import errors
from rmapwatch.probes import admission, events, service, session

GROUP = "games"
GID = admission._gid(GROUP)


class Peer:
    """A socket whose other end has these credentials."""

    def __init__(self, uid: int, gid: int, *groups: int) -> None:
        self._answers = {
            socket.SO_PEERCRED: struct.pack("iII", 1, uid, gid),
            59: array.array("I", groups).tobytes(),
        }

    def getsockopt(self, _level: int, option: int, size: int) -> bytes:
        assert len(self._answers[option]) <= size
        return self._answers[option]


@pytest.mark.parametrize("peer", [Peer(0, 0), Peer(7, GID), Peer(7, 7, 1, GID), Peer(2**31, GID)])
def test_served(peer: Peer) -> None:
    admission.require_member(peer, GROUP)


@pytest.mark.parametrize("peer", [Peer(7, 0), Peer(7, 7, 0, 1), Peer(2**32 - 2, 2**32 - 2)])
def test_refused(peer: Peer) -> None:
    with pytest.raises(errors.NotPermittedError):
        admission.require_member(peer, GROUP)


def test_a_group_that_does_not_exist_has_no_members() -> None:
    with pytest.raises(errors.NotPermittedError):
        admission.require_member(Peer(7, 7), "no such group")


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        credentials = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert struct.unpack("iII", credentials) == (os.getpid(), os.getuid(), os.getgid())
        groups = array.array("I", ours.getsockopt(socket.SOL_SOCKET, 59, 1024))
        assert sorted(groups) == sorted(os.getgroups())


def as_received(asked: session.Request) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(asked)))


def test_what_a_reader_asks_for_is_taken() -> None:
    for asked in (session.Request(), session.Request(("rmap_walk_anon",), tuple(events.EVENTS), 8)):
        admission.check(as_received(asked))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ring_pages", "8"),
        ("ring_pages", "8\n#error"),
        ("ring_pages", True),
        ("ring_pages", 0),
        ("ring_pages", 3),
        ("ring_pages", admission.MOST_RING_PAGES * 2),
        ("ring_pages", None),
        ("probes", ["rmap_walk_anon", "nothing"]),
        ("probes", "rmap_walk_anon"),
        ("probes", [["rmap_walk_anon"]]),
        ("events", {"walk": 1}),
        ("events", [7]),
        ("calibrate", 1),
        ("calibrate", None),
    ],
)
def test_anything_else_is_not(name: str, value: object) -> None:
    with pytest.raises(errors.UsageError, match=f"{name} is not what this version takes"):
        admission.check(as_received(session.Request()) | {name: value})


def test_a_loader_that_is_not_there(tmp_path) -> None:
    with pytest.raises(errors.NothingAttachedError, match="gave no answer: No such file"):
        service.connect(session.Request(), tmp_path / "no.sock")


def test_a_loader_that_dies(tmp_path) -> None:
    path = tmp_path / "loader.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        threading.Thread(target=lambda: listening.accept()[0].close()).start()
        with pytest.raises(errors.NothingAttachedError, match="gave no answer"):
            service.connect(session.Request(), path)


@pytest.mark.parametrize(("fds", "pid"), [("", 0), ("2", 0), ("1", 1)])
def test_the_loader_command_needs_a_connection_of_its_own(monkeypatch, fds: str, pid: int) -> None:
    monkeypatch.setenv("LISTEN_FDS", fds)
    monkeypatch.setenv("LISTEN_PID", str(pid or os.getpid()))
    monkeypatch.setattr("os.execv", lambda *_: None)
    with pytest.raises(errors.UsageError, match="systemd passed no connection"):
        service.serve_passed(GROUP)
