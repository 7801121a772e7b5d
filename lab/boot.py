"""Boots a kernel with this machine's own files and runs a command under it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RmapwatchError
from . import accel, initramfs, qemu
from .kernels import LabKernel
from .qemu import Boot, Machine, OnLine, Share

CONSOLE_LOG = "console.log"

# While a kernel boots it patches text that its other CPUs run, and QEMU's emulation may let one of
# them trap on a breakpoint that is gone: "Oops: int3". A real machine does not.
_BOOTS = 3

# A process left behind may hold the pipe open for ever: it gets 5 s.
_FLUSH = """\
tries=50
until [ -e /run/flushed ] || [ $((tries -= 1)) = 0 ]; do /run/busybox sleep 0.1; done"""
# How a kernel begins to tell of its own end.
_DEADLY = re.compile(r"BUG: |Oops|general protection|Kernel panic|Out of memory: |soft lockup")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class GuestResult:
    """How a guest ended."""

    exit_code: int
    """Of the command; 128 + n if signal n killed it."""
    seconds_boot: float
    """From the start of the emulator to the start of the command, wall time."""
    seconds: float
    """From start to end, wall time."""
    log_path: Path
    """What the kernel said."""
    accel: str
    """``kvm`` or ``tcg``."""
    boots: int = 1
    """How often it was started: an emulated kernel may die as it patches its own text."""


def run_guest(
    kernel: LabKernel,
    argv: Sequence[str],
    out: Path,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    on_line: OnLine | None = None,
) -> GuestResult:
    """
    Run ``argv`` as root under ``kernel`` and wait for its end.

    The guest sees this machine's files where they are; what it changes is gone afterwards, but for
    ``out``, which is made if need be and is the command's working folder. ``on_line`` gets the
    lines of stdout and stderr as they come. Raises RmapwatchError, naming the console log, if the
    guest hangs or ends without the command's exit status.
    """
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    chosen = accel.chosen(kernel, machine)
    with tempfile.TemporaryDirectory(prefix="rmapwatch-guest-") as name:
        return _run(kernel, _Control(Path(name), argv, out, machine), chosen, on_line)


@dataclass(frozen=True)
class _Control:
    """The folder through which host and guest talk, and what is told through it."""

    folder: Path
    argv: Sequence[str]
    out: Path
    machine: Machine

    @property
    def log(self) -> Path:
        return self.out / CONSOLE_LOG

    @property
    def started(self) -> Path:
        """Is there from the moment the command is started."""
        return self.folder / "started"


def _run(kernel: LabKernel, control: _Control, chosen: str, on_line: OnLine | None) -> GuestResult:
    begin = time.time()
    boots, complaint = 1, _booted(kernel, control, chosen, on_line)
    while boots < _BOOTS and not complaint and not control.started.exists():
        if on_line:
            on_line(f"the guest died while it booted{last_words(control.log)}; once more")
        if control.log.exists():
            control.log.replace(control.log.with_suffix(f".{boots}.log"))
        boots, complaint = boots + 1, _booted(kernel, control, chosen, on_line)
    return GuestResult(
        exit_code=_exit_code(control, complaint),
        seconds_boot=max(0.0, control.started.stat().st_mtime - begin),
        seconds=time.time() - begin,
        log_path=control.log,
        accel=chosen,
        boots=boots,
    )


def _booted(kernel: LabKernel, control: _Control, chosen: str, on_line: OnLine | None) -> str:
    """Run the guest to its end and return what its emulator complained of."""
    command = qemu.command_line(control.machine, _prepared(kernel, control), chosen)
    try:
        return qemu.run(command, control.machine, on_line)
    except qemu.Deadline as late:
        hint = f"the kernel's last words: tail {control.log}"
        raise qemu.Deadline(late.what, late.why, hint) from None


def _exit_code(control: _Control, complaint: str) -> int:
    path = control.folder / "exit"
    if not path.exists():
        why = complaint or "it ended before the command did" + last_words(control.log)
        hint = f"the kernel's last words: tail {control.log}"
        raise RmapwatchError("the guest broke down", why, hint)
    return int(path.read_text())


def last_words(log: Path) -> str:
    """Return what first went wrong by a kernel's log, after a colon; "" where nothing did."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((f": {line.strip()}" for line in lines if _DEADLY.search(line)), "")


def _prepared(kernel: LabKernel, control: _Control) -> Boot:
    initrd = control.folder / "initrd"
    initrd.write_bytes(initramfs.build(kernel.modules))
    (control.folder / "setup.sh").write_text(setup_script(kernel, control.out))
    script = command_script(control.argv, control.out, control.machine.interactive)
    (control.folder / "command.sh").write_text(script)
    shares = (
        Share("root", Path("/"), readonly=True),
        Share("control", control.folder, readonly=False),
        Share("out", control.out, readonly=False),
    )
    return Boot(kernel.image, initrd, control.log, shares)


def setup_script(kernel: LabKernel, out: Path) -> str:
    """Return what the guest's first shell does to show modules, headers and ``out`` in place."""
    lines = [f"$b mkdir -p {shlex.quote(f'/root{out}')}"]
    lines.append(f"$b mount -t 9p -o rw,cache=none,$host out {shlex.quote(f'/root{out}')}")
    if kernel.modules:
        link = shlex.quote(f"/root/lib/modules/{kernel.release}")
        lines.append(f"$b ln -sfn {shlex.quote(str(kernel.modules))} {link}")
    for source in sorted(kernel.src.glob("linux-*")) if kernel.src else ():
        lines.append(f"$b ln -sfn {shlex.quote(str(source))} /root/usr/src/{source.name}")
    return "\n".join(lines) + "\n"


def command_script(argv: Sequence[str], out: Path, interactive: bool) -> str:
    """Return what the guest's init does: run the command, leave its exit status, reset."""
    terminal = {"TERM": os.environ.get("TERM", "dumb") if interactive else "dumb"}
    if interactive and os.environ.get("NO_COLOR"):
        terminal["NO_COLOR"] = "1"
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in terminal.items())
    command = shlex.join(argv)
    if interactive:
        columns, rows = shutil.get_terminal_size()
        # Held open: a console that is closed by all forgets its size.
        run = f"""\
exec < /dev/hvc0 > /dev/hvc0 2>&1
stty sane rows {rows} cols {columns}
setsid -c {command}"""
    else:
        run = f"""\
mkfifo /run/output
{{ /run/busybox cat /run/output > /dev/command; : > /run/flushed; }} &
{command} < /dev/null > /run/output 2>&1"""
    return f"""\
export PATH={_PATH} HOME=/root LANG=C.UTF-8 {settings}
cd {shlex.quote(str(out))}
: > /run/lab/started
{run}
echo $? > /run/lab/exit
{"" if interactive else _FLUSH}
echo b > /proc/sysrq-trigger
"""
