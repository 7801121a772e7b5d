"""Makes an instance and its events in tracefs, and has them removed when this process ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ... import errors
from ...kernels import read, syscalls
from ...kernels.btf import VMLINUX, Btf
from ...kernels.facts import KernelFacts
from .. import catalogue, needs
from . import clean
from .plan import Write

_WHAT = "the trace buffers cannot be set up"
_REMOUNT = "mount -o remount,rw /sys/kernel/tracing"
_SWEEP = "rmapwatch doctor --sweep"
_END_S = 60.0  # each event takes the kernel a grace period


class RefusedError(Exception):
    """The kernel's answer to a line: errno, and the words of its error log."""


def root() -> Path:
    """Return where tracefs is; raise where it is not, or may not be looked at."""
    try:
        return syscalls.tracefs()
    except FileNotFoundError:
        raise needs.no_tracefs() from None
    except PermissionError:
        raise needs.forbidden_tracefs(needs.lockdown()) from None


def facts() -> KernelFacts:
    """Return the facts of the running kernel, nothing tried; without BTF where it has none."""
    try:
        btf = Btf.of_kernel() if VMLINUX.exists() else None
        return read.read_facts(catalogue.WANTED, btf, read.addresses(catalogue.WANTED.symbols))
    except FileNotFoundError:
        raise needs.no_tracefs() from None
    except PermissionError:
        raise needs.forbidden_tracefs(needs.lockdown()) from None


def sweep(tracefs: Path) -> list[int]:
    """Remove what owners that are gone have left behind; return whose that was."""
    try:
        return clean.sweep(tracefs)
    except FileNotFoundError as missing:
        raise errors.NothingAttachedError(
            _WHAT, f"this kernel has no {missing.filename}", "grep KPROBE_EVENTS /boot/config-*"
        ) from None


def make(tracefs: Path, writes: Iterable[Write]) -> None:
    """Do what makes an instance; raise what a user can act on."""
    for write in writes:
        try:
            _do(tracefs, write)
        except OSError as refused:
            raise _told(write, refused) from None


def _told(write: Write, refused: OSError) -> errors.RmapwatchError:
    why = f"{write.path}: {os.strerror(refused.errno or 0)}"
    match refused.errno:
        case errno.EROFS:
            return errors.NothingAttachedError(_WHAT, "tracefs is mounted read-only", _REMOUNT)
        case errno.EEXIST:
            return errors.NothingAttachedError(_WHAT, f"{write.path} is taken", _SWEEP)
        case errno.EPERM | errno.EACCES:
            return needs.forbidden_tracefs(needs.lockdown())
        case errno.ENOENT if write.line is None:
            return errors.NothingAttachedError(_WHAT, "this kernel has no instances", "uname -r")
    return errors.NothingAttachedError(_WHAT, why, "rmapwatch probes --backend ftrace --dry-run")


def attempt(tracefs: Path, write: Write) -> None:
    """Write a line for one probe point; raise `RefusedError`."""
    try:
        _do(tracefs, write)
    except OSError as refused:
        name = errno.errorcode.get(refused.errno or 0, str(refused.errno))
        said = _last_words(tracefs) if write.path == "kprobe_events" else ""
        raise RefusedError(f"{name}: {said}" if said else name) from None


def _do(tracefs: Path, write: Write) -> None:
    path = tracefs / write.path
    if write.line is None:
        path.mkdir()
    else:
        clean.write(path, write.line)


def _last_words(tracefs: Path) -> str:
    """Return what the kernel said last of a line that it did not take."""
    try:
        lines = (tracefs / "error_log").read_text().splitlines()
    except OSError:
        return ""
    said = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return said[-1].lower() if said else ""


class Supervisor:
    """The process that cleans up behind this one, however it ends."""

    def __init__(self, tracefs: Path) -> None:
        """Start it, before anything is there to be removed."""
        waiting, self._open = os.pipe()
        script = str(Path(clean.__file__))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", script, str(waiting), str(tracefs), str(os.getpid())],
            pass_fds=[waiting],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C ends the owner, not this
        )
        os.close(waiting)

    def end(self) -> bool:
        """Have everything removed; return whether nothing is left."""
        os.close(self._open)
        try:
            return self._process.wait(_END_S) == 0
        except subprocess.TimeoutExpired:
            return False
