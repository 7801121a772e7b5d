"""What the backend without BPF puts into tracefs, and leaves behind there: nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rmapwatch import errors
from rmapwatch.probes import catalogue
from rmapwatch.probes.ftrace import clean, session, tracefs
from rmapwatch.probes.sample import Sample
from rmapwatch.probes.session import Request

ROOT = tracefs.root()
STORM = ("--children", "7", "--pages", "101", "--rounds", "2")
EVERY_VMA = Request(probes=catalogue.names(steps=True))
WALKS_ALONE = Request(probes=("rmap_walk_anon",))
RMAPWATCH = Path(sys.executable).with_name("rmapwatch")

OWNER = """
import sys, time
from rmapwatch.probes.ftrace import session
from rmapwatch.probes.session import Request
attached = session.start(Request(probes=("rmap_walk_anon",)))
print("ready", attached._instance._supervisor._process.pid, flush=True)
sys.stdin.read()
attached.close()
"""


@pytest.fixture
def by_events() -> Iterator[session.Session]:
    live = session.start(EVERY_VMA)
    yield live
    live.close()


@pytest.fixture
def somebody_else() -> Iterator[tuple[Path, Path]]:
    """Another user's instance and event, in use."""
    instance, events = ROOT / "instances" / "rmapwatched", ROOT / "kprobe_events"
    instance.mkdir()
    clean.write(events, "p:somebody/else vfs_fsync")
    switch = instance / "events" / "somebody" / "else" / "enable"
    switch.write_text("1")
    yield instance, switch
    switch.write_text("0")
    instance.rmdir()
    clean.write(events, "-:somebody/else")


def quiet(live: session.Session) -> Sample:
    for _ in range(100):
        sample = live.sample()
        if sample.quiet:
            return sample
        time.sleep(0.1)
    raise AssertionError("the guest does not come to rest")


def walks_of(sample: Sample) -> int:
    """Walks to unmap anonymous pages, of which none was missed, nor anything else."""
    missed = {probe: account.missed for probe, account in sample.accounts.items() if account.missed}
    assert missed == {}
    return sample.walks["unmap", "anon"].walks


def test_nothing_is_left_when_the_owner_ends(somebody_else) -> None:
    """By itself, by SIGKILL, or with its supervisor: then the next start sweeps."""
    for end in ("by itself", "killed", "both killed"):
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        _, supervisor = owner.stdout.readline().split()
        assert of(owner.pid) == 3, "an instance and two events"
        if end == "both killed":
            os.kill(int(supervisor), signal.SIGKILL)
        if end == "by itself":
            owner.stdin.close()
        else:
            owner.kill()
        owner.wait()
        if end == "both killed":
            assert of(owner.pid) == 3
            assert owner.pid in clean.sweep(ROOT)
        gone_within(30, owner.pid)
    instance, switch = somebody_else
    assert instance.is_dir()
    assert switch.read_text().strip().startswith("1")


def of(owner: int) -> int:
    """How much of an owner there is in tracefs."""
    lines = (ROOT / "kprobe_events").read_text().splitlines()
    events = sum(f":{clean.GROUP}{owner}/" in line for line in lines)
    return events + (ROOT / f"{clean.INSTANCE}{owner}").exists()


def gone_within(seconds: float, owner: int) -> None:
    end = time.monotonic() + seconds
    while of(owner):
        assert time.monotonic() < end, "something was left behind"
        time.sleep(0.1)


def test_two_at_once_do_not_disturb_each_other(by_events, storm_program) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    other.stdout.readline()
    before = walks_of(quiet(by_events))
    other.stdin.close()
    assert other.wait() == 0
    gone_within(30, other.pid)
    subprocess.run([storm_program, *STORM], stdout=subprocess.DEVNULL, check=True)
    assert walks_of(quiet(by_events)) > before


def test_a_name_that_is_taken_is_said() -> None:
    taken = ROOT / f"{clean.INSTANCE}{os.getpid()}"
    taken.mkdir()
    with (taken / "trace_pipe").open("rb"), pytest.raises(errors.NothingAttachedError) as refused:
        session.start(WALKS_ALONE)
    assert "is taken" in refused.value.why
    session.start(WALKS_ALONE).close()
    assert of(os.getpid()) == 0


@pytest.mark.parametrize(
    ("hide", "said"),
    [
        ("mount -o remount,bind,ro /sys/kernel/tracing", "read-only"),
        (
            "mount -t tmpfs none /sys/kernel/tracing; mount -t tmpfs none /sys/kernel/debug",
            "not th",
        ),
    ],
)
def test_tracefs_that_cannot_be_used_is_said(hide: str, said: str) -> None:
    command = f"{hide} && exec {RMAPWATCH} top --once --backend ftrace"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == errors.NOTHING_ATTACHED, done.stderr
    assert said in done.stderr
    assert "hint: mount" in done.stderr
