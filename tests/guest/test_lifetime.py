"""Nothing is left behind, whoever dies; and what cannot be done is said in one line and a hint."""

import ctypes
import dataclasses
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest
from rmapwatch.kernels import syscalls
from rmapwatch.probes import compiled, session

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


def test_a_reader_drops_root_reads_on_and_leaves_nothing_when_killed() -> None:
    """As under sudo: privileges go once the probes are in hand, and the figures still come."""
    before = held()
    command = [sys.executable, "-m", "rmapwatch", "top", "--json", "--interval", "1"]
    user = {**os.environ, "SUDO_UID": "65534", "SUDO_GID": "65534"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=user) as reader:
        frame = next_frame(reader.stdout)
        while not frame["quiet"]:
            frame = next_frame(reader.stdout)
        status = Path(f"/proc/{reader.pid}/status").read_text()
        during = held()
        reader.kill()
    assert "Uid:\t65534\t65534\t65534" in status
    assert "CapEff:\t0000000000000000" in status
    walks = next(p for p in frame["probes"] if p["probe"] == "rmap_walk_anon")
    assert walks["attached"] == "rmap_walk_anon"
    assert walks["entries"] == walks["exits"] + walks["in_flight"] + walks["missed"]
    assert len(during[0] - before[0]) >= 10
    assert reader.returncode == -signal.SIGKILL
    assert settled(before)


def next_frame(lines: IO[str]) -> dict:
    """Read one frame, which ends where the outermost brace does."""
    text = ""
    for line in lines:
        text += line
        if line == "}\n":
            break
    return json.loads(text)


def one_line_and_a_hint(done: subprocess.CompletedProcess, code: int) -> str:
    said = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert len(said) == 2, done.stderr
    assert said[0].startswith("rmapwatch: ")
    assert said[1].startswith("hint: ")
    return done.stderr


@pytest.mark.parametrize("moment", ["at its start", "while it compiles"])
def test_a_killed_loader_is_said(moment: str, tmp_path: Path) -> None:
    before = held()
    nothing_kept = f"mkdir -p {compiled.FOLDER} && mount -t tmpfs -o mode=700 x {compiled.FOLDER}"
    script = f"{nothing_kept} && exec {sys.executable} -m rmapwatch top --once"
    command = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as reader:
        loader = child_of(reader.pid)
        if moment == "while it compiles":
            wait_for(lambda: "libclang" in Path(f"/proc/{loader}/maps").read_text())
        os.kill(loader, signal.SIGKILL)
        said = reader.stderr.read().splitlines()
    assert reader.returncode == 4
    assert "died before it handed the probes over: it was killed by SIGKILL" in said[0]
    assert said[1].startswith("hint: ")
    assert settled(before)


def child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_for(lambda: "loader.py" in "".join(commands(children)))
    return int(children.read_text().split()[0])


def commands(children: Path) -> list[str]:
    return [Path(f"/proc/{pid}/cmdline").read_text() for pid in children.read_text().split()]


def wait_for(condition) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def test_without_bcc() -> None:
    """A Python that has no bcc, as one from anywhere but the distribution."""
    code = (
        "from rmapwatch.probes import session; from rmapwatch import cli;"
        f"session.start.__defaults__ = ({sys.executable!r},); import sys;"
        "sys.argv = ['rmapwatch', 'top', '--once']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = one_line_and_a_hint(done, 4)
    assert "has no bcc" in said
    assert "apt-get install -y python3-bpfcc" in said


def test_without_headers() -> None:
    release = os.uname().release
    script = f"""
    mkdir -p /tmp/empty && mount --bind /tmp/empty /lib/modules &&
    exec {sys.executable} -m rmapwatch top --once"""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    said = one_line_and_a_hint(done, 4)
    assert f"no headers of kernel {release}" in said
    assert f"apt-get install -y linux-headers-{release}" in said


def test_on_a_kernel_without_probes() -> None:
    """As where tracefs is not mounted, or the kernel has no function tracer."""
    script = f"""
    umount /sys/kernel/tracing; umount /sys/kernel/debug;
    exec {sys.executable} -m rmapwatch top --once"""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert "tracefs is not there" in one_line_and_a_hint(done, 4)


def test_without_root() -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
         sys.executable, "-m", "rmapwatch", "top", "--once"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = one_line_and_a_hint(done, 3)
    assert "hint: sudo rmapwatch top --once\n" in said


def test_kprobes_where_fentry_is_refused(attached, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty program attaches by the second rung too, and leaves no named event."""
    before = held()
    symbol = next(r.symbol for r in attached.attached if r.probe == "rmap_walk_anon")
    for mechanism in (syscalls.KPROBE, syscalls.KRETPROBE):
        program = syscalls.load(syscalls.EMPTY_PROGRAM, mechanism, "trial")
        link = syscalls.attach(program, mechanism, symbol)
        assert symbol in (TRACEFS / "enabled_functions").read_text()
        assert (TRACEFS / "kprobe_events").read_text() == ""
        os.close(link)
        os.close(program)
    assert settled(before)


def test_a_symbol_that_is_not_there_is_refused() -> None:
    program = syscalls.load(syscalls.EMPTY_PROGRAM, syscalls.KPROBE, "trial")
    with pytest.raises(syscalls.RefusedError):
        syscalls.attach(program, syscalls.KPROBE, "no_such_function")
    os.close(program)


def test_the_loader_answers_a_request_for_nothing() -> None:
    with pytest.raises(Exception, match="no probe was asked for"):
        session.start(session.Request(probes=()))


def kept() -> dict[Path, int]:
    return {path: path.stat().st_ino for path in compiled.FOLDER.iterdir()}


def test_the_same_probes_are_compiled_once(attached: session.Session) -> None:
    """What is kept is not written anew, works as well, and serves a ring of any size."""
    request = session.Request(probes=("rmap_walk_file", "step_mkclean"))
    session.start(request).close()
    before = kept()
    assert len(before) >= 2
    other = session.start(dataclasses.replace(request, ring_pages=2 * request.ring_pages))
    assert other.ring_size == 2 * request.ring_pages * mmap.PAGESIZE
    other.close()
    assert kept() == before
