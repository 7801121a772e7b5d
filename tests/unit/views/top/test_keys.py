"""The screen driven by keys, as a user of htop would."""

import threading
import time

import pytest
from rmapwatch import errors
from rmapwatch.collectors.threads import CpuTimes
from rmapwatch.views.live import Feed
from rmapwatch.views.pace import Pace
from rmapwatch.views.top import app as screen_of
from rmapwatch.views.top.app import Arrived, Reading
from samples import sample
from screen import Driven, drive, endless
from textual.screen import Screen
from textual.widget import Widget

TWO = [sample(1_000_000_000, 1), sample(3_000_000_000, 3)]
THIRD = sample(4_000_000_000, 7)


def ops(driven: Driven) -> list[str]:
    return [line.split()[0] for line in driven.panel("reverse-map walks")[2:]]


def test_the_last_window_of_what_is_live() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        first, *_ = driven.lines()
        assert first.startswith("rmapwatch  6.1.0-test  bcc  last 2.0 s  ")
        assert first.endswith("  every 2 s")
        assert ops(driven) == ["unmap", "reference", "damon"]

    drive(endless(TWO), play)


def test_the_screen_begins_at_its_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever gets the focus at first, and however early: nothing is laid out by then."""
    scrolled: list[Widget | None] = []
    focus = Screen.set_focus

    def noted(screen: Screen, widget: Widget | None, scroll_visible: bool = True, **more) -> None:
        if scroll_visible:
            scrolled.append(widget)
        focus(screen, widget, scroll_visible, **more)

    monkeypatch.setattr(Screen, "set_focus", noted)

    async def play(driven: Driven) -> None:
        await driven.settle()
        assert driven.cursor() == "walks"
        assert scrolled == []
        await driven.press("tab")
        assert scrolled

    drive(endless(TWO), play)


def test_sort_and_invert() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        assert driven.panel("reverse-map walks")[0] == "reverse-map walks by time ↓"
        await driven.press("f6", ">")
        assert driven.panel("reverse-map walks")[0] == "reverse-map walks by p99 ↓"
        await driven.press("f6")
        assert driven.panel("reverse-map walks")[0] == "reverse-map walks by op ↑"
        assert ops(driven) == ["damon", "reference", "unmap"]
        await driven.press("I")
        assert driven.panel("reverse-map walks")[0] == "reverse-map walks by op ↓"
        assert ops(driven) == ["unmap", "reference", "damon"]
        await driven.press("<", "<", "<", "<")
        assert driven.panel("reverse-map walks")[0] == "reverse-map walks by vmas p99 ↓"
        assert driven.panel("reclaim")[0] == "reclaim, in pages by time ↓"

    drive(endless(TWO), play)


def test_a_click_on_a_column_sorts_by_it() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        for arrow in "↓↑↓":
            await driven.pilot.click("#walks Table", offset=(20, 0))
            await driven.pilot.pause()
            assert driven.panel("reverse-map walks")[0] == f"reverse-map walks by walks {arrow}"

    drive(endless(TWO), play)


def test_tab_goes_from_panel_to_panel() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        assert driven.cursor() == "walks"
        await driven.press("tab")
        assert driven.cursor() == "maps"
        await driven.press(*["tab"] * 2)
        assert driven.cursor() == "reclaim"
        await driven.press("f6")
        assert driven.panel("reclaim")[0] == "reclaim, in pages by p99 ↓"
        await driven.press(*["shift+tab"] * 3)
        assert driven.cursor() == "walks"
        await driven.press("shift+tab")
        assert driven.cursor() == "probes"
        assert any("step_migrate" in line for line in driven.lines())

    drive(endless(TWO), play)


@pytest.mark.parametrize("key", ["f4", "\\", "/"])
def test_filter(key: str) -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.press(key, *"Anon")
        assert driven.lines()[-2] == "Anon"
        assert "filter 'Anon'" in driven.lines()[0]
        assert ops(driven) == ["unmap", "reference"]
        assert driven.panel("reclaim") == ["reclaim, in pages: none"]
        await driven.press("enter", "f6")
        assert ops(driven) == ["unmap", "reference"]
        await driven.press("escape")
        assert "filter" not in driven.lines()[0]
        assert "damon" in ops(driven)

    drive(endless(TWO), play)


def test_a_filter_may_hold_the_keys_that_open_it() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.press("f4", "/", "\\", "q", "f4")
        assert driven.lines()[-2] == "/\\q"
        await driven.press("escape", "f1", "/")
        assert "filter" not in driven.lines()[-2]

    drive(endless(TWO), play)


@pytest.mark.parametrize("key", ["P", "p", "space"])
def test_pause(key: str) -> None:
    """A paused screen stands still, and then shows all that has come meanwhile."""

    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.press(key)
        assert driven.lines()[0].endswith("PAUSED  every 2 s")
        before = driven.panel("reverse-map walks")
        for now in (sample(3_500_000_000, 4), THIRD):
            driven.app.post_message(Arrived(Reading(now, None)))
            await driven.pilot.pause()
        assert driven.panel("reverse-map walks") == before
        await driven.press(key)
        assert "PAUSED" not in driven.lines()[0]
        assert "last 1.0 s" in driven.lines()[0]
        assert "4,036" in driven.panel("reverse-map walks")[3]

    drive(endless(TWO), play)


def test_totals() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.press("t")
        assert "last 3.0 s" in driven.lines()[0]
        assert "totals" in driven.lines()[0]
        await driven.press("T")
        assert "last 1.0 s" in driven.lines()[0]

    drive(endless([*TWO, THIRD]), play)


def test_the_interval() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.press("+")
        assert driven.app.pace.interval == 5
        assert driven.lines()[0].endswith("every 5 s")
        await driven.press("-", "-", "-", "-", "-", "-")
        assert driven.app.pace.interval == 0.5
        assert driven.lines()[0].endswith("every 0.5 s")

    drive(endless(TWO), play)


def test_a_recording_keeps_its_own_pace() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.press("+")
        assert driven.app.pace.interval == 2

    drive(TWO, play)


@pytest.mark.parametrize("key", ["f1", "h", "?"])
def test_help(key: str) -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.press(key)
        assert any("sort the panel by its next" in line for line in driven.lines())
        await driven.press("x")
        assert ops(driven) == ["unmap", "reference", "damon"]

    drive(endless(TWO), play)


@pytest.mark.parametrize("key", ["q", "f10", "ctrl+c"])
def test_quit(key: str) -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.press("f4" if key != "q" else "tab", key)
        assert not driven.app.is_running

    done = drive(endless(TWO), play)
    assert done.return_value is None
    assert done.return_code == 0
    assert done.shown is not None


def test_the_end_of_a_recording_stays() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        assert driven.lines()[0].endswith("totals  end of the recording")
        assert "last 3.0 s" in driven.lines()[0]
        await driven.press("t")
        assert "last 1.0 s" in driven.lines()[0]
        assert driven.app.is_running

    drive([*TWO, THIRD], play)


def test_one_sample_alone_is_since_the_start() -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        assert "since the probes were attached" in driven.lines()[0]
        assert driven.lines()[1].startswith("walks/s               - ")

    drive(TWO[:1], play)


def test_an_error_ends_the_screen_and_is_told() -> None:
    def broken(_: Pace):
        yield TWO[0]
        raise errors.RmapwatchError("the probes are gone", "somebody took them")

    async def play(driven: Driven) -> None:
        while driven.app.is_running:
            await driven.pilot.pause(0.01)

    assert str(drive(Feed(broken, live=True), play).return_value).startswith("the probes are gone")


def test_an_error_goes_on_to_the_one_door(monkeypatch: pytest.MonkeyPatch) -> None:
    error = errors.RmapwatchError("the probes are gone", "somebody took them")
    monkeypatch.setattr(screen_of.Top, "run", lambda self: error)
    with pytest.raises(errors.RmapwatchError, match="somebody took them"):
        screen_of.show(endless(TWO), Pace(2.0))


def test_samples_are_taken_in_another_thread() -> None:
    taken_in = []

    def samples(_: Pace):
        taken_in.append(threading.current_thread())
        yield from TWO

    async def play(driven: Driven) -> None:
        await driven.settle()

    drive(Feed(samples, live=False), play)
    assert taken_in != [threading.main_thread()]


def test_cells_that_are_the_same_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    updated = []

    async def play(driven: Driven) -> None:
        await driven.settle()
        table = driven.app.query_one("#probes Table")
        monkeypatch.setattr(table, "update_cell", lambda row, name, _: updated.append((row, name)))
        driven.app.post_message(Arrived(Reading(THIRD, None)))
        await driven.pilot.pause()

    drive(endless(TWO), play)
    assert updated == [("0", "calls")]


def test_it_is_drawn_twice_a_second_at_most() -> None:
    drawn = []

    class Counted(screen_of.Top):
        def _show_panels(self) -> None:
            drawn.append(self._last)
            super()._show_panels()

    many = [sample(1_000_000_000 + n, n + 1) for n in range(40)]

    async def play(driven: Driven) -> None:
        began = time.monotonic()
        while drawn[-1:] != [Reading(many[-1], None)]:
            await driven.pilot.pause(0.01)
        assert 1 <= len(drawn) <= 1 + (time.monotonic() - began) / 0.3 + 1
        assert len(drawn) < len(many)

    drive(endless(many), play, refresh_s=0.3, app=Counted)


def test_cpu_of_kernel_threads() -> None:
    times = iter([CpuTimes(1.0, {"kswapd0": 5.0}), CpuTimes(3.0, {"kswapd0": 6.5})])

    async def play(driven: Driven) -> None:
        await driven.settle()
        assert driven.lines()[3].startswith("kswapd0 75%  probes 2 of 3")

    feed = endless(TWO)
    drive(Feed(feed.samples, live=True, cpu=lambda: next(times)), play)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits_a_terminal_that_changes_its_size(width: int) -> None:
    async def play(driven: Driven) -> None:
        await driven.settle()
        await driven.pilot.resize_terminal(width, 30)
        await driven.pilot.pause()
        assert ("p50" in driven.panel("reverse-map walks")[1]) == (width == 120)
        assert max(map(len, driven.lines())) <= width

    drive(endless(TWO), play)
