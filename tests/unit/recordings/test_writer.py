"""Who may read a recording, what is never written over, and what any Arrow reader sees."""

import dataclasses
import json
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from rmapwatch import __version__, errors
from rmapwatch.probes import events
from rmapwatch.recordings import codec, schema
from rmapwatch.recordings import meta as metas
from rmapwatch.recordings.reader import Recording
from rmapwatch.recordings.writer import FLUSH_RECORDS, SUFFIX, Writer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("existing", [False, True])
def test_its_owner_alone_can_read_it(existing: bool, tmp_path: Path, write) -> None:
    folder = tmp_path / "new"
    if existing:
        folder.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        write(folder)
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    files = {path.name: mode(path) for path in folder.iterdir()}
    names = {"meta.json", f"samples{SUFFIX}", *(f"{event}{SUFFIX}" for event in events.EVENTS)}
    assert files == dict.fromkeys(names, 0o600)


def test_nothing_is_written_over(recording: Path, meta: metas.Meta) -> None:
    before = {path.name: path.read_bytes() for path in recording.iterdir()}
    with pytest.raises(errors.UsageError) as refused:
        Writer(recording, meta)
    assert refused.value.hint == f"-o {recording}-2"
    assert {path.name: path.read_bytes() for path in recording.iterdir()} == before


def test_a_file_is_no_place_for_a_recording(tmp_path: Path, meta: metas.Meta) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(errors.UsageError):
        Writer(tmp_path / "file", meta)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("event", list(events.EVENTS))
def test_pyarrow_reads_the_streams_as_they_are(event: str, recording: Path) -> None:
    with (recording / f"{event}{SUFFIX}").open("rb") as file:
        table = pa.ipc.open_stream(file).read_all()
    assert table.equals(Recording(recording).table(event))
    assert table.num_rows == 15


def test_pyarrow_reads_the_samples_as_they_are(recording: Path) -> None:
    with (recording / f"samples{SUFFIX}").open("rb") as file:
        rows = pa.ipc.open_stream(file).read_all().to_pylist()
    assert [row["time_ns"] for row in rows] == [1_000_000_000, 3_000_000_000]
    assert json.loads(rows[0]["walks"])[0][:2] == ["reference", "anon"]


def test_meta_says_how_it_ended(recording: Path, meta: metas.Meta, end: metas.Ending) -> None:
    assert Recording(recording).meta == dataclasses.replace(meta, complete=True, end=end)
    told = json.loads((recording / "meta.json").read_text())
    assert told["complete"] is True
    assert told["rmapwatch"] == __version__
    assert told["end"]["missed"] == {"rmap_walk_anon": 0, "x": None}
    assert told["kernel"]["release"] == meta.kernel.release


def test_facts_of_real_kernels_come_back(kernel_facts, tmp_path: Path, meta: metas.Meta) -> None:
    metas.write(tmp_path, dataclasses.replace(meta, kernel=kernel_facts))
    assert metas.read(tmp_path).kernel == kernel_facts


def test_meta_is_replaced_at_once(
    tmp_path: Path, meta: metas.Meta, monkeypatch: pytest.MonkeyPatch
) -> None:
    metas.write(tmp_path, meta)
    before = (tmp_path / "meta.json").read_text()

    def killed(fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        metas.write(tmp_path, dataclasses.replace(meta, complete=True))
    assert (tmp_path / "meta.json").read_text() == before


def test_many_events_are_flushed_by_themselves(tmp_path: Path, meta: metas.Meta, records) -> None:
    writer = Writer(tmp_path / "new", meta)
    told = records("walk", FLUSH_RECORDS // 2)
    writer.append("walk", told)
    assert (tmp_path / "new" / f"walk{SUFFIX}").stat().st_size == 0
    writer.append("walk", told)
    assert Recording(tmp_path / "new").truncated[f"walk{SUFFIX}"].batches == 1


FULL = """
import pathlib, resource, signal, sys
sys.path[:0] = [sys.argv[2], str(pathlib.Path(sys.argv[2]).parents[1])]
import conftest
from rmapwatch.errors import RmapwatchError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
writer = conftest.a_recording(pathlib.Path(sys.argv[1]), whole=False)
try:
    for number in range(100):
        writer.append("walk", conftest.some_records("walk", 500, number))
        writer.flush()
except RmapwatchError as error:
    print(error.what, "|", error.why, "|", error.hint)
"""


def test_a_full_disk_is_said_and_the_rest_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "full"
    command = [sys.executable, "-c", FULL, str(folder), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "full cannot be written | " in done.stdout, done.stderr
    left = Recording(folder)
    assert left.truncated[f"walk{SUFFIX}"].batches >= 3
    assert len(left.records("walk")) >= 15
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != 100_000


def test_the_format_is_one_number() -> None:
    assert codec.dump(metas.VERSION) == schema.VERSION
