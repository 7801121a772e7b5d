from __future__ import annotations

from pathlib import Path

import pytest
from rmapwatch.errors import RmapwatchError
from rmapwatch.lab import accel, boot, qemu
from rmapwatch.lab.boot import GuestResult
from rmapwatch.lab.kernels import LabKernel
from rmapwatch.lab.qemu import Machine

KERNEL = LabKernel("6.1", "6.1.0-1-amd64", Path("/k"), None, None)


class Guests:
    """Stands for run_guest: what becomes of a guest under KVM, and how many were tried."""

    def __init__(self, exit_code: int = 0, error: RmapwatchError | None = None) -> None:
        self.exit_code = exit_code
        self.error = error
        self.tried = 0

    def __call__(self, kernel: LabKernel, argv: list[str], out: Path, machine: Machine) -> object:
        self.tried += 1
        assert machine.kvm == "always"
        assert machine.timeout_s == accel.TRIAL_SECONDS
        if self.error:
            raise self.error
        return GuestResult(self.exit_code, 1.0, 2.0, out / "console.log", "kvm")


@pytest.fixture
def guests(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guests:
    fake = Guests()
    (tmp_path / "kvm").touch()
    (tmp_path / "boot_id").write_text("first\n")
    monkeypatch.setattr(accel, "_DEVICE", tmp_path / "kvm")
    monkeypatch.setattr(accel, "_BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setattr(boot, "run_guest", fake)
    return fake


def test_kvm_that_works_is_tried_once(guests: Guests) -> None:
    assert [accel.accelerator(KERNEL).accel for _ in range(3)] == ["kvm"] * 3
    assert guests.tried == 1


def test_kvm_that_hangs_is_tried_once(guests: Guests) -> None:
    guests.error = qemu.Deadline("the guest did not end", "it was killed")
    assert [accel.accelerator(KERNEL).accel for _ in range(3)] == ["tcg"] * 3
    assert guests.tried == 1
    known = accel.remembered()
    assert known is not None
    assert known.reason == "the guest did not end: it was killed"


def test_a_guest_that_fails_is_no_kvm(guests: Guests) -> None:
    guests.exit_code = 1
    assert accel.accelerator(KERNEL).accel == "tcg"


def test_another_boot_of_the_machine_tries_again(guests: Guests, tmp_path: Path) -> None:
    accel.accelerator(KERNEL)
    (tmp_path / "boot_id").write_text("second\n")
    assert accel.accelerator(KERNEL).boot_id == "second"
    assert guests.tried == 2


def test_retry_tries_again(guests: Guests) -> None:
    accel.accelerator(KERNEL)
    guests.exit_code = 1
    assert accel.accelerator(KERNEL, retry=True).accel == "tcg"
    assert guests.tried == 2


def test_a_verdict_that_cannot_be_read_is_none(guests: Guests, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "accelerator.json").write_text("{")
    assert accel.remembered() is None
    assert accel.accelerator(KERNEL).accel == "kvm"


def test_no_device_no_trial(guests: Guests, tmp_path: Path) -> None:
    (tmp_path / "kvm").unlink()
    verdict = accel.accelerator(KERNEL)
    assert verdict.accel == "tcg"
    assert "there is no" in verdict.reason
    assert guests.tried == 0


def test_what_was_asked_for_is_not_tried(guests: Guests) -> None:
    assert accel.chosen(KERNEL, Machine(kvm="never")) == "tcg"
    assert accel.chosen(KERNEL, Machine(kvm="always")) == "kvm"
    assert accel.chosen(KERNEL, Machine(cpus=1, icount=True)) == "tcg"
    assert guests.tried == 0
    assert accel.chosen(KERNEL, Machine()) == "kvm"
