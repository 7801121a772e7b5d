"""
The live exporter, in a process that holds no more than it needs.

It runs for months beside what it watches, and has no use for the parser of a command line, which
would be a third of its memory. So `rmapwatch export` becomes this module, run as a program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import errors
from ..probes import backend as backends
from ..probes import catalogue, service, session
from ..probes.backend import Attached, Backend
from ..probes.sample import Sample
from . import web

if TYPE_CHECKING:
    from ..check.sampled import Beside

_CHECK_PAGES = 4096
"""16 MB of ring: what a storm produces while the events before it are looked at."""

_TRIES = 2
"""A scrape does not wait for a moment at which nothing moves: there may be none for minutes."""


@dataclass(frozen=True)
class Request:
    """
    An exporter of this kernel. ``loader``: the path at which one listens, "" for none. ``steps``:
    with the probes that see what walks look at. ``check``: events are held against the model.
    ``backend``: what attaches the probes.
    """

    address: str
    loader: str = ""
    steps: bool = False
    check: bool = False
    backend: Backend = Backend.AUTO


def become(request: Request) -> None:
    """Replace this process by an exporter of this kernel."""
    asked = ("steps" if request.steps else "", "check" if request.check else "")
    told = (request.address, request.loader, *asked, request.backend)
    # -P: nothing is imported from the folder that this happens to be started in.
    command = [sys.executable, "-P", "-m", __name__, *told, *sys.argv[1:]]
    try:
        os.execv(command[0], command)
    except (
        OSError
    ):  # an interpreter that this user cannot start, though it runs: larger, that is all
        run(request)


def run(request: Request) -> None:
    """Be an exporter of this kernel."""
    web.run(request.address, lambda: _attached(request))


def _attached(request: Request) -> Callable[[], Sample]:
    attached: Attached
    pages = _CHECK_PAGES if request.check else session.RING_PAGES
    wanted = session.Request(probes=catalogue.names(request.steps), ring_pages=pages)
    if request.loader:
        attached = service.connect(wanted, Path(request.loader))
    else:
        attached = backends.start(wanted, request.backend, _say)
    beside = _beside(attached) if request.check else None
    if not request.loader:
        session.drop_privileges()
    if beside is None:
        return lambda: attached.sample(_TRIES)
    beside.start()
    return lambda: beside.sample(_TRIES)


def _beside(attached: Attached) -> Beside:
    from ..check import sampled  # numpy and pyarrow, which an exporter alone has no use for

    return sampled.Beside(attached, sampled.on_stderr)


def _say(text: str) -> None:
    print(f"rmapwatch: {text}", file=sys.stderr)


if __name__ == "__main__":
    _, _address, _loader, _steps, _check, _backend, *_typed = sys.argv
    _request = Request(_address, _loader, bool(_steps), bool(_check), Backend(_backend))
    errors.door(lambda: run(_request), _typed)
