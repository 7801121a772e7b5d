"""
Records the fixtures of the tests anew, in guests: python tools/record_fixtures.py [SERIES ...].

Each scenario is recorded on the kernel's own LRU, in its short form if it has one, into
tests/fixtures/SCENARIO-SERIES.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rmapwatch.lab import run

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
RECLAIM = ("fork-storm", "file-stream", "working-set")
SCENARIOS = {
    "5.10": ("hwpoison",),
    "6.1": (*RECLAIM, "ksm-merge", "ksm-swap", "hwpoison", "soft-offline"),
    "6.12": (
        *RECLAIM,
        "pageout",
        "ksm-stall",
        "hwpoison",
        "migrate",
        "lock-waits",
        "fork-dup",
        "cow-reuse",
    ),
    "7.3": ("ksm-stall",),
}
"""What is recorded of each kernel."""


def main() -> None:
    """Record every fixture of the kernels that are named; default: all of them."""
    for series in sys.argv[1:] or SCENARIOS:
        folders = [FIXTURES / f"{scenario}-{series}" for scenario in SCENARIOS[series]]
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        run.record(run.Wanted(SCENARIOS[series], series, form="short"), folders, print)


if __name__ == "__main__":
    main()
