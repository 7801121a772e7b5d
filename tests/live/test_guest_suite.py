"""The live tests, in one guest of each kernel that is asked for (RMAPWATCH_KERNELS)."""

import os
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from rmapwatch.lab import boot, kernels, run, workloads
from rmapwatch.lab.qemu import Machine

pytestmark = pytest.mark.lab

GUEST_TESTS = Path(__file__).parents[1] / "guest"
KERNELS = os.environ.get("RMAPWATCH_KERNELS", "6.1").split()

# Tests that a kernel of the lab may skip, with the reason: any other skip is a failure.
EXPECTED_SKIPS: dict[str, dict[str, str]] = {series: {} for series in kernels.SUITES}

# What depends on the machine and the command line rather than on the kernel: it runs in a guest of
# one of the kernels that are asked for, at this place or the last, and takes most of its time.
OF_ONE_KERNEL = {
    "test_check": 0,
    "test_doctor": 0,
    "test_export": 0,
    "test_governor": 1,
    "test_reader": 0,
    "test_record": 0,
    "test_refusals": 0,
    "test_top": 0,
    "test_tracefs": 0,
}


_LINES = 12


def modules(series: str) -> dict[str, Path]:
    """The modules that run on a kernel, by name."""
    found = {path.stem: path for path in sorted(GUEST_TESTS.glob("test_*.py"))}
    place, last = KERNELS.index(series), len(KERNELS) - 1
    there = [name for name in found if min(OF_ONE_KERNEL.get(name, place), last) == place]
    return {name: found[name] for name in there}


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[ET.Element]]]:
    """The suites of all kernels, two guests at a time: most of the time each keeps one CPU busy."""
    folders = {series: tmp_path_factory.mktemp(f"guest-{series}") for series in KERNELS}
    programs = {name: workloads.build(name) for name in ("fork_storm",)}
    with ThreadPoolExecutor(2) as pool:
        yield {series: pool.submit(suite, series, out, programs) for series, out in folders.items()}
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module", params=KERNELS)
def report(request: pytest.FixtureRequest, guests: dict[str, Future[ET.Element]]) -> ET.Element:
    return guests[request.param].result()


def suite(series: str, out: Path, programs: dict[str, Path]) -> ET.Element:
    """The guest's own report of the suite on one kernel."""
    kernel = run.at_hand(series, print)
    argv = [
        "env",
        *(f"RMAPWATCH_{name.upper()}={path}" for name, path in programs.items()),
        f"RMAPWATCH_SERIES={series}",
        sys.executable, "-m", "pytest", *map(str, modules(series).values()),
        "-v", "-s", "-p", "no:cacheprovider",
        f"--junitxml={out}/report.xml", f"--rootdir={GUEST_TESTS.parents[1]}", "--durations=0",
    ]  # fmt: skip
    result = boot.run_guest(kernel, argv, out, Machine(timeout_s=4500), print)
    print(f"{series}: booted in {result.seconds_boot:.0f} s, all took {result.seconds:.0f} s")
    if not (out / "report.xml").exists():
        pytest.fail(f"the guest's pytest ended with {result.exit_code}", pytrace=False)
    tree = ET.parse(out / "report.xml").getroot()
    tree.set("series", series)
    tree.set("exit_code", str(result.exit_code))
    return tree


def last(text: str) -> str:
    """The end of a traceback: what failed, and with which values."""
    return "\n".join(text.splitlines()[-_LINES:])


def test_all_pass(report: ET.Element) -> None:
    cases = report.findall(".//testcase")
    bad = [
        f"{case.get('classname')} {case.get('name')}\n" + last(problem.text or "")
        for case in cases
        for problem in (*case.findall("failure"), *case.findall("error"))
    ]
    if bad:
        pytest.fail("\n".join(bad), pytrace=False)
    assert report.get("exit_code") == "0"


def test_no_test_is_lost(report: ET.Element) -> None:
    ran: dict[str, set[str]] = {}
    for case in report.findall(".//testcase"):
        module = str(case.get("classname")).rpartition(".")[2]
        ran.setdefault(module, set()).add(str(case.get("name")).partition("[")[0])
    expected = {
        name: path.read_text().count("\ndef test_")
        for name, path in modules(str(report.get("series"))).items()
    }
    assert {module: len(names) for module, names in ran.items()} == expected


def test_only_expected_skips(report: ET.Element) -> None:
    skipped = {
        str(case.get("name")): str(case.find("skipped").get("message"))
        for case in report.findall(".//testcase")
        if case.find("skipped") is not None
    }
    assert skipped == EXPECTED_SKIPS[str(report.get("series"))]
