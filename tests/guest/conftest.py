"""Tests that run as root inside a guest of the lab; on any other machine there are none."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rmapwatch.lab import guest
from rmapwatch.probes import events, session

collect_ignore_glob = [] if guest.in_guest() else ["test_*.py"]

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def storm_program() -> str:
    """The compiled fork storm, named by the host."""
    return os.environ["RMAPWATCH_FORK_STORM"]


@pytest.fixture(scope="session", autouse=True)
def at_rest_with_swap() -> None:
    guest.rest()
    guest.zram_swap(512 << 20)


@pytest.fixture(scope="module")
def attached() -> Iterator[session.Session]:
    """Every probe of the catalogue, attached once for the tests of a module."""
    live = session.start(session.Request(events=tuple(events.EVENTS), ring_pages=4096))
    yield live
    live.close()


@pytest.fixture
def hogs() -> Iterator[None]:
    """Two processes that take all the CPU they can get."""
    running = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2)]
    yield
    for hog in running:
        hog.kill()
        hog.wait()
