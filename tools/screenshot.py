"""
Draws `rmapwatch top` over a recording: python tools/screenshot.py RECORDING docs/NAME.svg

The picture is that of the last Sample in which walks were seen.
"""

from __future__ import annotations

import asyncio
import html
import itertools
import re
import sys
from pathlib import Path

from rmapwatch.collectors.frame import frame
from rmapwatch.probes.sample import Sample
from rmapwatch.recordings.reader import Recording
from rmapwatch.views.live import Feed
from rmapwatch.views.pace import Pace
from rmapwatch.views.top.app import Arrived, Reading, Top

SIZE = (112, 32)
_TEXT = re.compile(
    r'(<text [^>]*?)x="([\d.]+)" y="([^"]*)" textLength="([\d.]+)"([^>]*>)((?:&#160;)+)'
)


def busy(samples: list[Sample]) -> list[Sample]:
    """Return the Samples up to the last one that walks came before."""
    walked = [bool(frame(b, a).walks) for a, b in itertools.pairwise(samples)]
    return samples[: max((n for n, any_ in enumerate(walked, 2) if any_), default=len(samples))]


async def draw(samples: list[Sample]) -> str:
    """Return the screen after these Samples as SVG."""
    app = Top(Feed(lambda _: iter(()), live=True), Pace(2.0), refresh_s=0)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        app.ended = app.totals = False  # the feed is empty: Samples are handed over here
        for sample in samples:
            app.post_message(Arrived(Reading(sample, None)))
            await pilot.pause()
        return app.export_screenshot(title="rmapwatch top")


def shifted(svg: str) -> str:
    """Return the SVG with spaces at the start of a text as its place: not all viewers keep them."""

    def moved(found: re.Match[str]) -> str:
        head, x, y, length, tail, spaces = found.groups()
        rest = svg[found.end() : svg.index("</text>", found.end())]
        characters, gone = len(html.unescape(spaces + rest)), len(html.unescape(spaces))
        step = float(length) / characters
        place, width = float(x) + gone * step, float(length) - gone * step
        return f'{head}x="{place:.1f}" y="{y}" textLength="{width:.1f}"{tail}'

    return _TEXT.sub(moved, svg)


if __name__ == "__main__":
    recording = Recording(Path(sys.argv[1]))
    out = Path(sys.argv[2])
    out.write_text(shifted(asyncio.run(draw(busy(list(recording.samples()))))))
    print(f"wrote {out}")
