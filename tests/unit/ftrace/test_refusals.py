"""What tracefs refuses: an error that a user can act on, or a probe point with the reason."""

import errno
import os
from pathlib import Path

import pytest
from rmapwatch import errors
from rmapwatch.probes.ftrace import tracefs
from rmapwatch.probes.ftrace.plan import Write

MADE, SET = Write("instances/rmapwatch-7"), Write("instances/rmapwatch-7/trace_clock", "mono")


def refusing(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written is answered with this errno."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tracefs, "_do", refuse)


@pytest.mark.parametrize(
    ("write", "number", "code", "why", "hint"),
    [
        (MADE, errno.EROFS, errors.NOTHING_ATTACHED, "mounted read-only", "remount,rw"),
        (MADE, errno.EEXIST, errors.NOTHING_ATTACHED, "rmapwatch-7 is taken", "doctor --sweep"),
        (MADE, errno.ENOENT, errors.NOTHING_ATTACHED, "no instances", "uname"),
        (SET, errno.ENOENT, errors.NOTHING_ATTACHED, "trace_clock: No such file", "--dry-run"),
        (SET, errno.ENOMEM, errors.NOTHING_ATTACHED, "Cannot allocate memory", "--dry-run"),
        (MADE, errno.EPERM, errors.NOT_PERMITTED, "may not be read", "available_filter"),
        (SET, errno.EACCES, errors.NOT_PERMITTED, "may not be read", "available_filter"),
    ],
)
def test_an_instance_that_cannot_be_made(
    write: Write, number: int, code: int, why: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(number, monkeypatch)
    monkeypatch.setattr(tracefs.needs, "lockdown", lambda: None)
    with pytest.raises(errors.RmapwatchError) as refused:
        tracefs.make(Path("/nowhere"), [write])
    assert refused.value.code == code
    assert why in refused.value.why
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("raised", "code", "hint"),
    [
        (FileNotFoundError, errors.NOTHING_ATTACHED, "mount -t tracefs"),
        (PermissionError, errors.NOT_PERMITTED, "available_filter"),
    ],
)
def test_tracefs_that_is_not_there(
    raised: type[OSError], code: int, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> Path:
        raise raised

    monkeypatch.setattr(tracefs.syscalls, "tracefs", absent)
    monkeypatch.setattr(tracefs.needs, "lockdown", lambda: None)
    with pytest.raises(errors.RmapwatchError) as refused:
        tracefs.root()
    assert refused.value.code == code
    assert hint in refused.value.hint


def test_an_event_that_is_refused_has_the_kernels_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "error_log").write_text(
        "[1.0] trace_kprobe: error: Old words\n  Command: x\n"
        "[2.0] trace_kprobe: error: Event already exists\n  Command: y\n"
    )
    refusing(errno.EEXIST, monkeypatch)
    with pytest.raises(tracefs.RefusedError, match=r"^EEXIST: event already exists$"):
        tracefs.attempt(tmp_path, Write("kprobe_events", "p:a/b c"))
    with pytest.raises(tracefs.RefusedError, match=r"^EEXIST$"):
        tracefs.attempt(tmp_path, Write("events/a/b/enable", "1"))
