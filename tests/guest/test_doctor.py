"""`rmapwatch doctor` on a real kernel: what is hidden is missing, and `top` says the same."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rmapwatch.doctor import selftest
from rmapwatch.kernels import read, syscalls

DOCTOR = [sys.executable, "-m", "rmapwatch", "doctor", "--json", "--backend", "bcc"]
TOP = [sys.executable, "-m", "rmapwatch", "top", "--once", "--backend", "bcc"]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def hidden(before: str, command: list[str]) -> list[str]:
    """The command, in a mount namespace in which `before` was done."""
    script = f'mkdir -p /tmp/empty; {before}; exec "$@"'
    return ["unshare", "--mount", "sh", "-ec", script, "sh", *command]


def seen(done: subprocess.CompletedProcess) -> dict[str, dict]:
    return {row["check"]: row for row in json.loads(done.stdout)["checks"]}


def missing(rows: dict[str, dict]) -> set[str]:
    return {name for name, row in rows.items() if row["state"] == "missing"}


def test_everything_is_there() -> None:
    done = run(*DOCTOR)
    assert done.returncode == 0, done.stdout
    rows = seen(done)
    assert {name for name, row in rows.items() if row["state"] != "ok"} <= {"locked memory"}
    assert rows["kernel headers"]["why"] == f"those of {os.uname().release}"


@pytest.mark.parametrize(
    ("before", "row", "hint"),
    [
        (
            "umount /sys/kernel/tracing; umount /sys/kernel/debug",
            "tracefs",
            "mount -t tracefs tracefs /sys/kernel/tracing",
        ),
        (
            "mount --bind /tmp/empty /lib/modules",
            "kernel headers",
            f"apt-get install -y linux-headers-{os.uname().release}",
        ),
        (
            "mount --bind /tmp/empty /usr/lib/python3/dist-packages",
            "bcc",
            "apt-get install -y python3-bpfcc",
        ),
    ],
    ids=["tracefs", "headers", "bcc"],
)
def test_what_is_hidden_is_missing(before: str, row: str, hint: str) -> None:
    done = run(*hidden(before, DOCTOR))
    assert done.returncode == 4
    rows = seen(done)
    assert missing(rows) == {row}
    assert rows[row]["hint"] == hint
    top = run(*hidden(before, TOP))
    assert top.returncode == 4
    assert rows[row]["why"].partition(":")[0] in top.stderr
    assert f"hint: {hint}\n" in top.stderr


def test_the_hint_for_tracefs_mends_it() -> None:
    before = "umount /sys/kernel/tracing; umount /sys/kernel/debug"
    hint = seen(run(*hidden(before, DOCTOR)))["tracefs"]["hint"]
    assert run(*hidden(f"{before}; {hint}", DOCTOR)).returncode == 0


def test_without_root() -> None:
    done = run(*NOBODY, *DOCTOR)
    assert done.returncode == 3, done.stderr
    rows = seen(done)
    assert missing(rows) == {"root"}
    assert rows["root"]["hint"] == "sudo rmapwatch doctor"
    assert rows["tracefs"]["state"] == rows["capabilities"]["state"] == "warning"
    assert run(*NOBODY, *TOP).returncode == 3


def test_root_without_its_capabilities() -> None:
    lost = "--bounding-set=-sys_admin,-bpf"
    done = run("setpriv", lost, "--", *DOCTOR)
    assert done.returncode == 3
    assert missing(seen(done)) == {"capabilities"}
    assert "no CAP_BPF" in seen(done)["capabilities"]["why"]


def test_headers_and_no_root_are_both_told() -> None:
    before = "mount --bind /tmp/empty /lib/modules"
    done = run(*hidden(before, [*NOBODY, *DOCTOR]))
    assert done.returncode == 4
    rows = seen(done)
    assert missing(rows) == {"root", "kernel headers"}
    assert rows["kernel headers"]["hint"].startswith("sudo apt-get install -y linux-headers-")


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A real file system of the guest's own, in compressed memory."""
    number = Path("/sys/class/zram-control/hot_add").read_text().strip()
    Path(f"/sys/block/zram{number}/disksize").write_text("64M")
    folder = Path("/mnt/selftest")
    folder.mkdir(parents=True)
    for command in (
        ["mkfs.ext4", "-q", f"/dev/zram{number}"],
        ["mount", f"/dev/zram{number}", folder],
    ):
        subprocess.run(command, check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_the_self_test_agrees(disk: Path) -> None:
    done = run(*DOCTOR, "--self-test", "--folder", str(disk))
    assert done.returncode == 0, done.stdout + done.stderr
    rules = json.loads(done.stdout)["self_test"]
    print(rules)
    assert [rule["agrees"] for rule in rules] == [True] * 5
    assert [rule["predicted"] for rule in rules][:3] == [31, 31 * 7, 31 * 5]
    assert list(disk.iterdir()) == [disk / "lost+found"]


def test_the_self_test_needs_a_disk(tmp_path: Path) -> None:
    done = run(*DOCTOR, "--self-test", "--folder", "/dev/shm")
    assert done.returncode == 1
    assert "/dev/shm is on tmpfs" in done.stderr


def test_the_self_test_can_fail(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one process more than told writes to the pages, their entries are seen."""
    real, forked = selftest._sharer, []

    def one_writer_more(fd: int, writes: bool, *pipes: int) -> int:
        forked.append(writes)
        return real(fd, writes or forked.count(False) == 1, *pipes)

    monkeypatch.setattr(selftest, "_sharer", one_writer_more)
    rules = selftest.run(disk)
    assert [rule.agrees for rule in rules] == [True, True, False, True, True]
    assert rules[2].observed == 31 * 6


def test_reading_this_machine_attaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from rmapwatch.doctor import host

    for refused in ("load", "attach"):
        monkeypatch.setattr(syscalls, refused, lambda *_: pytest.fail("it attaches"))
    assert host.read_host().config == read.config(host.CONFIG)
