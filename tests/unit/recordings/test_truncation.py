"""A stream cut anywhere reads up to its last whole batch and says so."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from rmapwatch.probes import events
from rmapwatch.recordings.reader import Recording
from rmapwatch.recordings.writer import SUFFIX

STREAMS = ("samples", *events.EVENTS)
END_MARK = 8


def boundaries(path: Path) -> list[int]:
    """Where each message of a stream ends, by Arrow's own reader."""
    source, found = pa.BufferReader(path.read_bytes()), []
    reader = pa.ipc.MessageReader.open_stream(source)
    for message in iter(lambda: next(reader, None), None):
        if message.type == "record batch":
            found.append(source.tell())
    return found


@pytest.mark.parametrize("stream", STREAMS)
def test_cut_at_every_byte_of_the_last_batch(stream: str, recording: Path) -> None:
    path = recording / f"{stream}{SUFFIX}"
    data, ends = path.read_bytes(), boundaries(path)
    whole = Recording(recording)
    assert whole.complete
    assert list(whole.complaints()) == []
    table, batches = whole.table(stream).combine_chunks(), len(ends)
    assert batches >= 2
    assert ends[-1] + END_MARK == len(data)
    before = table.slice(0, table.num_rows // batches * (batches - 1))
    for size in reversed(range(ends[-2], len(data))):
        os.truncate(path, size)
        cut = Recording(recording)
        last_is_whole = size >= ends[-1]
        assert not cut.complete
        assert cut.truncated[path.name].batches == batches - (not last_is_whole), size
        assert list(cut.truncated) == [path.name]
        assert cut.table(stream).equals(table if last_is_whole else before), size
    assert len(list(Recording(recording).samples())) == (1 if stream == "samples" else 2)


def test_cut_at_every_byte_before_the_first_batch(recording: Path) -> None:
    path = recording / f"walk{SUFFIX}"
    data = path.read_bytes()
    for size in range(0, boundaries(path)[0], 7):
        path.write_bytes(data[:size])
        cut = Recording(recording)
        assert cut.truncated[path.name].batches == 0
        assert len(cut.records("walk")) == 0


def test_a_tail_of_zeros_is_no_end(recording: Path) -> None:
    """As a file system leaves it after a power cut: Arrow alone takes zeros for the end."""
    path = recording / f"walk{SUFFIX}"
    data, ends = path.read_bytes(), boundaries(path)
    path.write_bytes(data[: ends[1]] + bytes(4096))
    cut = Recording(recording)
    assert cut.truncated[path.name].batches == 2
    assert len(cut.records("walk")) == 10


def test_a_batch_that_ends_like_the_end_mark_is_none(tmp_path: Path, recording: Path) -> None:
    """-1 and 0 in a column of 32 bits are the bytes of the end mark."""
    path = recording / f"walk{SUFFIX}"
    data, ends = path.read_bytes(), boundaries(path)
    path.write_bytes(data[: ends[-1] - END_MARK] + b"\xff\xff\xff\xff\0\0\0\0")
    assert Recording(recording).truncated[path.name].reason.endswith("the end mark is missing")


WRITER = """
import pathlib, sys
sys.path[:0] = [sys.argv[2], str(pathlib.Path(sys.argv[2]).parents[1])]
import conftest
conftest.a_recording(pathlib.Path(sys.argv[1]), batches=3, whole=False).append(
    "walk", conftest.some_records("walk", 100))
print("flushed", flush=True)
import time; time.sleep(1000)
"""


def test_a_killed_writer_leaves_what_it_flushed(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    command = [sys.executable, "-c", WRITER, str(folder), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "flushed\n"
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    left = Recording(folder)
    assert not left.meta.complete
    assert not left.complete
    assert left.meta.end is None
    assert {name: cut.batches for name, cut in left.truncated.items()} == {
        f"samples{SUFFIX}": 2,
        **{f"{event}{SUFFIX}": 3 for event in events.EVENTS},
    }
    assert len(left.records("walk")) == 15
    assert len(list(left.samples())) == 2
    assert next(left.complaints()) == "meta.json: its writer did not end it"


def test_scanning_does_not_read_what_the_batches_hold(tmp_path: Path, write, records) -> None:
    """A long recording opens at once."""
    writer = write(tmp_path / "long", whole=False)
    for number in range(30):
        writer.append("walk", records("walk", 20_000, number))
        writer.flush()
    begin = time.perf_counter()
    assert Recording(tmp_path / "long").truncated[f"walk{SUFFIX}"].batches == 33
    scanned = time.perf_counter() - begin
    begin = time.perf_counter()
    Recording(tmp_path / "long").records("walk")
    assert scanned < (time.perf_counter() - begin) / 3
    shutil.rmtree(tmp_path / "long")
