"""What `rmapwatch check` does: opens the recording, shows progress, says what is missing."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ..errors import RmapwatchError, UsageError
from ..recordings.reader import Recording
from .run import Verdict, check

_EVERY_S = 1.0


def checked(folder: Path) -> tuple[str, Verdict]:
    """Return the kernel's release and the verdict; UsageError where nothing can be checked."""
    try:
        recording = Recording(folder)
        for complaint in recording.complaints():
            print(f"rmapwatch: {folder}: {complaint}", file=sys.stderr)
        with _Progress() as progress:
            return recording.meta.kernel.release, check(recording, progress.show)
    except RmapwatchError as error:
        raise UsageError(error.what, error.why, error.hint) from None


class _Progress:
    """Says on a terminal, once a second, how many events were looked at."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _EVERY_S
        self._shown = False

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print(file=sys.stderr)

    def show(self, events: int) -> None:
        if time.monotonic() < self._due or not sys.stderr.isatty():
            return
        self._due, self._shown = time.monotonic() + _EVERY_S, True
        print(f"\rrmapwatch: {events:,} events checked", end="", file=sys.stderr, flush=True)
