"""Hardware or emulation: KVM is tried once per boot of this machine, and the verdict remembered."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import RmapwatchError
from . import boot, kernels, qemu
from .kernels import LabKernel

TRIAL_SECONDS = 25
"""A guest under a KVM that works has booted and gone after a tenth of it."""

_DEVICE = Path("/dev/kvm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Verdict:
    """What guests run on here, and why."""

    accel: str
    """``kvm`` or ``tcg``."""
    reason: str
    boot_id: str
    """Of this machine, when it was tried."""
    date: str
    """ISO 8601, UTC."""


def chosen(kernel: LabKernel, machine: qemu.Machine) -> str:
    """Return ``kvm`` or ``tcg`` for a guest as it was asked for."""
    if machine.kvm == "never" or machine.icount:
        return "tcg"
    return "kvm" if machine.kvm == "always" else accelerator(kernel).accel


def accelerator(kernel: LabKernel, retry: bool = False) -> Verdict:
    """Return the verdict for this boot of this machine; without one, or with ``retry``, try."""
    boot_id = _BOOT_ID.read_text().strip()
    known = remembered()
    if known and known.boot_id == boot_id and not retry:
        return known
    reason = _why_not() or _trial(kernel)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    verdict = Verdict("tcg" if reason else "kvm", reason or "a guest ran under it", boot_id, now)
    _path().parent.mkdir(parents=True, exist_ok=True)
    _path().write_text(json.dumps(asdict(verdict), indent=2) + "\n")
    return verdict


def remembered() -> Verdict | None:
    """Return the last verdict of this machine; None if there is none that can be read."""
    try:
        return Verdict(**json.loads(_path().read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _path() -> Path:
    return kernels.cache() / "accelerator.json"


def _why_not() -> str | None:
    if not _DEVICE.exists():
        return f"there is no {_DEVICE}"
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return f"{_DEVICE} is not open to this user"
    return None


def _trial(kernel: LabKernel) -> str | None:
    """Run ``true`` in a guest under KVM; return what went wrong, None if nothing did."""
    machine = qemu.Machine(kvm="always", timeout_s=TRIAL_SECONDS)
    with tempfile.TemporaryDirectory(prefix="rmapwatch-kvm-") as out:
        try:
            code = boot.run_guest(kernel, ["true"], Path(out), machine).exit_code
        except RmapwatchError as error:
            return f"{error.what}: {error.why}"
    return f"true ended with {code}" if code else None
