"""`rmapwatch top` on a terminal: Samples are taken in a thread of their own, and shown here."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Footer, Input, Static

from ...collectors import threads
from ...collectors.frame import Frame, frame
from ...errors import RmapwatchError
from ...probes.sample import Sample
from ..live import Feed
from ..pace import Pace
from . import overview
from .help import Help
from .panels import PANELS
from .table import PanelView, Table

REFRESH_S = 0.5
"""The screen is drawn anew at most this often."""

INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_PAST = 200


@dataclass(frozen=True)
class Reading:
    """What was taken at one moment: a Sample, and what the kernel's threads had used by then."""

    sample: Sample
    cpu: threads.CpuTimes | None


class Arrived(Message):
    """A reading has come; None after the last of a recording."""

    def __init__(self, reading: Reading | None) -> None:
        super().__init__()
        self.reading = reading


class Failed(Message):
    """Samples cannot be taken any more."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def show(feed: Feed, pace: Pace) -> Frame | None:
    """Run the screen until the user leaves; return the frame shown last, raise what went wrong."""
    app = Top(feed, pace)
    error = app.run()
    if error is not None:
        raise error
    if app.return_code:
        raise RmapwatchError("the screen broke down", "the reason is above", "TERM=dumb for none")
    return app.shown


class Top(App[Exception]):
    """The screen. Its result is the error that ended it, if one did."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "rmapwatch"
    AUTO_FOCUS = None  # it would scroll to where the first panel is before there is any layout
    CSS = """
    #head { height: 4; text-wrap: nowrap; text-overflow: ellipsis; }
    #panels { height: 1fr; scrollbar-size-vertical: 1; }
    Footer { background: ansi_default; }
    FooterKey { background: ansi_default; color: ansi_default; }
    FooterKey .footer-key--key { color: ansi_default; background: ansi_default; }
    FooterKey .footer-key--description { color: ansi_black; background: ansi_cyan; }
    #filter { height: 1; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,h,question_mark", "help", "Help", key_display="F1"),
        # Before all others: what is typed next may be here already, and is meant for the filter.
        Binding("f4,backslash,slash", "filter", "Filter", key_display="F4", priority=True),
        Binding("f6,greater_than_sign", "sort(1)", "Sort", key_display="F6"),
        Binding("less_than_sign", "sort(-1)", show=False),
        Binding("i,I", "invert", show=False),
        Binding("p,P,space", "pause", "Pause", key_display="P"),
        Binding("t,T", "totals", "Totals", key_display="T"),
        Binding("plus,equals_sign", "interval(1)", "Interval", key_display="+/-"),
        Binding("minus", "interval(-1)", show=False),
        Binding("q,f10", "quit", "Quit", key_display="F10"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("escape", "no_filter", show=False),
    ]

    def __init__(self, feed: Feed, pace: Pace, refresh_s: float = REFRESH_S) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"  # the terminal's own colours, as the user has chosen them
        self.feed, self.pace, self.refresh_s = feed, pace, refresh_s
        self.shown: Frame | None = None
        self.paused = self.totals = self.ended = False
        self._first: Reading | None = None
        self._before: Reading | None = None
        self._last: Reading | None = None
        self._waiting: Reading | None = None
        self._drawn_s = float("-inf")
        self._timer: Timer | None = None
        self._past: deque[overview.Rates] = deque(maxlen=_PAST)
        self._cpu: dict[str, float] | None = None

    def compose(self) -> ComposeResult:
        """Yield the head, the panels and the line of keys."""
        yield Static(id="head", markup=False)
        with VerticalScroll(id="panels", can_focus=False):
            yield from map(PanelView, PANELS)
        yield Input(id="filter", placeholder="filter", compact=True)
        yield Footer()

    def on_mount(self) -> None:
        """Start to take Samples."""
        self.query_one("#filter", Input).display = False
        self.query(Table).first().focus(scroll_visible=False)
        self.run_worker(self._take, thread=True, exit_on_error=False)
        if not self.is_headless:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)

    def on_unmount(self) -> None:
        """Let the thread that takes Samples come to its end."""
        self.pace.stop()

    def _take(self) -> None:
        """Take Samples until nobody wants any; runs in a thread of its own."""
        try:
            for sample in self.feed.samples(self.pace):
                if self.pace.stopped:
                    return
                cpu = self.feed.cpu() if self.feed.cpu else None
                self.post_message(Arrived(Reading(sample, cpu)))
            self.post_message(Arrived(None))
        except Exception as error:  # told once the screen is gone
            self.post_message(Failed(error))

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.exit(message.error)

    @on(Arrived)
    def _arrived(self, message: Arrived) -> None:
        if message.reading is None:
            self.ended = self.totals = True
        else:
            self._waiting = message.reading
        self._draw_soon()

    def _draw_soon(self) -> None:
        """Draw now, or when the screen may be drawn again."""
        wait_s = self._drawn_s + self.refresh_s - time.monotonic()
        if wait_s <= 0:
            self._draw()
        elif self._timer is None:
            self._timer = self.set_timer(wait_s, self._draw)

    def _draw(self) -> None:
        """Show what has come since the last time, unless the screen is paused."""
        self._timer = None
        if not self.paused:
            if self._waiting is not None:
                self._take_over(self._waiting)
            self._show_panels()
        self._show_head()
        self._drawn_s = time.monotonic()

    def _take_over(self, now: Reading) -> None:
        """Make a window of what was shown last and `now`."""
        before = self._last
        self._before, self._last, self._waiting = before, now, None
        self._first = self._first or now
        if before is not None:
            self._past.append(overview.rates(frame(now.sample, before.sample)))
            self._cpu = threads.shares(now.cpu, before.cpu)

    def _show_panels(self) -> None:
        if self._last is None:
            return
        since = self._first if self.totals else self._before
        if since is self._last:
            since = None
        self.shown = frame(self._last.sample, since.sample if since else None)
        for panel in self.query(PanelView):
            panel.show(self.shown)

    def _show_head(self) -> None:
        if self.shown is None:
            return
        text = overview.head(self.shown, self._past, self._cpu, self._state(), self.size.width)
        head = Text(text, no_wrap=True)
        head.highlight_regex("[▁-█]+", "green")
        head.highlight_regex("PAUSED|end of the recording", "bold reverse")
        self.query_one("#head", Static).update(head)

    def _state(self) -> str:
        """Return what the screen is doing, in a few words."""
        words = (
            (f"filter {self._needle!r}", bool(self._needle)),
            ("totals", self.totals),
            ("PAUSED", self.paused),
            (f"every {self.pace.interval:g} s", self.feed.live),
            ("replay", not self.feed.live and not self.ended),
            ("end of the recording", self.ended),
        )
        return "  ".join(word for word, holds in words if holds)

    @property
    def _needle(self) -> str:
        return self.query(PanelView).first().view.needle

    def on_resize(self) -> None:
        """Fit the screen to its new size, once that is known to all."""
        self.call_later(self._fit)

    def _fit(self) -> None:
        for panel in self.query(PanelView):
            panel.draw()
        self._show_head()

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def action_pause(self) -> None:
        """Hold the screen, or let it go on with what has come meanwhile."""
        self.paused = not self.paused
        self._draw_soon()

    def action_totals(self) -> None:
        """Show the figures since the first Sample, or those of the last window."""
        self.totals = not self.totals
        self._show_panels()
        self._show_head()

    def action_interval(self, step: int) -> None:
        """Wait longer or shorter between Samples."""
        self.pace.set(stepped(self.pace.interval, step))
        self._show_head()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what a recording has not; leave keys to the help and to an open filter."""
        if action == "filter":
            return len(self.screen_stack) == 1 and not self.query_one("#filter").display
        return None if action == "interval" and not self.feed.live else True

    def action_sort(self, step: int) -> None:
        """Sort the panel in focus by its next or previous column."""
        if (focused := self._focused()) is not None:
            names = [column.name for column in focused.panel.shown(self.size.width)]
            here = names.index(focused.view.sort) if focused.view.sort in names else 0
            sort = names[(here + step) % len(names)]
            focused.look(replace(focused.view, sort=sort, inverted=False))

    def action_invert(self) -> None:
        """Turn the order of the panel in focus round."""
        if (focused := self._focused()) is not None:
            focused.look(replace(focused.view, inverted=not focused.view.inverted))

    def _focused(self) -> PanelView | None:
        return next(iter(self.query("PanelView.focused").results(PanelView)), None)

    def action_filter(self) -> None:
        """Ask for a text that the rows must have."""
        line = self.query_one("#filter", Input)
        line.display = True
        self.screen.set_focus(line)

    def action_no_filter(self) -> None:
        """Show every row again."""
        self.query_one("#filter", Input).value = ""
        self._close_filter()

    @on(Input.Changed, "#filter")
    def _filter(self, message: Input.Changed) -> None:
        for panel in self.query(PanelView):
            panel.look(replace(panel.view, needle=message.value))
        self._show_head()

    @on(Input.Submitted, "#filter")
    def _close_filter(self) -> None:
        line = self.query_one("#filter", Input)
        if line.display:
            line.display = False
            self.screen.set_focus(self.query(Table).first())


def stepped(interval: float, step: int) -> float:
    """Return the next longer (``step`` 1) or shorter (-1) interval that is offered."""
    if step > 0:
        return next((each for each in INTERVALS if each > interval), interval)
    return next((each for each in reversed(INTERVALS) if each < interval), interval)
