"""`rmapwatch top` on a terminal, over a real kernel: what it shows, what it takes, how it ends."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

from servers import rss_kb

LIMIT_KB = 80 * 1024
DEADLINE_S = 300


def until(terminal: int, wanted: bytes, text: bytes = b"") -> bytes:
    """Read what is drawn until `wanted` is in it."""
    end = time.monotonic() + DEADLINE_S
    while wanted not in text:
        assert time.monotonic() < end, text
        if select.select([terminal], [], [], 1)[0]:
            text += os.read(terminal, 1 << 16)
    return text


def test_it_is_small_and_ends_by_q() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "rmapwatch", "top", "--interval", "0.5"]
    with subprocess.Popen(
        ["sh", "-c", 'stty rows 24 cols 80; exec "$@"', "sh", *command],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
    ) as top:  # fmt: skip
        os.close(theirs)
        try:
            until(ours, b"reverse-map walks")
            until(ours, b"last ")
            time.sleep(5)
            taken = rss_kb(top.pid)
            print(f"top takes {taken} kB")
            os.write(ours, b"q")
            until(ours, b"\x1b[?1049l")
            assert top.wait(DEADLINE_S) == 0
        finally:
            top.send_signal(signal.SIGKILL)
            os.close(ours)
    assert 20_000 < taken < LIMIT_KB
