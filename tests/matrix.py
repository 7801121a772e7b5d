"""What the live tests run in guests, two at a time: each kernel's suite, and all scenarios."""

import collections
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rmapwatch.errors import RmapwatchError
from rmapwatch.lab import boot, run
from rmapwatch.lab.qemu import Machine

KERNELS = os.environ.get("RMAPWATCH_KERNELS", "6.1").split()

# Further options that a kernel is also run with: where tasks may be preempted inside the kernel,
# programs of probes are too.
ALSO_WITH = {"6.12": "preempt=full"}
RUNS = [(series, "") for series in KERNELS]
RUNS += [(series, ALSO_WITH[series]) for series in KERNELS if series in ALSO_WITH]

GUEST_TESTS = Path(__file__).parent / "guest"

# What depends on the machine and the command line rather than on the kernel: it runs in a guest of
# one of the kernels that are asked for, at this place or the last, and takes most of its time.
OF_ONE_KERNEL = {
    "test_check": 0,
    "test_compiled": 3,
    "test_doctor": 2,
    "test_export": 0,
    "test_governor": 1,
    "test_reader": 0,
    "test_record": 0,
    "test_refusals": 2,
    "test_top": 0,
    "test_tracefs": 0,
}

COMPARED = ("fork-dup", "lock-waits")
"""Scenarios under which both backends are compared, on the first kernel that is asked for."""

TEST_S, SUITE_S = 900, 3000
"""A test, and a suite, that take longer hang: both then fail by name."""


def modules(series: str) -> dict[str, Path]:
    """The modules that run on a kernel, by name."""
    found = {path.stem: path for path in sorted(GUEST_TESTS.glob("test_*.py"))}
    place, last = KERNELS.index(series), len(KERNELS) - 1
    there = [name for name in found if min(OF_ONE_KERNEL.get(name, place), last) == place]
    return {name: found[name] for name in there}


def suite(series: str, out: Path, programs: dict[str, Path]) -> ET.Element:
    """The guest's own report of the suite on one kernel."""
    kernel = run.at_hand(series, print)
    argv = [
        "env",
        *(f"RMAPWATCH_{name.upper()}={path}" for name, path in programs.items()),
        f"RMAPWATCH_SERIES={series}",
        sys.executable, "-m", "pytest", *map(str, modules(series).values()),
        "-v", "-s", "-p", "no:cacheprovider", f"--timeout={TEST_S}",
        f"--junitxml={out}/report.xml", f"--rootdir={GUEST_TESTS.parents[1]}", "--durations=0",
    ]  # fmt: skip
    said: collections.deque[str] = collections.deque(maxlen=20)
    try:
        result = boot.run_guest(kernel, argv, out, Machine(timeout_s=SUITE_S), said.append)
    except RmapwatchError as error:
        pytest.fail("\n".join([f"{series}: {error}", *said]), pytrace=False)
    print(f"{series}: booted in {result.seconds_boot:.0f} s, all took {result.seconds:.0f} s")
    if not (out / "report.xml").exists():
        ended = f"{series}: the guest's pytest ended with {result.exit_code}"
        pytest.fail("\n".join([ended, *said]), pytrace=False)
    tree = ET.parse(out / "report.xml").getroot()
    tree.set("series", series)
    tree.set("exit_code", str(result.exit_code))
    return tree


def lab_run(series: str, append: str, out: Path) -> subprocess.CompletedProcess[str]:
    """`rmapwatch lab run --all`, as a user types it."""
    command = [Path(sys.executable).with_name("rmapwatch"), "lab", "run", "--all"]
    how = ["--append", append] if append else []
    return subprocess.run(
        [*command, "--each-lru", *how, "--kernel", series, "--json", "-o", str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def compare(names: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """`rmapwatch lab compare`, as a user types it."""
    command = [Path(sys.executable).with_name("rmapwatch"), "lab", "compare", *names]
    return subprocess.run(
        [*command, "--kernel", KERNELS[0], "--json"], capture_output=True, text=True, check=False
    )
