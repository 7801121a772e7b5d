"""A recording as if it came now: `top --replay`, at its own pace or at once."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rmapwatch import errors
from rmapwatch.collectors.frame import frame, frames
from rmapwatch.recordings import replay
from rmapwatch.recordings.reader import Recording


def top(folder: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "rmapwatch", "top", "--replay", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_its_own_pace(sample) -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    taken = [sample(t, t) for t in (5_000_000_000, 7_000_000_000, 7_500_000_000)]
    shown = []
    for each in replay.paced(taken, lambda: now[0], sleep):
        shown.append(now[0])
        now[0] += 0.25  # what showing it takes
        assert each is taken[len(shown) - 1]
    assert shown == [100.0, 102.0, 102.5]
    assert slept == [1.75, 0.25]


def test_at_once(sample) -> None:
    taken = [sample(t, t) for t in (5, 6, 7)]
    assert list(replay.whole(taken)) == [taken[0], taken[2]]
    assert list(replay.whole(taken[:1])) == taken[:1]
    assert list(replay.whole([])) == []


def test_no_sample_at_all(tmp_path: Path, meta) -> None:
    from rmapwatch.recordings.writer import Writer

    Writer(tmp_path / "new", meta)
    with pytest.raises(errors.RmapwatchError, match="before its first sample"):
        replay.samples(Recording(tmp_path / "new"))


def test_top_shows_the_whole_window_at_once(recording: Path, sample) -> None:
    done = top(recording, "--once", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, last = sample(1_000_000_000, 1), sample(3_000_000_000, 4)
    assert json.loads(done.stdout) == dataclasses.asdict(frame(last, first))
    assert "last 2.0 s" in top(recording, "--once").stdout


def test_top_shows_frame_after_frame(recording: Path) -> None:
    begin = time.monotonic()
    done = top(recording, "--json")
    assert time.monotonic() - begin >= 2
    expected = list(frames(Recording(recording).samples()))[1:]
    assert json.loads(done.stdout) == dataclasses.asdict(expected[0])
    assert done.returncode == 0


def test_top_says_what_is_missing(recording: Path) -> None:
    path = recording / "samples.arrows"
    path.write_bytes(path.read_bytes()[:-1])
    done = top(recording, "--once")
    assert done.returncode == 0
    assert "samples.arrows: read up to its whole batches, 2: it is cut off" in done.stderr


@pytest.mark.parametrize("what", ["no such folder", "no recording"])
def test_top_of_what_is_no_recording(what: str, tmp_path: Path) -> None:
    folder = tmp_path if what == "no recording" else tmp_path / "none"
    done = top(folder)
    first, hint = done.stderr.splitlines()
    assert done.returncode == 2
    assert first.startswith("rmapwatch: ")
    assert hint.startswith("hint: ")


def test_record_refuses_a_folder_that_is_taken(recording: Path) -> None:
    command = [sys.executable, "-m", "rmapwatch", "record", "-o", str(recording)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is something already" in done.stderr
