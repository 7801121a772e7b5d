"""What `rmapwatch check` does: opens the recording, shows progress, says what is missing."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from ..errors import RmapwatchError, UsageError
from ..probes import session
from ..recordings import recorder, schema
from ..recordings.reader import Recording
from .run import Verdict, check

_EVERY_S, _SAMPLE_S = 1.0, 2.0


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


def live(seconds: float) -> tuple[str, Verdict]:
    """Record this kernel for so long, and return what `checked` does; the recording is not kept."""
    # What is loaded late is loaded before privileges are dropped.
    schema.load_all()
    attached = session.start(recorder.SESSION)
    session.drop_privileges()
    with tempfile.TemporaryDirectory(prefix="rmapwatch-check-") as name:
        folder = Path(name) / "recording"
        print(f"rmapwatch: recording for {seconds:g} s; Ctrl-C ends it", file=sys.stderr)
        recorder.record(attached, recorder.Request(folder, _SAMPLE_S, seconds))
        attached.close()
        return checked(folder)


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
