"""Frames of a session, one or one after the other, on a terminal or as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.live import Live

from ..collectors.frame import Frame, frame
from ..probes.session import Session
from . import plain


def one_frame(live: Session, interval: float, as_json: bool) -> None:
    """Print the frame of the next `interval` seconds on stdout."""
    before = live.sample()
    time.sleep(interval)
    show(frame(live.sample(), before), as_json)


def frames(live: Session, interval: float, as_json: bool) -> None:
    """Show frames until Ctrl-C: in place on a terminal, otherwise one after the other."""
    if as_json:
        while True:
            one_frame(live, interval, as_json)
    console = Console()
    before = live.sample()
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as screen:
        screen.update(plain.screen(frame(before)), refresh=True)
        while True:
            time.sleep(interval)
            now = live.sample()
            screen.update(plain.screen(frame(now, before)), refresh=True)
            before = now


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
