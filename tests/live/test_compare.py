"""`rmapwatch lab compare`, as a user types it: both backends count the same on every kernel."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

ASKED = os.environ.get("RMAPWATCH_KERNELS", "6.1").split()
KERNELS = sorted({ASKED[0], ASKED[-1]}, key=ASKED.index)
"""The first and the last of those asked for; tests/guest/test_ftrace.py compares on all of them."""

# One for each path of the kernel.
SCENARIOS = ("fork-storm", "ksm-merge", "ksm-swap", "hwpoison", "migrate", "lock-waits", "fork-dup")

# Two processes take all the CPU there: on 5.10 some calls were told as missed, and yet every figure
# agreed. Most of the waits that are probed there are for locks that no figure is of.
CONTENDED = ("lock-waits",)

EXERCISED = (
    "walks reference anon", "walks unmap ksm", "reference checks ", "batches ",
    "calls for memory,", "KSM pages shared", "KSM pages sharing", "KSM pages removed",
    "pages swapped in copied", "passes of ksmd, begun", "calls of memory_failure",
    "memory failures ", "signals SIGBUS ", "calls to migrate, syscall",
    "pages to migrate, syscall succeeded", "waits for anon_vma write", "calls of copy_process",
    "errors of copy_process ENOMEM", "chains copied by fork", "VMAs of children",
    "writes to protected pages",
)  # fmt: skip


Done = Future[subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def guests() -> Iterator[dict[str, Done]]:
    """`lab compare` on all kernels, two guests at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {series: pool.submit(compared, series) for series in KERNELS}
        pool.shutdown(cancel_futures=True)


def compared(series: str) -> subprocess.CompletedProcess[str]:
    command = ("lab", "compare", *SCENARIOS, "--form", "short", "--json", "-k", series)
    rmapwatch = Path(sys.executable).with_name("rmapwatch")
    return subprocess.run([rmapwatch, *command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=KERNELS)
def results(request: pytest.FixtureRequest, guests: dict[str, Done]) -> list[dict[str, Any]]:
    done = guests[request.param].result()
    assert done.stdout, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["scenarios"]
    print(json.dumps(found, indent=1))
    assert done.returncode == 0, "a figure differs"
    return found


def test_both_count_the_same(results: list[dict[str, Any]]) -> None:
    """Exactly, where neither missed a call."""
    for result in results:
        missed = result["missed"]
        if result["scenario"] not in CONTENDED:
            assert missed["ftrace"] == {}, result["scenario"]
        differ = [row for row in result["figures"] if row["agrees"] is not True]
        assert not differ or any(missed.values()), (result["scenario"], differ)


def test_every_path_was_exercised(results: list[dict[str, Any]]) -> None:
    figures = [row["figure"] for result in results for row in result["figures"] if row["ftrace"]]
    assert [name for name in EXERCISED if not any(f.startswith(name) for f in figures)] == []
