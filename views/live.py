"""Frames of Samples that come, one or one after the other, on a terminal or as JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..collectors.frame import Frame, frame
from ..probes import catalogue
from ..probes.backend import Attached
from ..probes.sample import Sample
from ..probes.session import Request
from . import plain
from .pace import Pace

if TYPE_CHECKING:
    from ..collectors.following import Following
    from ..collectors.threads import CpuTimes


FOLLOWED = ("walk", "batch")
"""The events of which a screen shows sums: whose memory it is, and who pays."""


@dataclass(frozen=True)
class Feed:
    """
    Where Samples come from: ``samples`` yields them, waiting in between as the `Pace` says.

    ``live``: of this kernel, now, and without an end; otherwise they were recorded, and come as
    they came then. ``cpu`` reads what the kernel's threads have used; None where nobody can tell.
    """

    samples: Callable[[Pace], Iterator[Sample]]
    live: bool
    cpu: Callable[[], CpuTimes] | None = None


def request(steps: bool) -> Request:
    """Return what a screen asks of the loader; ``steps``: every VMA that walks look at, too."""
    return Request(catalogue.names(steps), events=FOLLOWED)


def of(attached: Attached) -> Feed:
    """Return the feed of probes that are attached, and of the events that they tell."""
    from ..collectors.following import Following  # numpy
    from ..collectors.threads import KernelThreads  # psutil

    following = Following(attached)
    return Feed(lambda pace: polled(following, pace), live=True, cpu=KernelThreads().read)


def polled(following: Following, pace: Pace) -> Iterator[Sample]:
    """Yield a Sample now, and one more after each interval."""
    yield following.sample()
    while pace.rest():
        yield following.sample()


def watch(feed: Feed, interval: float, as_json: bool) -> None:
    """Show frames until the user or the feed ends it, on a screen of their own where one can be."""
    if as_json or not _has_screen():
        frames(feed.samples(Pace(interval)), as_json)
        return
    from .top import app  # Textual is loaded only where it is used

    last = app.show(feed, Pace(interval))
    if last is not None:
        show(last, as_json=False)


def load(as_json: bool) -> None:
    """Load what `watch` will need: once privileges are dropped it may be out of reach."""
    if not as_json and _has_screen():
        from .top import app as app


def _has_screen() -> bool:
    """Return whether stdin and stdout are a terminal that Textual can draw on."""
    name = os.environ.get("TERM", "")
    able = name not in ("", "dumb", "unknown") and not name.startswith("vt")
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return able and utf8 and sys.stdin.isatty() and sys.stdout.isatty()


def one_frame(samples: Iterator[Sample], as_json: bool) -> None:
    """Print the frame between the first two Samples; of one alone, since the probes' start."""
    first = next(samples)
    second = next(samples, None)
    show(frame(first) if second is None else frame(second, first), as_json)


def frames(samples: Iterator[Sample], as_json: bool) -> None:
    """Print frames one by one until Ctrl-C or the last; as JSON, those that have a length."""
    first = next(samples)
    if not as_json:
        show(frame(first), as_json)
    for before, now in itertools.pairwise(itertools.chain([first], samples)):
        show(frame(now, before), as_json)


def show(shown: Frame, as_json: bool) -> None:
    """Print one frame on stdout."""
    if as_json:
        print_json(dataclasses.asdict(shown))
    else:
        Console().print(plain.screen(shown))


def print_json(data: Any) -> None:
    """Print `data` as JSON on stdout; absent is null."""
    json.dump(data, sys.stdout, indent=1)
    print(flush=True)
