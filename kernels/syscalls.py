"""
bpf(2) and perf_event_open(2) for the loader: load a program, attach it, nothing more.

Why not through bcc: its kprobe attachment can fall back to a named, global tracefs event that
outlives a killed process, and each of its loads parses the kernel's whole BTF anew. Here every
attachment is one descriptor, and it is gone when the last holder of the descriptor is.
Numbers are those of include/uapi/linux/bpf.h and perf_event.h, which are ABI; x86-64 only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import resource
import struct
from collections.abc import Callable
from pathlib import Path

FENTRY, FEXIT, KPROBE, KRETPROBE, TRACEPOINT = (
    "fentry",
    "fexit",
    "kprobe",
    "kretprobe",
    "tracepoint",
)

_NR_BPF, _NR_PERF_EVENT_OPEN = 321, 298
_MAP_CREATE, _PROG_LOAD, _PROG_TEST_RUN, _RAW_TRACEPOINT_OPEN = 0, 5, 10, 17
_PROG_TYPE = {FENTRY: 26, FEXIT: 26, KPROBE: 2, KRETPROBE: 2, TRACEPOINT: 5}
_ATTACH_TYPE = {FENTRY: 24, FEXIT: 25}
_PERF_TYPE_TRACEPOINT = 2
_PERF_IOC_SET_BPF, _PERF_IOC_ENABLE = 0x40042408, 0x2400
_PERF_CLOEXEC = 8
_KPROBE_PMU = Path("/sys/bus/event_source/devices/kprobe")
_LICENSE = b"Dual BSD/GPL\0"
_LOG_SIZE = 1 << 16
_TEST_ATTR_SIZE = 72

# mov r0, 0; exit
EMPTY_PROGRAM = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)

_libc = ctypes.CDLL(None, use_errno=True)


class RefusedError(Exception):
    """The kernel's answer to a load or an attachment: errno and what the verifier said last."""

    def __init__(self, number: int, detail: str) -> None:
        name = errno.errorcode.get(number, str(number))
        super().__init__(f"{name}: {detail}" if detail else name)
        self.errno = number


def supported() -> bool:
    """Return whether the syscall numbers of this module are this machine's."""
    return platform.machine() == "x86_64"


def _syscall(number: int, *args: object) -> int:
    result = _libc.syscall(ctypes.c_long(number), *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def _bpf(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr, len(attr))
    return _syscall(_NR_BPF, ctypes.c_int(command), buffer, ctypes.c_uint(len(attr)))


def create_map(
    name: str, *, map_type: int, key_size: int, value_size: int, max_entries: int, map_flags: int
) -> int:
    """Make a map and return its descriptor; raise `RefusedError`."""
    _lift_memlock()
    numbers = (map_type, key_size, value_size, max_entries, map_flags, 0, 0)
    try:
        return _bpf(_MAP_CREATE, struct.pack("<IIIIIII16s", *numbers, name.encode()[:15]))
    except OSError as refused:
        raise RefusedError(refused.errno or 0, f"map {name}: {refused.strerror}") from None


def load(instructions: bytes, mechanism: str, name: str, btf_id: int = 0) -> int:
    """
    Load a program and return its descriptor; raise `RefusedError` with the verifier's last line.

    `btf_id` is the BTF id of the function that an fentry or fexit program is for.
    """
    _lift_memlock()
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(_LICENSE)

    def attr(log: int, log_size: int) -> bytes:
        return struct.pack(
            "<IIQQIIQII16sIIIIQIIQII",
            _PROG_TYPE[mechanism],
            len(instructions) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            1 if log else 0,
            log_size,
            log,
            0,  # kern_version
            0,  # prog_flags
            name.encode()[:15],
            0,  # prog_ifindex
            _ATTACH_TYPE.get(mechanism, 0),
            *(0, 0, 0, 0, 0, 0, 0),  # no BTF of its own, no func_info, no line_info
            btf_id if mechanism in _ATTACH_TYPE else 0,
        )

    try:
        return _bpf(_PROG_LOAD, attr(0, 0))
    except OSError as refused:
        log = ctypes.create_string_buffer(_LOG_SIZE)
        try:
            return _bpf(_PROG_LOAD, attr(ctypes.addressof(log), _LOG_SIZE))
        except OSError:
            raise RefusedError(
                refused.errno or 0, _last_words(log.value.decode(errors="replace"))
            ) from None


def caller_of_test_functions(program: int) -> Callable[[], None]:
    """
    Return what has the kernel call each of its test functions once, in order of their numbers.

    `program` is loaded for one of them, and is not run unless it is attached. See
    bpf_prog_test_run_tracing() in net/bpf/test_run.c. The call raises OSError.
    """
    attr = ctypes.create_string_buffer(struct.pack("<I", program), _TEST_ATTR_SIZE)
    arguments = (ctypes.c_int(_PROG_TEST_RUN), attr, ctypes.c_uint(_TEST_ATTR_SIZE))

    def call() -> None:
        _syscall(_NR_BPF, *arguments)

    return call


def _lift_memlock() -> None:
    """
    Let programs and maps take the memory they need.

    Before Linux v5.11 they are charged to the user's RLIMIT_MEMLOCK, since then to the cgroup; what
    another session holds counts too, and the kernel answers EPERM.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(
            resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )


def _last_words(log: str) -> str:
    """Return the line of a verifier log that names the reason: the last that is no statistic."""
    lines = [line for line in log.splitlines() if line and not line.startswith("processed ")]
    return lines[-1].strip() if lines else ""


def attach(program: int, mechanism: str, symbol: str) -> int:
    """
    Attach a loaded program; return the descriptor that keeps it attached.

    `symbol` is a function, or "category:name" for a tracepoint. Raise `RefusedError`.
    """
    try:
        if mechanism in _ATTACH_TYPE:
            return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("<QII", 0, program, 0))
        return _attach_perf(program, mechanism, symbol)
    except OSError as refused:
        raise RefusedError(refused.errno or 0, refused.strerror or "") from None


def _attach_perf(program: int, mechanism: str, symbol: str) -> int:
    name = ctypes.create_string_buffer(symbol.encode())
    if mechanism == TRACEPOINT:
        event_type, config, config1 = _PERF_TYPE_TRACEPOINT, _tracepoint_id(symbol), 0
    else:
        event_type = int((_KPROBE_PMU / "type").read_text())
        config, config1 = _retprobe_bit() if mechanism == KRETPROBE else 0, ctypes.addressof(name)
    # struct perf_event_attr up to config2: sample_period 1, the rest zero.
    attr = struct.pack("<IIQQQQQIIQQ", event_type, 112, config, 1, 0, 0, 0, 1, 0, config1, 0)
    buffer = ctypes.create_string_buffer(attr.ljust(112, b"\0"), 112)
    fd = _syscall(
        _NR_PERF_EVENT_OPEN,
        buffer,
        ctypes.c_int(-1),
        ctypes.c_int(0),
        ctypes.c_int(-1),
        ctypes.c_ulong(_PERF_CLOEXEC),
    )
    try:
        fcntl.ioctl(fd, _PERF_IOC_SET_BPF, program)
        fcntl.ioctl(fd, _PERF_IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def _retprobe_bit() -> int:
    text = (_KPROBE_PMU / "format" / "retprobe").read_text()
    return 1 << int(text.strip().removeprefix("config:"))


def _tracepoint_id(symbol: str) -> int:
    category, _, name = symbol.partition(":")
    return int((tracefs() / "events" / category / name / "id").read_text())


def tracefs() -> Path:
    """Return where tracefs is mounted; raise FileNotFoundError where it is not."""
    for path in (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing")):
        if (path / "available_filter_functions").exists():
            return path
    raise FileNotFoundError(errno.ENOENT, "tracefs is not mounted", "/sys/kernel/tracing")
