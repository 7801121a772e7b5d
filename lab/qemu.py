"""QEMU: the command line of a guest, and its life from start to certain end."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from ..errors import RmapwatchError, UsageError

OnLine = Callable[[str], None]

_PROGRAM = "qemu-system-x86_64"
# One thread for all CPUs. With a thread for each, QEMU before 8.1 can translate code that another
# CPU is changing and keep the old translation: a CPU that then runs a breakpoint which is gone
# dies of it at boot, or traps on it for ever ("soft lockup") where probes are attached under load.
_EMULATION = "tcg,thread=single"
# Whatever it can emulate, but for AVX. With AVX2, QEMU 7.2 has numpy's argsort answer wrongly every
# third time, and with it unique and isin: rules that count in a guest found what was not there.
_EMULATED = "max," + ",".join(f"{name}=off" for name in ("avx", "avx2", "f16c", "fma", "vaes"))
_UNITS = {"K": 10, "M": 20, "G": 30}


@dataclass(frozen=True)
class Share:
    """A folder of the host that the guest can mount by its tag."""

    tag: str
    path: Path
    readonly: bool


@dataclass(frozen=True)
class Machine:
    """What the guest's machine is like."""

    cpus: int = 2
    memory: str = "2G"
    """Number and unit: K, M or G."""
    numa: int | None = None
    """Number of nodes; CPUs and memory are dealt out evenly. None: no NUMA."""
    far: str = ""
    """Memory of a second node, which has no CPUs: nothing is there but what is moved there."""
    append: str = ""
    """Further kernel options."""
    icount: bool = False
    """Guest time counts instructions; emulated, one CPU."""
    kvm: Literal["auto", "always", "never"] = "auto"
    timeout_s: float = 600
    """Wall time after which the guest is killed, boot included."""
    interactive: bool = False
    """This process's terminal is the command's; nothing of its output is kept."""

    def __post_init__(self) -> None:
        if self.icount and self.cpus != 1:
            raise UsageError("icount needs one CPU", f"{self.cpus} were asked for", "--cpus 1")
        if self.numa and self.far:
            raise UsageError("two ways to have NUMA nodes", "numa and far exclude each other")
        if self.numa and self.cpus % self.numa:
            raise UsageError(
                "each NUMA node needs the same number of CPUs",
                f"{self.cpus} CPUs do not make {self.numa} nodes",
                f"--cpus {self.numa}",
            )


@dataclass(frozen=True)
class Boot:
    """What is booted on a machine."""

    image: Path
    initrd: Path
    console_log: Path
    shares: tuple[Share, ...]


def command_line(machine: Machine, boot: Boot, accel: str) -> list[str]:
    """Return the command that runs the guest; it dies with the thread that starts it."""
    options = f"console=ttyS0 loglevel=4 panic=-1 mitigations=off {machine.append}".rstrip()
    return [
        *("setpriv", "--pdeathsig", "KILL", "--", _PROGRAM),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-M", "q35"),
        *_processor(machine, accel),
        *_memory(machine),
        *("-kernel", str(boot.image), "-initrd", str(boot.initrd), "-append", options),
        *("-chardev", f"file,id=log,path={_quoted(boot.console_log)}", "-serial", "chardev:log"),
        *_terminal(machine.interactive),
        *(word for share in boot.shares for word in _shared(share)),
    ]


def _processor(machine: Machine, accel: str) -> list[str]:
    if machine.icount:
        return ["-accel", "tcg", "-cpu", _EMULATED, "-smp", "1", "-icount", "shift=0,sleep=off"]
    kind = ["kvm", "host"] if accel == "kvm" else [_EMULATION, _EMULATED]
    return ["-accel", kind[0], "-cpu", kind[1], "-smp", str(machine.cpus)]


def _memory(machine: Machine) -> list[str]:
    nodes = list(_nodes(machine))
    if not nodes:
        return ["-m", machine.memory]
    words = ["-m", f"{sum(size for size, _ in nodes)}B"]
    for node, (size, cpus) in enumerate(nodes):
        words += ["-object", f"memory-backend-ram,id=node{node},size={size}B"]
        words += ["-numa", f"node,nodeid={node}{cpus},memdev=node{node}"]
    return words


def _nodes(machine: Machine) -> Iterator[tuple[int, str]]:
    """Yield the bytes of each NUMA node, and its CPUs as QEMU has them; nothing without NUMA."""
    if machine.far:
        yield memory_bytes(machine.memory), f",cpus=0-{machine.cpus - 1}"
        yield memory_bytes(machine.far), ""
    elif machine.numa:
        each, cpus = memory_bytes(machine.memory) // machine.numa, machine.cpus // machine.numa
        for node in range(machine.numa):
            yield each, f",cpus={node * cpus}-{(node + 1) * cpus - 1}"


def memory_bytes(text: str) -> int:
    """Return the bytes that e.g. ``2G`` means; raises UsageError if it means none."""
    if not (match := re.fullmatch(r"(\d+)([KMG])", text)):
        raise UsageError(f"{text!r} is no amount of memory", "number and unit: K, M or G", "2G")
    return int(match[1]) << _UNITS[match[2]]


def _terminal(interactive: bool) -> list[str]:
    if interactive:
        io, device = "stdio,id=io,signal=off", "virtconsole,chardev=io"
    else:
        io, device = "file,id=io,path=/dev/stdout", "virtserialport,chardev=io,name=command"
    return ["-device", "virtio-serial-pci", "-chardev", io, "-device", device]


def _shared(share: Share) -> list[str]:
    readonly = "on" if share.readonly else "off"
    options = f"security_model=none,readonly={readonly},multidevs=remap"
    fsdev = f"local,id={share.tag},path={_quoted(share.path)},{options}"
    return ["-fsdev", fsdev, "-device", f"virtio-9p-pci,fsdev={share.tag},mount_tag={share.tag}"]


def _quoted(path: Path) -> str:
    return str(path).replace(",", ",,")


class Deadline(RmapwatchError):  # noqa: N818 - it is a moment, not a mistake of the user
    """The guest was still running when its time was up, and was killed."""


def run(command: list[str], machine: Machine, on_line: OnLine | None) -> str:
    """
    Run the guest to its end and return what its emulator complained of.

    Raises Deadline after ``machine.timeout_s``. Whatever ends this call ends the guest.
    """
    require()
    piped = None if machine.interactive else subprocess.PIPE
    stdin = None if machine.interactive else subprocess.DEVNULL
    with (
        _terminal_kept(machine.interactive),
        subprocess.Popen(command, stdin=stdin, stdout=piped, stderr=subprocess.PIPE) as process,
    ):
        try:
            return _ended(process, machine.timeout_s, on_line)
        finally:
            process.kill()
            process.wait()


def _ended(process: subprocess.Popen[bytes], timeout_s: float, on_line: OnLine | None) -> str:
    complaints: list[str] = []
    readers = [_reader(process.stdout, on_line), _reader(process.stderr, complaints.append)]
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        why = f"it was still running after {timeout_s:g} s and was killed"
        raise Deadline("the guest did not end", why) from None
    for reader in readers:
        reader.join()
    return "\n".join(complaints)


def _reader(stream: IO[bytes] | None, on_line: OnLine | None) -> threading.Thread:
    def read() -> None:
        for line in stream or ():
            if on_line:
                on_line(line.decode(errors="replace").rstrip("\n"))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


@contextmanager
def _terminal_kept(interactive: bool) -> Iterator[None]:
    """Give the terminal back as it was: the emulator sets it raw, and may be killed."""
    if not (interactive and sys.stdin.isatty()):
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def require() -> None:
    """Raise RmapwatchError if a program that a guest needs is missing."""
    for program in (_PROGRAM, "setpriv"):
        if shutil.which(program) is None:
            hint = "sudo apt install qemu-system-x86 util-linux busybox-static"
            raise RmapwatchError("no guest can be booted", f"{program} is not here", hint)
