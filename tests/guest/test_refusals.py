"""What cannot be done is said in one line and a hint, and nothing is left behind by it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rmapwatch.probes import compiled, session
from traces import held, settled


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
    script = f"{nothing_kept} && exec {sys.executable} -m rmapwatch top --once --backend bcc"
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
        "sys.argv = 'rmapwatch top --once --backend bcc'.split(); cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = one_line_and_a_hint(done, 4)
    assert "has no bcc" in said
    assert "apt-get install -y python3-bpfcc" in said


def test_without_headers() -> None:
    release = os.uname().release
    script = f"""
    mkdir -p /tmp/empty && mount --bind /tmp/empty /lib/modules &&
    exec {sys.executable} -m rmapwatch top --once --backend bcc"""
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
    said = one_line_and_a_hint(done, 4)
    assert "tracefs is not there" in said
    assert "hint: mount -t tracefs tracefs /sys/kernel/tracing\n" in said


def test_without_root() -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
         sys.executable, "-m", "rmapwatch", "top", "--once"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = one_line_and_a_hint(done, 3)
    assert "hint: sudo rmapwatch top --once\n" in said


def test_the_loader_answers_a_request_for_nothing() -> None:
    with pytest.raises(Exception, match="no probe was asked for"):
        session.start(session.Request(probes=()))
