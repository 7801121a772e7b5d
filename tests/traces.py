"""What a tracer could leave behind in the kernel that runs these tests."""

import ctypes
import struct
import time
from pathlib import Path

TRACEFS = Path("/sys/kernel/tracing")
_PROG_GET_NEXT_ID, _LINK_GET_NEXT_ID = 11, 31


def ids(command: int) -> set[int]:
    """The ids of all programs, or all links, that the kernel holds."""
    found, last = set(), 0
    while True:
        attr = struct.pack("<III", last, 0, 0)
        buffer = ctypes.create_string_buffer(attr, len(attr))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(321, command, buffer, len(attr)) < 0:
            return found
        last = struct.unpack_from("<I", buffer.raw, 4)[0]
        found.add(last)


def held() -> tuple[set[int], set[int], str, str]:
    """What a tracer could leave: programs, links, named probe events, traced functions."""
    return (
        ids(_PROG_GET_NEXT_ID),
        ids(_LINK_GET_NEXT_ID),
        (TRACEFS / "kprobe_events").read_text(),
        (TRACEFS / "enabled_functions").read_text(),
    )


def settled(expected: tuple) -> bool:
    """Whether the kernel comes back to what it held; programs are freed a moment after."""
    for _ in range(100):
        if held() == expected:
            return True
        time.sleep(0.1)
    return False
