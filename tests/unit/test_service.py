"""The loader behind a socket, as systemd starts it; nobody here gets as far as the kernel."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rmapwatch import errors
from rmapwatch.probes import service, session
from servers import until

GROUP = "games"  # any that Debian has, and that nobody is in

CONNECT = """
import sys
from pathlib import Path
from rmapwatch import errors
from rmapwatch.probes import service, session
errors.door(lambda: service.connect(session.Request(probes=()), Path(sys.argv[1])), ["x"])
"""


@pytest.fixture(scope="module")
def loader() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield from listening(Path(folder) / "loader.sock")


def listening(path: Path) -> Iterator[Path]:
    """Let anyone connect to a loader at `path`, while it is in use."""
    command = [
        "systemd-socket-activate", "--accept", f"--listen={path}",
        sys.executable, "-m", "rmapwatch", "loader", "--group", GROUP,
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as waiting:
        until(path.exists)
        path.chmod(0o666)  # so that it is the loader who refuses
        yield path
        waiting.terminate()


def test_who_is_not_in_the_group_is_refused(loader: Path) -> None:
    someone = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    as_someone = someone if os.geteuid() == 0 else []
    done = subprocess.run(
        [*as_someone, sys.executable, "-c", CONNECT, str(loader)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == errors.NOT_PERMITTED, done.stderr
    first, hint = done.stderr.splitlines()
    assert f"is not in the group {GROUP}" in first
    assert hint == f"hint: usermod --append --groups {GROUP} USER"


def test_the_loader_takes_names_and_numbers_alone(loader: Path) -> None:
    """What ends up in a program's text is a number, or there is no program."""
    request = session.Request(probes=(), ring_pages="8\n#error injected")  # type: ignore[arg-type]
    refused = "ring_pages is not what" if os.geteuid() == 0 else "is not in the group"
    with pytest.raises(errors.RmapwatchError, match=refused):
        service.connect(request, loader)
