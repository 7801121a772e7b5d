"""Frames of Samples that come, one or one after the other, on a terminal or as JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.live import Live

from ..collectors.frame import Frame, frame
from ..probes.sample import Sample
from ..probes.session import Session
from . import plain


def polled(live: Session, interval: float) -> Iterator[Sample]:
    """Yield a Sample now, and one more every `interval` seconds."""
    yield live.sample()
    while True:
        time.sleep(interval)
        yield live.sample()


def one_frame(samples: Iterator[Sample], as_json: bool) -> None:
    """Print the frame between the first two Samples; of one alone, since the probes' start."""
    first = next(samples)
    second = next(samples, None)
    show(frame(first) if second is None else frame(second, first), as_json)


def frames(samples: Iterator[Sample], as_json: bool) -> None:
    """Show frames until Ctrl-C or the last: in place on a terminal, otherwise one by one."""
    if as_json:
        for before, now in itertools.pairwise(samples):
            show(frame(now, before), as_json)
        return
    console = Console()
    shown = plain.screen(frame(before := next(samples)))
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as screen:
        screen.update(shown, refresh=True)
        for now in samples:
            shown = plain.screen(frame(now, before))
            screen.update(shown, refresh=True)
            before = now
    if console.is_terminal:
        console.print(shown)  # the screen of the frames is gone with the last


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
