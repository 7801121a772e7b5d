"""A Prometheus that has seen all of a recording, shared by the tests of a worker."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rmapwatch.collectors.frame import Frame, frame
from rmapwatch.probes.sample import Overhead, RuleCounts
from rmapwatch.recordings import replay
from rmapwatch.recordings.reader import Recording
from rmapwatch.recordings.writer import Writer
from servers import FIXTURE, ROOT, Prometheus, exporter, get, prometheus, until

RULE = "reference check: keep"

# Recordings that together have something of everything.
FLEET = (
    "file-stream-6.12",
    "ksm-stall-6.12",
    "hwpoison-6.12",
    "migrate-6.12",
    "lock-waits-6.12",
    "cow-reuse-6.12",
)


OVERHEAD = Overhead(0.01, 0.002, {"full": 1, "sampled": 0, "shed": 0}, {"step": 100.0})


@dataclass(frozen=True)
class Scraped:
    """A Prometheus that has seen all of a recording, the page at its end, and its frame."""

    prometheus: Prometheus
    page: str
    frame: Frame


@pytest.fixture(scope="session")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Samples of a recording as they would be beside a check, and under a governor."""
    source, folder = Recording(FIXTURE), tmp_path_factory.mktemp("checked") / "recording"
    writer = Writer(folder, replace(source.meta, complete=False, end=None))
    for number, sample in enumerate(source.samples()):
        model = {RULE: RuleCounts(number * 1009, 0)}
        writer.sample(replace(sample, model=model, sampling=1.0, overhead=OVERHEAD))
    assert source.meta.end is not None
    writer.close(source.meta.end)
    return folder


@pytest.fixture(scope="session")
def scraped(checked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    first, last = replay.whole(Recording(FIXTURE).samples())
    whole = frame(last, first)
    walks = sum(row.walks for row in whole.walks)
    rules = ROOT / "deploy" / "prometheus" / "alerts.yml"
    with (
        exporter("--replay", str(checked)) as (url, _),
        prometheus([url], tmp_path_factory.mktemp("prometheus"), rules=rules) as running,
    ):
        seen = 'sum(rmapwatch_walks_total{job="rmapwatch"})'
        until(lambda: walks in running.values(seen).values())
        yield Scraped(running, get(url), whole)


@pytest.fixture(scope="session")
def fleet(checked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has seen all of several recordings, each an instance."""
    with ExitStack() as stack:
        ends = {}
        for folder in (checked, *map(FIXTURE.with_name, FLEET)):
            first, last = replay.whole(Recording(folder).samples())
            url, _ = stack.enter_context(exporter("--replay", str(folder)))
            ends[url] = sum(row.walks for row in frame(last, first).walks)
        folder = tmp_path_factory.mktemp("fleet")
        running = stack.enter_context(prometheus(list(ends), folder))
        seen = "sum by (instance) (rmapwatch_walks_total)"
        until(lambda: sorted(running.values(seen).values()) == sorted(ends.values()))
        yield running
