"""Whatever the folder holds: a recording, or one error with a hint."""

import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from rmapwatch import errors
from rmapwatch.recordings.reader import Recording
from rmapwatch.recordings.writer import SUFFIX


def refused(folder: Path) -> errors.RmapwatchError:
    def read() -> None:
        recording = Recording(folder)
        list(recording.samples())
        recording.records("walk")

    with pytest.raises(errors.RmapwatchError) as found:
        read()
    assert found.value.hint
    assert "\n" not in str(found.value)
    return found.value


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_no_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "none").code == errors.USAGE


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file").code == errors.USAGE


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"schema": 1}', '"schema"', "\xff"])
def test_bad_json(text: str, recording: Path) -> None:
    (recording / "meta.json").write_text(text, encoding="latin-1")
    assert "meta.json" in refused(recording).why


def test_another_version(recording: Path) -> None:
    change(recording / "meta.json", schema=2)
    assert "its format is 2, not 1" in refused(recording).why


@pytest.mark.parametrize(
    "wrong", [{"kernel": 3}, {"plan": None}, {"command": "true"}, {"end": {"window": [1]}}]
)
def test_meta_of_another_shape(wrong: dict, recording: Path) -> None:
    change(recording / "meta.json", **wrong)
    refused(recording)


def test_a_stream_that_is_no_arrow(recording: Path) -> None:
    (recording / f"walk{SUFFIX}").write_bytes(b"ARROW1\0\0" * 30)
    assert "no Arrow stream" in refused(recording).why


def test_a_foreign_stream(recording: Path) -> None:
    table = pa.table({"time": [1, 2]})
    with pa.ipc.new_stream(str(recording / f"walk{SUFFIX}"), table.schema) as writer:
        writer.write_table(table)
    assert "not written by rmapwatch" in refused(recording).why


def test_streams_that_are_mixed_up(recording: Path) -> None:
    data = (recording / f"reference{SUFFIX}").read_bytes()
    (recording / f"walk{SUFFIX}").write_bytes(data)
    assert "it holds reference" in refused(recording).why


def test_rot_is_said(recording: Path) -> None:
    """Any byte may be wrong: the answer is events or one error, never a traceback."""
    path = recording / f"walk{SUFFIX}"
    data = path.read_bytes()
    for place in range(0, len(data), 37):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with suppress(errors.RmapwatchError):
            Recording(recording).records("walk")


def test_an_event_type_that_an_older_version_did_not_have(recording: Path) -> None:
    (recording / f"walk{SUFFIX}").unlink()
    older = Recording(recording)
    assert older.complete
    assert len(older.records("walk")) == 0


def test_samples_are_never_optional(recording: Path) -> None:
    (recording / f"samples{SUFFIX}").unlink()
    assert not Recording(recording).complete


def test_an_older_recording_is_read_with_what_it_has(recording: Path) -> None:
    told = json.loads((recording / "meta.json").read_text())
    del told["command"]
    (recording / "meta.json").write_text(json.dumps(told))
    assert Recording(recording).meta.command == ()


def test_a_stream_that_an_older_version_wrote(recording: Path) -> None:
    """What it did not know is null in the table, unknown in the records; the rest is as it was."""
    path = recording / f"walk{SUFFIX}"
    told = pa.ipc.open_stream(path.read_bytes()).read_all()
    older = told.drop_columns(["vmas"])
    with pa.ipc.new_stream(path, older.schema) as stream:
        stream.write_table(older)
    table = Recording(recording).table("walk")
    assert table.schema.names == told.schema.names
    assert table.column("vmas").null_count == len(told)
    assert table.drop_columns(["vmas"]).equals(told.drop_columns(["vmas"]))
    assert set(Recording(recording).records("walk")["vmas"]) == {-1}
