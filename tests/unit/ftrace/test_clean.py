"""What is ours in tracefs, what is somebody else's, and who watches over it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rmapwatch.probes.ftrace import clean

GONE = 4194305  # beyond the largest pid there can be
DEFINED = f"""\
p:rmapwatch_1/walk_in_1 rmap_walk_anon folio=$arg1:x64
r512:rmapwatch_{GONE}/walk_out_{GONE} rmap_walk_anon
p:rmapwatch_{GONE}/walk_in_{GONE} rmap_walk_anon
p:rmapwatch_{GONE}0/walk_in rmap_walk_anon
p:mine/rmapwatch_{GONE} vfs_read
"""


@pytest.fixture
def tracefs(tmp_path: Path) -> Path:
    for name in ("rmapwatch-1", f"rmapwatch-{GONE}", f"my-rmapwatch-{GONE}", "rmapwatched"):
        (tmp_path / "instances" / name).mkdir(parents=True)
    (tmp_path / "kprobe_events").write_text(DEFINED)
    return tmp_path


def test_only_those_of_owners_that_are_gone_remain(tracefs: Path) -> None:
    assert clean.remains(tracefs) == [GONE, GONE * 10]
    mine = tracefs / "instances" / f"rmapwatch-{os.getpid()}"
    mine.mkdir()
    assert os.getpid() in clean.remains(tracefs)


def test_nothing_but_the_owners_is_removed(tracefs: Path) -> None:
    assert clean.remove(tracefs, GONE)
    left = {path.name for path in (tracefs / "instances").iterdir()}
    assert left == {"rmapwatch-1", f"my-rmapwatch-{GONE}", "rmapwatched"}
    said = (tracefs / "kprobe_events").read_text().removeprefix(DEFINED).splitlines()
    group = f"rmapwatch_{GONE}"
    assert said == [f"-:{group}/walk_out_{GONE}", f"-:{group}/walk_in_{GONE}"]


def test_an_instance_in_use_keeps_its_events(tracefs: Path) -> None:
    """The kernel answers EBUSY, as a folder that is not empty does ENOTEMPTY."""
    (tracefs / "instances" / f"rmapwatch-{GONE}" / "busy").touch()
    assert not clean.remove(tracefs, GONE)
    assert (tracefs / "kprobe_events").read_text() == DEFINED


def test_the_supervisor_waits_for_the_owners_end(tracefs: Path) -> None:
    """And for nothing else: neither Ctrl-C nor SIGTERM ends it before."""
    waiting, held = os.pipe()
    command = [sys.executable, "-I", "-S", clean.__file__, str(waiting), str(tracefs), str(GONE)]
    with subprocess.Popen(command, pass_fds=[waiting]) as supervisor:
        os.close(waiting)
        with pytest.raises(subprocess.TimeoutExpired):
            supervisor.wait(2)
        supervisor.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            supervisor.wait(0.5)
        assert (tracefs / "instances" / f"rmapwatch-{GONE}").exists()
        os.close(held)
        assert supervisor.wait(10) == 0
    assert not (tracefs / "instances" / f"rmapwatch-{GONE}").exists()
