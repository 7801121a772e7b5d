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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import errors
from ..probes import backend as backends
from ..probes import catalogue, governed, service, session
from ..probes.backend import Attached, Backend
from ..probes.governed import Governed
from ..probes.sample import Sample
from . import web

if TYPE_CHECKING:
    from ..check.sampled import Beside

_CHECK_PAGES = 4096
"""16 MB of ring: what a storm produces while the events before it are looked at."""

_TRIES = 2
"""A scrape does not wait for a moment at which nothing moves: there may be none for minutes."""


MAX_OVERHEAD = "1%"
"""Of the time of all CPUs; as estimated, see `probes/governed.py`."""


@dataclass(frozen=True)
class Request:
    """
    An exporter of this kernel. ``loader``: the path at which one listens, "" for none. ``steps``:
    with the probes that see what walks look at. ``check``: events are held against the model.
    ``backend``: what attaches the probes. ``max_overhead``: the share of the CPUs that they may
    take, or "off".
    """

    address: str
    loader: str = ""
    steps: bool = False
    check: bool = False
    backend: Backend = Backend.AUTO
    max_overhead: str = MAX_OVERHEAD


def become(request: Request) -> None:
    """Replace this process by an exporter of this kernel."""
    governed.bound(request.max_overhead)  # here: what is wrong with it is said at once
    asked = ("steps" if request.steps else "", "check" if request.check else "")
    told = (request.address, request.loader, *asked, request.backend, request.max_overhead)
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
    bound = governed.bound(request.max_overhead)
    pages = _CHECK_PAGES if request.check else session.RING_PAGES
    wanted = session.Request(
        catalogue.names(request.steps), ring_pages=pages, calibrate=bound is not None
    )
    again = partial(service.connect, wanted, Path(request.loader)) if request.loader else None
    attached: Attached = again() if again else backends.start(wanted, request.backend, _say)
    beside = _beside(attached) if request.check else None
    if not request.loader:
        session.drop_privileges()
    if beside is not None:
        beside.start()
        again = None  # the check goes on with the session that it has
    governor = _governor(attached, bound, again)
    latest = attached.sample if beside is None else beside.sample
    if governor is None:
        return lambda: latest(_TRIES)
    governor.start()
    if beside is None:
        return lambda: governor.sample(_TRIES)
    return lambda: governor.told(latest(_TRIES))


def _governor(
    attached: Attached, bound: float | None, again: Callable[[], session.Session] | None
) -> Governed | None:
    """Return what keeps `attached` below a bound; None where that is not wanted or possible."""
    if bound is None:
        return None
    if not isinstance(attached, session.Session):
        _say("events of tracefs have no bound; --max-overhead is for programs")
        return None
    return Governed(attached, bound, _say, again)


def _beside(attached: Attached) -> Beside:
    from ..check import sampled  # numpy and pyarrow, which an exporter alone has no use for

    return sampled.Beside(attached, sampled.on_stderr)


def _say(text: str) -> None:
    print(f"rmapwatch: {text}", file=sys.stderr)


if __name__ == "__main__":
    _, _address, _loader, _steps, _check, _backend, _bound, *_typed = sys.argv
    _request = Request(_address, _loader, bool(_steps), bool(_check), Backend(_backend), _bound)
    errors.door(lambda: run(_request), _typed)
