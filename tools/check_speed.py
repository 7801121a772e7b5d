"""
Measure `rmapwatch check`: `taskset -c 0 python tools/check_speed.py RECORDING [TIMES]`.

CPU time, the least of so many times: of reading alone, and of all that the check does. The
difference is the rules'. See docs/check.md.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rmapwatch.check.context import context_of
from rmapwatch.check.run import judge
from rmapwatch.check.windows import windows
from rmapwatch.recordings.reader import Recording


def _least(times: int, work: Callable[[], object]) -> float:
    """Return the least CPU time that some work took, in seconds."""
    took = []
    for _ in range(times):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)


def _read(recording: Recording) -> None:
    for window in windows(recording):
        for columns in window.values():
            for name in columns:
                _ = columns[name]


def main(folder: Path, times: int) -> None:
    """Print how many events a second are read, are held against the rules, and both."""
    recording = Recording(folder)
    context = context_of(recording)
    counts = recording.meta.end.events if recording.meta.end else {}
    number = judge(context, windows(recording), counts).events
    reading = _least(times, lambda: _read(recording))
    both = _least(times, lambda: judge(context, windows(recording), counts))
    for what, seconds in (("reading", reading), ("rules", both - reading), ("both", both)):
        print(f"{what}: {number / seconds / 1e6:.2f} million events a second")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{number} events, at most {most} MB of memory")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
