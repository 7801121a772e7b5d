"""What a scrape takes: little more than the page alone, whatever was counted."""

import gc
import itertools
import random
import time
from collections.abc import Callable, Iterator

import pytest
from memory_session import MemorySession
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry
from prometheus_client.registry import Collector
from rmapwatch.exporters import web
from rmapwatch.exporters.families import SampleCollector

MOST = 1.3
"""Times one `generate_latest` of the same families."""


class Same(Collector):
    """The families of one moment."""

    def __init__(self, families: list) -> None:
        self.families = families

    def collect(self) -> Iterator:
        return iter(self.families)


def registry(collector: Collector) -> CollectorRegistry:
    found = CollectorRegistry(auto_describe=False)
    found.register(collector)
    return found


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> MemorySession:
    monkeypatch.setattr("rmapwatch.probes.session.fdinfo", lambda _: {"max_entries": 1 << 20})
    session = MemorySession()
    chance, (end, _) = random.Random(7), session.layout.find("cpu_state", "walks")
    for place in range(len(session.words)):
        if place % session.layout.words("cpu_state") >= end:  # the accounts: nothing is under way
            session.words[place] = chance.randrange(1 << 20)
    return session


def moved(session: MemorySession) -> None:
    """What a storm moves between two scrapes: five kinds of walks of thirty, some of the rest."""
    layout = session.layout
    for name, struct, cells in (
        ("walks", "walk_cell", (0, 1, 3, 11, 13)),
        ("batches", "batch_cell", (0, 4)),
        ("forks", "call_cell", (0, 1)),
        ("cows", "call_cell", (0,)),
    ):
        start, words = layout.find("cpu_state", name)[0], layout.words(struct)
        for cell in cells:
            for place in range(start + cell * words, start + (cell + 1) * words):
                session.words[place] += 1


def cpu_seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def test_it_takes_little_more_than_the_page(live: MemorySession) -> None:
    """The least of each: what other processes do to the caches only ever adds to it."""
    collector = SampleCollector(lambda: live.sample(2))
    scraped = registry(collector)
    page = registry(Same(list(collector.collect())))
    gc.freeze()  # as the exporter does
    alone, whole = [], []
    for _ in range(150):
        moved(live)
        alone.append(cpu_seconds(lambda: generate_latest(page)))
        whole.append(cpu_seconds(lambda: web.scraped(scraped, "")))
    gc.unfreeze()
    print(f"a scrape takes {min(whole) / min(alone):.2f} times the page alone")
    assert min(whole) <= MOST * min(alone)


def test_pages_do_not_grow(live: MemorySession) -> None:
    """Neither with what was counted nor with how long: as many series, whatever their values."""
    collector = SampleCollector(lambda: live.sample(0))
    sizes = []
    for factor in (1, 1 << 15, 1 << 30):
        for place in range(len(live.words)):
            live.words[place] = factor * (place % 7 + 1)
        families = list(collector.collect())
        sizes.append([(each.name, len(each.samples)) for each in families])
    assert sizes[0] == sizes[1] == sizes[2]


def test_the_last_bucket_of_a_histogram_is_its_count(live: MemorySession) -> None:
    collector = SampleCollector(lambda: live.sample(0))
    found = [each for each in collector.collect() if each.type == "histogram"]
    for family in found:
        last = [p.value for p in family.samples if p.labels.get("le") == "+Inf"]
        assert last == [p.value for p in family.samples if p.name.endswith("_count")]
        assert any(last), family.name
    assert len(found) > 10


def test_points_that_are_kept_are_those_of_now(live: MemorySession) -> None:
    """Page by page as if nothing had been kept."""
    kept = registry(SampleCollector(lambda: live.sample(2)))
    for _ in itertools.repeat(None, 5):
        moved(live)
        fresh = registry(SampleCollector(lambda: live.sample(2)))
        assert web.scraped(kept, "") == web.scraped(fresh, "")
