"""A kernel that is locked down for good: in a guest of its own, since nothing undoes it."""

import json
import sys
from pathlib import Path

import pytest
from matrix import KERNELS
from rmapwatch.lab import boot, run
from rmapwatch.lab.qemu import Machine

pytestmark = pytest.mark.lab

LOCK = "/sys/kernel/security/lockdown"


@pytest.mark.parametrize("series", KERNELS[:1])
def test_doctor_and_top_of_a_kernel_that_is_locked_down(series: str, tmp_path: Path) -> None:
    rmapwatch = f"{sys.executable} -m rmapwatch"
    script = f"""
    mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security
    for state in integrity confidentiality; do
        echo $state > {LOCK} || exit 9
        {rmapwatch} doctor --json > $state.json; echo $? > $state.doctor
        {rmapwatch} top --once > $state.out 2> $state.err; echo $? > $state.top
    done"""
    kernel = run.at_hand(series, print)
    argv = ["sh", "-c", script]
    assert boot.run_guest(kernel, argv, tmp_path, Machine(timeout_s=900), print).exit_code == 0
    told = {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix != ".log"}
    print({name: text for name, text in told.items() if "json" not in name})
    assert told["integrity.doctor"] == told["integrity.top"] == "0\n"
    assert told["confidentiality.doctor"] == told["confidentiality.top"] == "3\n"
    rows = {row["check"]: row for row in json.loads(told["confidentiality.json"])["checks"]}
    assert rows["lockdown"]["state"] == "missing"
    assert "lockdown=confidentiality" in rows["lockdown"]["why"]
    assert "lockdown=confidentiality" in told["confidentiality.err"]
