import os
import socket
from pathlib import Path

import pytest
from rmapwatch.probes import wire


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends, neither of which waits for ever."""
    ends = socket.socketpair()
    for end in ends:
        end.settimeout(5)
    return ends


def test_more_descriptors_than_one_message_takes() -> None:
    ours, theirs = pair()
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(2 * wire.FDS_A_MESSAGE + 1)]
    wire.send(ours, {"n": len(fds)}, fds)
    message, received = wire.receive(theirs)
    assert message == {"n": len(fds)}
    assert len(received) == len(fds)
    assert {os.fstat(fd).st_rdev for fd in received} == {Path(os.devnull).stat().st_rdev}
    for fd in [*fds, *received]:
        os.close(fd)


@pytest.mark.parametrize("cut", [0, 4, 9, 12])
def test_a_message_that_is_cut_short_is_noticed(cut: int) -> None:
    ours, theirs = pair()
    with ours:
        whole = wire._LENGTH.pack(7, 0) + b'{"a":1}'
        ours.sendall(whole[:cut])
    with theirs, pytest.raises(wire.PeerGoneError):
        wire.receive(theirs)


def test_a_length_that_is_not_ours_is_refused() -> None:
    ours, theirs = pair()
    ours.sendall(wire._LENGTH.pack(1 << 31, 0))
    with pytest.raises(wire.PeerGoneError, match="not one of ours"):
        wire.receive(theirs)
