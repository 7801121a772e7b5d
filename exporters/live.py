"""
The live exporter, in a process that holds no more than it needs.

It runs for months beside what it watches, and has no use for the parser of a command line, which
would be a third of its memory. So `rmapwatch export` becomes this module, run as a program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from .. import errors
from ..probes import service, session
from ..probes.sample import Sample
from . import web

_TRIES = 2
"""A scrape does not wait for a moment at which nothing moves: there may be none for minutes."""


def become(address: str, loader: Path | None) -> None:
    """Replace this process by an exporter of this kernel; `loader`: where one listens, if any."""
    # -P: nothing is imported from the folder that this happens to be started in.
    command = [sys.executable, "-P", "-m", __name__, address, str(loader or ""), *sys.argv[1:]]
    try:
        os.execv(command[0], command)
    except (
        OSError
    ):  # an interpreter that this user cannot start, though it runs: larger, that is all
        run(address, str(loader or ""))


def run(address: str, loader: str) -> None:
    """Be an exporter of this kernel; `loader`: the path at which one listens, "" for none."""
    web.run(address, lambda: _attached(loader))


def _attached(loader: str) -> Callable[[], Sample]:
    if loader:
        attached = service.connect(session.Request(), Path(loader))
    else:
        attached = session.start(session.Request())
        session.drop_privileges()
    return lambda: attached.sample(_TRIES)


if __name__ == "__main__":
    _, _address, _loader, *_typed = sys.argv
    errors.door(lambda: run(_address, _loader), _typed)
