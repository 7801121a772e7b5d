"""Nothing is left behind, whoever dies; what was compiled serves again."""

import dataclasses
import json
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from rmapwatch.kernels import syscalls
from rmapwatch.probes import compiled, session
from traces import TRACEFS, held, settled


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
