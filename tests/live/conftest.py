"""All guests of the matrix, started at the first test that asks for one of them."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matrix
import pytest
from rmapwatch.lab import workloads


@dataclass
class Guests:
    """
    What runs or will: suites by kernel; runs of all scenarios by kernel and option.

    ``compared``: both backends at once, as a user has them compared.
    """

    suites: dict[str, Future[Any]] = field(default_factory=dict)
    runs: dict[tuple[str, str], tuple[Path, Future[Any]]] = field(default_factory=dict)
    compared: Future[Any] = field(default_factory=Future)


@pytest.fixture(scope="session")
def guests(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guests]:
    """Two at a time, as each keeps one CPU busy: not one CPU waits while there is more to run."""
    asked = {item.path.stem for item in request.session.items}
    found = Guests()
    with ThreadPoolExecutor(2) as pool:
        if "test_guest_suite" in asked:
            programs = {name: workloads.build(name) for name in ("fork_storm",)}
            for series in matrix.KERNELS:
                out = tmp_path_factory.mktemp(f"guest-{series}")
                found.suites[series] = pool.submit(matrix.suite, series, out, programs)
        if "test_scenarios" in asked:
            for run in matrix.RUNS:
                out = tmp_path_factory.mktemp(f"all-{run[0]}")
                found.runs[run] = (out, pool.submit(matrix.lab_run, *run, out))
        if "test_compare" in asked:
            found.compared = pool.submit(matrix.compare, matrix.COMPARED)
        yield found
        pool.shutdown(cancel_futures=True)
