"""A real terminal (tmux): what a user sees, types, and has again on the screen afterwards."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rmapwatch.collectors.frame import frame, frames
from rmapwatch.recordings.reader import Recording

RECORDING = Path(__file__).parents[3] / "fixtures" / "fork-storm-6.1"
SAMPLES = list(Recording(RECORDING).samples())
WHOLE, LAST = frame(SAMPLES[-1], SAMPLES[0]), list(frames(SAMPLES))[-1]
DEADLINE_S = 60
REPLAY_LIMIT_KB = 140 << 10


class Terminal:
    """A terminal of 80x24 in which `rmapwatch top --replay` runs."""

    def __init__(self, socket: Path, **environment: str) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        settings = " ".join(f"{name}={value}" for name, value in environment.items())
        top = f"{sys.executable} -m rmapwatch top --replay {RECORDING}"
        # The shell takes Ctrl-C as well, when nobody takes it as a key.
        command = f"trap : INT; {settings} {top}; echo it ended with $?; sleep 60"
        self._ask("new-session", "-d", "-x", "80", "-y", "24", command)

    def _ask(self, *words: str) -> str:
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        clean |= {"LC_ALL": "C.UTF-8", "SHELL": "/bin/sh"}
        return subprocess.check_output([*self._tmux, *words], text=True, env=clean)

    def press(self, *keys: str) -> None:
        self._ask("send-keys", *keys)

    def screen(self, *options: str) -> str:
        return self._ask("capture-pane", "-p", *options)

    def until(self, holds: Callable[[str], bool]) -> str:
        """The screen as soon as it is as it should be."""
        end = time.monotonic() + DEADLINE_S
        while not holds(shown := self.screen()):
            assert time.monotonic() < end, shown
            time.sleep(0.05)
        return shown

    def resident_kb(self) -> int:
        """What the process takes that runs in it."""
        shell = self._ask("display-message", "-p", "#{pane_pid}").strip()
        child = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0]
        status = Path(f"/proc/{child}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1])

    def close(self) -> None:
        self._ask("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened = []

    def opener(**environment: str) -> Terminal:
        opened.append(Terminal(tmp_path / "socket", **environment))
        return opened[-1]

    yield opener
    for each in opened:
        each.close()


def test_keys_and_a_clean_end(terminal: Callable[..., Terminal]) -> None:
    shown = terminal()
    walks = next(row.walks for row in WHOLE.walks if (row.op, row.kind) == ("reference", "anon"))
    shown.until(lambda text: re.search(rf"reference anon +{walks:,} ", text) is not None)
    shown.press("F6", ">", ">")
    shown.until(lambda text: "reverse-map walks by op ↑" in text)
    shown.press("F4", "unmap", "Enter")
    shown.until(lambda text: "filter 'unmap'" in text and "reference anon" not in text)
    shown.press("F1")
    shown.until(lambda text: "sort the panel by its next" in text)
    shown.press("x", "x")
    shown.until(lambda text: "reverse-map walks by op" in text)
    shown.press("P")
    shown.until(lambda text: "PAUSED" in text)
    taken = shown.resident_kb()
    print(f"top --replay takes {taken} kB")
    assert 20_000 < taken < REPLAY_LIMIT_KB
    assert "\x1b[36m" in shown.screen("-e")
    shown.press("q")
    left = shown.until(lambda text: "it ended with 0" in text)
    assert "F10 Quit" not in left
    assert "events lost" in left


def test_ctrl_c_is_a_clean_end_too_and_no_colour_none(terminal: Callable[..., Terminal]) -> None:
    shown = terminal(NO_COLOR="1")
    shown.until(lambda text: "F10 Quit" in text)
    escapes = shown.screen("-e")
    assert "\x1b[7m" in escapes
    assert not any(f"[{ground}{colour}" in escapes for ground in "349" for colour in "01234567")
    assert "[38" not in escapes
    assert "[48" not in escapes
    shown.press("C-c")
    shown.until(lambda text: "it ended with 0" in text)


@pytest.mark.parametrize("name", ["dumb", "vt100"])
def test_plain_frames_where_there_is_no_screen(
    name: str, terminal: Callable[..., Terminal]
) -> None:
    shown = terminal(TERM=name)
    shown.until(lambda text: f"last {LAST.seconds:.1f} s" in text)
    assert "F10" not in shown.screen()
    shown.press("C-c")
    shown.until(lambda text: "it ended with 130" in text)
