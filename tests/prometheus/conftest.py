"""A Prometheus that has seen all of a recording, shared by the tests of a worker."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from rmapwatch.collectors.frame import Frame, frame
from rmapwatch.recordings import replay
from rmapwatch.recordings.reader import Recording
from servers import FIXTURE, ROOT, Prometheus, exporter, get, prometheus, until


@dataclass(frozen=True)
class Scraped:
    """A Prometheus that has seen all of a recording, the page at its end, and its frame."""

    prometheus: Prometheus
    page: str
    frame: Frame


@pytest.fixture(scope="session")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    first, last = replay.whole(Recording(FIXTURE).samples())
    whole = frame(last, first)
    walks = sum(row.walks for row in whole.walks)
    rules = ROOT / "deploy" / "prometheus" / "alerts.yml"
    with (
        exporter("--replay", str(FIXTURE)) as (url, _),
        prometheus(url, tmp_path_factory.mktemp("prometheus"), rules=rules) as running,
    ):
        seen = 'sum(rmapwatch_walks_total{job="rmapwatch"})'
        until(lambda: walks in running.values(seen).values())
        yield Scraped(running, get(url), whole)
