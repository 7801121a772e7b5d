"""`rmapwatch record` as a user types it: a command's status, the user's own files, a killed one."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

from rmapwatch.recordings.reader import Recording

NOBODY = 65534


def test_it_records_while_a_command_runs(tmp_path: Path) -> None:
    """The folder is the user's who called sudo, and so is the command."""
    tmp_path.chmod(0o777)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    folder = tmp_path / "recording"
    record = [sys.executable, "-m", "rmapwatch", "record", "-o", str(folder), "-i", "0.2", "--"]
    done = subprocess.run(
        [*record, "sh", "-c", f"id -u; {sys.executable} -c pass; exit 7"],
        env={**os.environ, "SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert done.stdout == f"{NOBODY}\n"
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {NOBODY}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    recording = Recording(folder)
    assert recording.complete
    assert len(list(recording.samples())) >= 2
    for event, counts in recording.meta.end.events.items():
        assert counts.produced == counts.received + counts.lost
        assert len(recording.records(event)) == counts.received
    top = [sys.executable, "-m", "rmapwatch", "top", "--replay", str(folder), "--once", "--json"]
    shown = json.loads(subprocess.check_output(top, text=True))
    assert shown["kernel"] == os.uname().release


def test_a_killed_recording_can_be_read(storm_program: str, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    record = [sys.executable, "-m", "rmapwatch", "record", "-o", str(folder), "-i", "0.1", "--"]
    storm = [storm_program, "--children", "3", "--pages", "211", "--rounds", "3"]
    with subprocess.Popen(
        [*record, "sh", "-c", f"{' '.join(storm)}; sleep 2; kill -KILL $PPID"]
    ) as killed:
        pass
    assert killed.returncode == -signal.SIGKILL
    left = Recording(folder)
    assert not left.complete
    assert left.truncated
    assert len(list(left.samples())) >= 1
    assert len(left.records("walk")) > 0
