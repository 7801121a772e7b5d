"""A guest of the oldest folio kernel of the lab, really booted; minutes under emulation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rmapwatch.errors import RmapwatchError
from rmapwatch.lab import boot, kernels, qemu, workloads
from rmapwatch.lab.kernels import LabKernel
from rmapwatch.lab.qemu import Machine

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def kernel() -> LabKernel:
    return kernels.find("6.1")


def stray_guests(out: Path) -> list[str]:
    """The processes whose command line names this guest's log."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(out / boot.CONSOLE_LOG) in words:
            found.append(words)
    return found


def test_a_command_runs_under_that_kernel(kernel: LabKernel, tmp_path: Path) -> None:
    lines: list[str] = []
    script = "uname -r; id -u; test -e /lib/modules/$(uname -r)/build/Makefile; echo $?; pwd"
    script += "; echo kept > file; echo lost > /root/lost-in-the-guest; false; exit 7"
    result = boot.run_guest(kernel, ["sh", "-c", script], tmp_path, on_line=lines.append)
    assert result.exit_code == 7
    assert lines == [kernel.release, "0", "0", str(tmp_path)]
    assert (tmp_path / "file").read_text() == "kept\n"
    assert not Path("/root/lost-in-the-guest").exists()
    assert 0 < result.seconds_boot < result.seconds
    assert stray_guests(tmp_path) == []


def test_what_a_scenario_needs_is_there(kernel: LabKernel, tmp_path: Path) -> None:
    script = """
    test -e /sys/kernel/tracing/trace && modprobe hwpoison-inject &&
    test -e /sys/kernel/debug/hwpoison/corrupt-pfn &&
    grep -q memory /sys/fs/cgroup/cgroup.controllers &&
    mountpoint -q /sys/fs/bpf && test -d /sys/devices/system/node/node1"""
    machine = Machine(numa=2)
    assert boot.run_guest(kernel, ["bash", "-c", script], tmp_path, machine).exit_code == 0


def test_the_storm_and_its_ledger(kernel: LabKernel, tmp_path: Path) -> None:
    script = f"""
    modprobe zram && echo 256M > /sys/block/zram0/disksize || exit 3
    mkswap -q /dev/zram0 > /dev/null && swapon /dev/zram0 || exit 4
    {workloads.build("fork_storm")} --children 23 --pages 101 --rounds 2 > ledger.json || exit 5
    test -z "$(ls -d /sys/fs/cgroup/fork_storm* 2>/dev/null)" || exit 6"""
    assert boot.run_guest(kernel, ["bash", "-c", script], tmp_path).exit_code == 0
    rounds = [json.loads(line) for line in (tmp_path / "ledger.json").read_text().splitlines()]
    assert [ledger["round"] for ledger in rounds] == [1, 2]
    for ledger in rounds:
        assert ledger["last_index"] - ledger["first_index"] + 1 == ledger["pages"] == 101
        assert ledger["last_child"] - ledger["first_child"] + 1 == ledger["children"] == 23
        assert ledger["trigger"] == "memory.reclaim"
        before, after = ledger["vmstat_before"], ledger["vmstat_after"]
        assert after["pgsteal_anon"] - before["pgsteal_anon"] > 24 * 101 * 0.8


def test_a_process_left_behind_does_not_keep_the_guest(kernel: LabKernel, tmp_path: Path) -> None:
    lines: list[str] = []
    script = "sleep 1000 & echo last words; exit 3"
    result = boot.run_guest(kernel, ["sh", "-c", script], tmp_path, on_line=lines.append)
    assert result.exit_code == 3
    assert lines == ["last words"]
    assert result.seconds - result.seconds_boot < 30


def test_a_hung_guest_is_killed(kernel: LabKernel, tmp_path: Path) -> None:
    machine = Machine(kvm="never", timeout_s=20)
    with pytest.raises(qemu.Deadline, match="after 20 s"):
        boot.run_guest(kernel, ["sleep", "1000"], tmp_path, machine)
    assert stray_guests(tmp_path) == []


def test_a_panic_ends_the_guest(kernel: LabKernel, tmp_path: Path) -> None:
    with pytest.raises(RmapwatchError, match="broke down"):
        boot.run_guest(kernel, ["sh", "-c", "echo c > /proc/sysrq-trigger"], tmp_path)
    assert "sysrq triggered crash" in (tmp_path / boot.CONSOLE_LOG).read_text()
    assert stray_guests(tmp_path) == []
