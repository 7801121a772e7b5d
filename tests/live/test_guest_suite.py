"""The live tests, in one guest of each kernel that is asked for (RMAPWATCH_KERNELS)."""

import xml.etree.ElementTree as ET

import pytest
from matrix import KERNELS, modules
from rmapwatch.lab import kernels

pytestmark = pytest.mark.lab

# Tests that a kernel of the lab may skip, with the reason: any other skip is a failure.
EXPECTED_SKIPS: dict[str, dict[str, str]] = {series: {} for series in kernels.SUITES}

_LINES = 12


@pytest.fixture(scope="module", params=KERNELS)
def report(request: pytest.FixtureRequest, guests) -> ET.Element:
    return guests.suites[request.param].result()


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
