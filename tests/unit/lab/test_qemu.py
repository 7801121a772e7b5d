from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rmapwatch.errors import RmapwatchError, UsageError
from rmapwatch.lab import qemu
from rmapwatch.lab.qemu import Boot, Machine, Share

BOOT = Boot(
    Path("/k/vmlinux"), Path("/c/initrd"), Path("/o/console.log"), (Share("root", Path("/"), True),)
)
BOOT_PREFIX = qemu.command_line(Machine(), BOOT, "tcg")[:4]


def test_command_line() -> None:
    assert " ".join(qemu.command_line(Machine(), BOOT, "tcg")) == (
        "setpriv --pdeathsig KILL -- qemu-system-x86_64 "
        "-nodefaults -no-user-config -no-reboot -display none -M q35 "
        "-accel tcg,thread=single -cpu max,avx=off,avx2=off,f16c=off,fma=off,vaes=off "
        "-smp 2 -m 2G "
        "-kernel /k/vmlinux -initrd /c/initrd "
        "-append console=ttyS0 loglevel=4 panic=-1 mitigations=off "
        "-chardev file,id=log,path=/o/console.log -serial chardev:log "
        "-device virtio-serial-pci -chardev file,id=io,path=/dev/stdout "
        "-device virtserialport,chardev=io,name=command "
        "-fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap "
        "-device virtio-9p-pci,fsdev=root,mount_tag=root"
    )


def line(machine: Machine, accel: str = "tcg") -> str:
    return " ".join(qemu.command_line(machine, BOOT, accel))


def test_kvm() -> None:
    assert "-accel kvm -cpu host" in line(Machine(), "kvm")


def test_icount_is_emulated_whatever_there_is() -> None:
    words = line(Machine(cpus=1, icount=True), "kvm")
    assert "-accel tcg" in words
    assert "-icount shift=0,sleep=off" in words


def test_numa_deals_memory_and_cpus_out_evenly() -> None:
    words = line(Machine(cpus=4, memory="2G", numa=2))
    assert "-m 2147483648B" in words
    assert "memory-backend-ram,id=node1,size=1073741824B" in words
    assert "node,nodeid=0,cpus=0-1,memdev=node0" in words
    assert "node,nodeid=1,cpus=2-3,memdev=node1" in words


def test_a_far_node_has_no_cpus() -> None:
    words = line(Machine(memory="2G", far="512M"))
    assert "-m 2684354560B" in words
    assert "node,nodeid=0,cpus=0-1,memdev=node0" in words
    assert "memory-backend-ram,id=node1,size=536870912B -numa node,nodeid=1,memdev=node1" in words


def test_interactive_uses_the_terminal() -> None:
    assert "-chardev stdio,id=io,signal=off -device virtconsole" in line(Machine(interactive=True))


def test_options_are_appended() -> None:
    assert "mitigations=off lru_gen=0" in line(Machine(append="lru_gen=0"))


def test_commas_in_paths_are_doubled() -> None:
    boot = Boot(BOOT.image, BOOT.initrd, Path("/a,b/log"), ())
    assert "path=/a,,b/log" in " ".join(qemu.command_line(Machine(), boot, "tcg"))


@pytest.mark.parametrize(
    "bad", [{"icount": True}, {"cpus": 3, "numa": 2}, {"numa": 2, "far": "512M"}]
)
def test_machines_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Machine(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["2", "G", "2T", "-1G", ""])
def test_no_amount_of_memory(text: str) -> None:
    with pytest.raises(UsageError):
        qemu.memory_bytes(text)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture(autouse=True)
def _no_qemu_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "require", lambda: None)


def test_lines_come_as_they_are_written() -> None:
    lines: list[str] = []
    complaint = qemu.run(
        python("import sys; print('a'); print('b'); print('c', file=sys.stderr)"),
        Machine(),
        lines.append,
    )
    assert lines == ["a", "b"]
    assert complaint == "c"


def test_deadline_kills(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    begin = time.monotonic()
    with pytest.raises(qemu.Deadline, match="after 2 s and was killed"):
        qemu.run(python(code), Machine(timeout_s=2), None)
    assert time.monotonic() - begin < 10
    assert not Path(f"/proc/{pid.read_text()}").exists()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """As in a terminal: a job that a shell started in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_kills(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt(text: str) -> None:
        pid.write_text(text)
        import _thread

        _thread.interrupt_main()

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        qemu.run(python(code), Machine(), interrupt)
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_a_killed_parent_takes_the_guest_along() -> None:
    guest = [*BOOT_PREFIX, "sh", "-c", "echo $$; exec sleep 60"]
    code = f"from rmapwatch.lab import qemu; qemu.run({guest!r}, qemu.Machine(), print)"
    command = [sys.executable, "-uc", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid: int) -> bool:
    """A zombie that nobody has reaped yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RmapwatchError, match="qemu-system-x86_64 is not here") as error:
        qemu.require()
    assert "qemu-system-x86" in error.value.hint
