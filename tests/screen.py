"""The screen of `rmapwatch top` without a terminal: Samples and keys in, text out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field

from rmapwatch.probes.sample import Sample
from rmapwatch.views.live import Feed
from rmapwatch.views.pace import Pace
from rmapwatch.views.top.app import Top
from textual.pilot import Pilot


class _Pace(Pace):
    """Knows whether all that was at hand has been taken."""

    waited = False

    def sleep(self, seconds: float) -> None:
        self.waited = True
        super().sleep(seconds)


_STILL = 5


@dataclass
class Driven:
    """A screen that is being driven: `press` keys, read its `lines`."""

    app: Top
    pilot: Pilot = field(repr=False)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
        await self.rest()

    async def settle(self) -> None:
        """Let all that the feed has come to the screen."""
        while not self.app.ended and not self.app.pace.waited:
            await asyncio.sleep(0.01)
        taken = asyncio.Event()
        self.app.call_later(taken.set)  # behind all that the feed has posted
        await taken.wait()
        await self.rest()

    async def rest(self) -> None:
        """Wait until the screen is laid out: it stays what it is for a while."""
        seen, same = self.lines(), 0
        while same < _STILL:
            await self.pilot.pause(0.02)
            now = self.lines()
            seen, same = now, same + 1 if now == seen else 0

    def lines(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()
        return [strip.text.rstrip() for strip in strips]

    def panel(self, title: str) -> list[str]:
        """The lines of a panel: its title, the names of its columns, its rows."""
        below = iter(self.lines()[4:-1])
        found = [next(line for line in below if line.startswith(title))]
        for line in below:
            if " by " in line or line.endswith(": none"):
                break
            found.append(line)
        return found

    def cursor(self) -> str | None:
        """The panel that has the focus."""
        focused = [panel.id for panel in self.app.query("PanelView.focused")]
        return focused[0] if focused else None


def drive(
    feed: Feed | Iterable[Sample],
    play: Callable[[Driven], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
    refresh_s: float = 0,
    app: type[Top] = Top,
) -> Top:
    """Run the screen while `play` drives it; a feed of Samples is a recording without waits."""
    if not isinstance(feed, Feed):
        samples = list(feed)
        feed = Feed(lambda _: iter(samples), live=False)

    async def run() -> Top:
        running = app(feed, _Pace(2.0), refresh_s)
        async with running.run_test(size=size) as pilot:
            await pilot.pause()
            await play(Driven(running, pilot))
        return running

    return asyncio.run(run())


def endless(samples: Iterable[Sample]) -> Feed:
    """A live feed: all the Samples at once, and then none, until the screen is left."""

    def taken(pace: Pace) -> Iterator[Sample]:
        yield from samples
        while not pace.stopped:
            pace.sleep(60)

    return Feed(taken, live=True)
