"""A session on tape: nothing lost, nothing doubled, no kernel address, and a clean end."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rmapwatch import errors
from rmapwatch.collectors.frame import frames
from rmapwatch.probes import events, ring
from rmapwatch.probes.consumer import Consumer
from rmapwatch.recordings import recorder, replay
from rmapwatch.recordings.reader import Recording
from rmapwatch.recordings.recorder import Memory, Request, Tape

KERNEL_HALF = 0xFFFF_8000_0000_0000
POINTERS = np.array([0xFFFF_8881_0000_1000, 0xFFFF_8881_0000_2000, 0, 0xFFFF_EA00_0400_0040], "<u8")


def with_pointers(records, event: str, count: int) -> tuple[np.ndarray, list[str]]:
    """Events whose other fields are small, and the names of those that are addresses."""
    told = records(event, count)
    names = [member.name for member in events.EVENTS[event] if member.pointer]
    for member in events.fields(event):
        if member.ctype == "u64" and not member.pointer:
            told[member.name] %= 1 << 40
    for place, name in enumerate(names):
        told[name] = POINTERS[(np.arange(count) + place) % len(POINTERS)]
    return told, names


def test_no_kernel_address_leaves(session, records, tmp_path: Path) -> None:
    tape = Tape(session, tmp_path / "new", 3600)
    sent = {}
    for event in events.EVENTS:
        sent[event] = with_pointers(records, event, 97)
        session.put(sent[event][0])
        tape.step()
    tape.close()
    seen = 0
    for event, (told, names) in sent.items():
        found = Recording(tmp_path / "new").records(event)
        assert len(found) == 97
        for name in found.dtype.names:
            if found[name].dtype == np.dtype("<u8"):
                known = found[name] != events.ALL_ONES
                assert (found[name][known] < KERNEL_HALF).all(), name
        for name in names:
            seen += 1
            real, hidden = told[name], found[name]
            assert ((real == 0) == (hidden == 0)).all()
            assert (hidden < 1 << 56).all()
            assert len(np.unique(hidden)) == len(np.unique(real))
            for value in np.unique(real):
                assert len(np.unique(hidden[real == value])) == 1
    assert seen >= 2


def test_the_same_address_has_another_hash_in_another_recording(records, new_session) -> None:
    told, _ = with_pointers(records, "walk", 4)
    found = []
    for attached in (new_session(), new_session()):
        attached.put(told)
        Consumer(attached, memory := Memory()).drain()
        found.append(memory.records()["walk"]["map"].tolist())
    assert found[0] != found[1]


def test_events_and_samples_are_all_on_tape(session, records, tmp_path: Path) -> None:
    """Also those that came before it began, and a discarded one keeps its number."""
    session.put(records("walk", 5))
    tape = Tape(session, tmp_path / "new", 3600)
    session.put(records("walk", 1), discard=True)
    session.put(records("reference", 3))
    assert tape.step() == 3
    session.put(records("walk", 2))
    tape.close({"pages": 101})
    recording = Recording(tmp_path / "new")
    assert recording.complete
    assert recording.records("walk")["seq"].tolist() == [0, 1, 2, 3, 4, 9, 10]
    assert recording.records("reference")["seq"].tolist() == [6, 7, 8]
    assert session.counts == {**dict.fromkeys(events.EVENTS, 0), "walk": 7, "reference": 3}
    assert session.wanted == ()
    told = list(recording.samples())
    assert [replace(each, maps={}, payers={}) for each in told] == session.samples[:-1]
    summed = [sum(counts.walks for counts in each.maps.values()) for each in told]
    assert summed == [5, 7], "what the walks were about"
    assert recording.meta.end.window == (told[0].time_ns, told[-1].time_ns)
    assert recording.meta.end.ledger == {"pages": 101}
    assert recording.meta.end.events == session.samples[-1].events


def test_replay_gives_the_readings_of_the_live_run(session, tmp_path: Path) -> None:
    live = []
    tape = Tape(session, tmp_path / "new", 0.01, on_sample=live.append)
    for _ in range(5):
        time.sleep(0.011)
        tape.step()
    tape.close()
    assert len(live) >= 6
    recording = Recording(tmp_path / "new")
    assert list(frames(replay.samples(recording))) == list(frames(live))
    assert list(frames(replay.whole(recording.samples()))) == list(frames([live[0], live[-1]]))


def request(tmp_path: Path, *command: str, duration_s: float | None = None) -> Request:
    return Request(tmp_path / "new", 0.05, duration_s, command)


def test_it_ends_with_the_command_and_its_status(session, tmp_path: Path) -> None:
    assert recorder.record(session, request(tmp_path, "sh", "-c", "exit 7")) == 7
    recording = Recording(tmp_path / "new")
    assert recording.complete
    assert recording.meta.command == ("sh", "-c", "exit 7")


def test_a_killed_command(session, tmp_path: Path) -> None:
    assert recorder.record(session, request(tmp_path, "sh", "-c", "kill -KILL $$")) == 137


def test_it_ends_with_the_duration(session, tmp_path: Path) -> None:
    begin = time.monotonic()
    assert recorder.record(session, request(tmp_path, duration_s=0.3)) == 0
    assert 0.3 <= time.monotonic() - begin < 2
    assert len(list(Recording(tmp_path / "new").samples())) >= 4


def test_a_command_that_outlives_the_duration_is_ended(session, tmp_path: Path) -> None:
    begin = time.monotonic()
    assert recorder.record(session, request(tmp_path, "sleep", "1000", duration_s=0.2)) == 0
    assert time.monotonic() - begin < 4


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_when_asked_to(told: signal.Signals, session, tmp_path: Path) -> None:
    before = signal.getsignal(told)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), told))
    timer.start()
    try:
        assert recorder.record(session, request(tmp_path, "sleep", "1000")) == 0
    finally:
        timer.cancel()
    assert Recording(tmp_path / "new").complete
    assert signal.getsignal(told) == before


def test_ctrl_c_is_no_failure_of_the_command(session, tmp_path: Path, monkeypatch) -> None:
    """A terminal sends it to both, and the command may be gone first."""

    def interrupted(seconds: float, wait=time.sleep) -> None:
        wait(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(recorder.time, "sleep", interrupted)
    both = request(tmp_path, "sh", "-c", "sleep 0.1; exit 130")
    assert recorder.record(session, both) == 0
    assert Recording(tmp_path / "new").complete


def test_what_cannot_be_done_is_said_first(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="something already"):
        Request(recording, 1).check()
    with pytest.raises(errors.UsageError, match="no such command"):
        request(tmp_path, "no-such-command").check()
    request(tmp_path, "true").check()
    assert not (tmp_path / "new").exists()


def test_decoding_keeps_the_order_of_types(session, records) -> None:
    session.put(records("reference", 2))
    memory = Memory()
    Consumer(session, memory).drain()
    assert set(memory.records()) == set(events.EVENTS)
    assert memory.records()["walk"].dtype.names == ring.dtype("walk").names


LATE = """
import pathlib, sys
sys.path[:0] = [sys.argv[1], str(pathlib.Path(sys.argv[1]).parents[1])]
import conftest
from rmapwatch.recordings import recorder
session = conftest.FakeSession()
for event in recorder.events.EVENTS:
    session.put(conftest.some_records(event, 5))
request = recorder.Request(pathlib.Path(sys.argv[2]), 0.05, 0.2, ("true",))
request.check()
before = set(sys.modules)
recorder.record(session, request)
print(sorted(set(sys.modules) - before))
"""


def test_nothing_is_imported_after_the_check(tmp_path: Path) -> None:
    """Root's own Python cannot be read any more once privileges are dropped."""
    command = [sys.executable, "-c", LATE, str(Path(__file__).parent), str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_pyarrow_that_is_missing_is_said() -> None:
    code = """
import sys
sys.modules["pyarrow"] = None
sys.argv = ["rmapwatch", "record", "-o", "/nowhere/at-all"]
from rmapwatch import cli
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    first, hint = done.stderr.splitlines()
    assert "pyarrow is missing" in first
    assert hint == f"hint: {sys.executable} -m pip install pyarrow"
