"""A Sample as Prometheus' metric families; what the Sample does not know has no sample."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample as Point
from prometheus_client.utils import floatToGoString

from ..probes.sample import Sample
from . import metric as kinds
from .figures import Buckets, Histogram, Row
from .metric import Metric
from .metrics import METRICS

Points = dict[tuple[str, tuple[str, ...]], tuple[Histogram, list[Point]]]
"""By metric and labels: a histogram, and the points that it is on a page."""


def families(sample: Sample, points: Points | None = None) -> Iterator[Family]:
    """
    Yield the families of the catalogue that have a value in `sample`.

    `points` of histograms that have not changed since are taken from there, and others put there:
    they are most of a page, and few of them change.
    """
    kept = {} if points is None else points
    for metric in METRICS:
        rows = list(metric.figures.rows(sample, metric.labels))
        if rows:
            yield _family(metric, rows, kept)


def _family(metric: Metric, rows: Iterable[Row], kept: Points) -> Family:
    if metric.kind == kinds.HISTOGRAM:
        return _histogram(metric, rows, kept)
    kind = CounterMetricFamily if metric.kind == kinds.COUNTER else GaugeMetricFamily
    found: CounterMetricFamily | GaugeMetricFamily
    found = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in rows:
        if not isinstance(value, Histogram):
            found.add_metric(labels, value)
    return found


def _histogram(metric: Metric, rows: Iterable[Row], kept: Points) -> Family:
    found = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in rows:
        if isinstance(value, Histogram):
            there = kept.get((metric.name, labels))
            if there is None or there[0] != value:
                there = kept[metric.name, labels] = value, _points(metric, labels, value)
            found.samples += there[1]
    return found


def _points(metric: Metric, labels: tuple[str, ...], value: Histogram) -> list[Point]:
    """Return what `HistogramMetricFamily.add_metric` would add."""
    names, named = _named(metric, labels, value.buckets)
    return list(map(Point, names, named, (*value.counts, value.counts[-1], value.total)))


@cache
def _named(
    metric: Metric, labels: tuple[str, ...], buckets: Buckets
) -> tuple[list[str], list[dict[str, str]]]:
    """Return name and labels of each point, which are the same on every page."""
    named = dict(zip(metric.labels, labels, strict=True))
    each = [{**named, "le": limit} for limit in _limits(buckets)]
    bucket, count, total = (f"{metric.name}_{part}" for part in ("bucket", "count", "sum"))
    return [*[bucket] * len(each), count, total], [*each, named, named]


@cache
def _limits(buckets: Buckets) -> tuple[str, ...]:
    return (*map(floatToGoString, buckets.limits()), "+Inf")


class SampleCollector(Collector):
    """Collects the families of the Sample that `latest` returns, one scrape at a time."""

    def __init__(self, latest: Callable[[], Sample]) -> None:
        self._latest, self._turn = latest, threading.Lock()
        self._points: Points = {}

    def sample(self) -> Sample:
        """Return the Sample of now."""
        with self._turn:
            return self._latest()

    def collect(self) -> Iterator[Family]:
        """Yield the families of now."""
        return families(self.sample(), self._points)
