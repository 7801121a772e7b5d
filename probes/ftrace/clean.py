"""
Takes away what a session put into tracefs, once its owner is gone.

Run as a script it is the supervisor: a small process that waits at the end of a pipe, and cleans up
when the owner closes the other end or dies. Standard library only, and nothing of this package: the
owner may be a user without rights by then, and its files out of reach. What both are killed before
doing is done by the next start.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import time
from pathlib import Path

INSTANCE = "instances/rmapwatch-"
GROUP = "rmapwatch_"

_OWNED = re.compile(r"rmapwatch[-_](\d+)")
_DEFINED = re.compile(r"^\w+:(rmapwatch_(\d+)/\S+)", re.MULTILINE)
_TRIES = 50


def remove(tracefs: Path, owner: int) -> bool:
    """
    Remove the instance and the events of `owner`; return whether nothing of them is left.

    An instance that somebody reads from, and events that somebody has switched on, stay: the kernel
    refuses.
    """
    instance = tracefs / f"{INSTANCE}{owner}"
    try:
        instance.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    refused = [event for event in _events(tracefs, owner) if not _undefine(tracefs, event)]
    return not refused


def _events(tracefs: Path, owner: int) -> list[str]:
    defined = _DEFINED.findall((tracefs / "kprobe_events").read_text())
    return [event for event, number in defined if int(number) == owner]


def _undefine(tracefs: Path, event: str) -> bool:
    try:
        write(tracefs / "kprobe_events", f"-:{event}")
    except OSError as refused:
        return refused.errno == errno.ENOENT
    return True


def write(path: Path, line: str) -> None:
    """
    Append a line to a file of tracefs.

    What is there may be somebody else's, and a truncated kprobe_events is empty. Not by `open`,
    which looks for the end of a file that has none.
    """
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


def remains(tracefs: Path) -> list[int]:
    """Return the owners that have something in tracefs and are gone, this process among them."""
    folders = [path.name for path in (tracefs / "instances").iterdir()]
    groups = [event for event, _ in _DEFINED.findall((tracefs / "kprobe_events").read_text())]
    named = (_OWNED.match(name) for name in (*folders, *groups))
    owners = {int(match.group(1)) for match in named if match}
    return sorted(o for o in owners if o == os.getpid() or not Path(f"/proc/{o}").exists())


def sweep(tracefs: Path) -> list[int]:
    """Remove what owners that are gone have left behind; return whose that was."""
    return [owner for owner in remains(tracefs) if remove(tracefs, owner)]


def main(pipe: int, tracefs: Path, owner: int) -> int:
    """Wait for the owner's end, and clean up."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(pipe, 1):
        pass
    for _ in range(_TRIES):
        if remove(tracefs, owner):
            return 0
        time.sleep(0.1)
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
