from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from rmapwatch.errors import RmapwatchError
from rmapwatch.lab import boot, initramfs, qemu
from rmapwatch.lab.kernels import LabKernel
from rmapwatch.lab.qemu import Machine


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabKernel:
    monkeypatch.setattr(initramfs, "_busybox", lambda: b"busybox")
    src = tmp_path / "k/usr/src"
    (src / "linux-headers-6.1-amd64").mkdir(parents=True)
    modules = tmp_path / "k/lib/modules/6.1-amd64"
    (modules / "fs").mkdir(parents=True)
    (modules / "modules.dep").write_text("fs/9p.ko: net/9pnet.ko\nnet/9pnet.ko:\nfs/ext4.ko:\n")
    (modules / "net").mkdir()
    (modules / "fs/9p.ko").write_bytes(b"ninep")
    (modules / "net/9pnet.ko").write_bytes(b"ninepnet")
    return LabKernel("6.1", "6.1-amd64", tmp_path / "k/vmlinux", modules, src)


def test_modules_and_headers_are_shown_in_place(kernel: LabKernel) -> None:
    script = boot.setup_script(kernel, Path("/o ut"))
    assert f"$b ln -sfn {kernel.modules} /root/lib/modules/6.1-amd64\n" in script
    assert f"{kernel.src}/linux-headers-6.1-amd64 /root/usr/src/linux-headers-6.1-amd64" in script
    assert "$b mkdir -p '/root/o ut'" in script


def test_a_kernel_without_modules_has_no_links(kernel: LabKernel) -> None:
    bare = LabKernel("x", "6.99", kernel.image, None, None)
    assert "ln" not in boot.setup_script(bare, Path("/out")).split()


def test_the_command_is_quoted() -> None:
    script = boot.command_script(["sh", "-c", "echo 'a b'; exit 7"], Path("/out"), False)
    assert """sh -c 'echo '"'"'a b'"'"'; exit 7' < /dev/null""" in script


def test_interactive_commands_get_the_size_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "123")
    monkeypatch.setenv("LINES", "45")
    monkeypatch.setenv("TERM", "screen-256color")
    script = boot.command_script(["top"], Path("/out"), True)
    assert "stty sane rows 45 cols 123" in script
    assert "TERM=screen-256color" in script


def test_initramfs_loads_modules_after_what_they_need(kernel: LabKernel, tmp_path: Path) -> None:
    names = (
        subprocess.run(
            ["cpio", "-t"], input=initramfs.build(kernel.modules), capture_output=True, check=True
        )
        .stdout.decode()
        .split()
    )
    assert [name for name in names if name.startswith("modules/")] == [
        "modules/00-9pnet.ko",
        "modules/01-9p.ko",
    ]
    assert {"init", "bin/busybox"} <= set(names)


def emulator(monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """Replace the emulator by a shell command that runs in the control folder."""

    def command_line(machine: Machine, started: qemu.Boot, accel: str) -> list[str]:
        return ["sh", "-c", f"cd {started.initrd.parent} && {shell}"]

    monkeypatch.setattr(qemu, "command_line", command_line)
    monkeypatch.setattr(qemu, "require", lambda: None)


def run(kernel: LabKernel, out: Path, timeout_s: float = 10) -> boot.GuestResult:
    return boot.run_guest(kernel, ["true"], out, Machine(kvm="never", timeout_s=timeout_s))


def test_exit_status(kernel: LabKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator(monkeypatch, "sleep 0.1; touch started; echo 7 > exit")
    result = run(kernel, tmp_path / "out")
    assert (result.exit_code, result.accel) == (7, "tcg")
    assert result.log_path == tmp_path / "out/console.log"
    assert 0 <= result.seconds_boot <= result.seconds


def test_a_guest_that_dies_while_it_boots_is_booted_again(
    kernel: LabKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, lines = tmp_path / "out", []
    died = f"{{ touch died; echo '[ 1.8] Oops: int3: 0000' > {out}/console.log; }}"
    emulator(monkeypatch, f"if [ -e died ]; then touch started; echo 0 > exit; else {died}; fi")
    result = boot.run_guest(kernel, ["true"], out, Machine(kvm="never"), lines.append)
    assert (result.exit_code, result.boots) == (0, 2)
    assert lines == ["the guest died while it booted: [ 1.8] Oops: int3: 0000; once more"]
    assert (out / "console.1.log").exists()


def test_a_guest_that_never_boots_says_the_kernels_words(
    kernel: LabKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    emulator(monkeypatch, f"echo x >> boots; echo 'Kernel panic - no init' > {out}/console.log")
    with pytest.raises(RmapwatchError, match="did: Kernel panic - no init"):
        run(kernel, out)
    assert len(list(out.glob("console*.log"))) == 3


def test_a_command_is_never_run_twice(
    kernel: LabKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    emulator(monkeypatch, f"touch started; echo x >> {count}")
    with pytest.raises(RmapwatchError, match="it ended before the command did"):
        run(kernel, tmp_path / "out")
    assert count.read_text() == "x\n"


def test_a_guest_without_exit_status_names_the_log(
    kernel: LabKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(monkeypatch, "touch started; echo 'no such device' >&2")
    with pytest.raises(RmapwatchError, match="broke down: no such device") as error:
        run(kernel, tmp_path / "out")
    assert str(tmp_path / "out/console.log") in error.value.hint


def test_a_hung_guest_names_the_log(
    kernel: LabKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator(monkeypatch, "exec sleep 60")
    with pytest.raises(qemu.Deadline, match="still running after 1 s") as error:
        run(kernel, tmp_path / "out", timeout_s=1)
    assert str(tmp_path / "out/console.log") in error.value.hint
