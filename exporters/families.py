"""A Sample as Prometheus' metric families; what the Sample does not know has no sample."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from .figures import Buckets, Histogram, Row, Slots, Value
from .metric import Metric
from .metrics import METRICS

Points = dict[str, dict[tuple[str, ...], tuple[Value, list[Point]]]]
"""By metric and labels: a value, and the points that it is on a page."""

_FAMILIES: Mapping[str, Callable[..., Family]] = {
    kinds.COUNTER: CounterMetricFamily,
    kinds.GAUGE: GaugeMetricFamily,
    kinds.HISTOGRAM: HistogramMetricFamily,
}


def families(sample: Sample, points: Points | None = None) -> Iterator[Family]:
    """
    Yield the families of the catalogue that have a value in `sample`.

    `points` of values that have not changed since are taken from there, and others put there: few
    of those of a page change.
    """
    kept = {} if points is None else points
    for metric in METRICS:
        rows = metric.figures.rows(sample, metric.labels)
        found = _points(metric, rows, kept.setdefault(metric.name, {}))
        if found:
            family = _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
            family.samples = found
            yield family


def _points(
    metric: Metric, rows: Iterable[Row], kept: dict[tuple[str, ...], tuple[Value, list[Point]]]
) -> list[Point]:
    """Return what `add_metric` of the metric's family would add for each row."""
    found: list[Point] = []
    for labels, value in rows:
        there = kept.get(labels)
        if there is None or there[0] != value:
            names, named = _named(metric, labels)
            points = list(map(Point, names, named, _values(value)))
            there = kept[labels] = value, points
        found += there[1]
    return found


def _values(value: Value) -> tuple[float, ...]:
    if isinstance(value, Histogram):
        return *value.counts, value.counts[-1], value.total
    return (value,)


@cache
def _named(metric: Metric, labels: tuple[str, ...]) -> tuple[list[str], list[dict[str, str]]]:
    """Return name and labels of each point, which are the same on every page."""
    named = dict(zip(metric.labels, labels, strict=True))
    if isinstance(metric.figures, Slots):
        each = [{**named, "le": limit} for limit in _limits(metric.figures.buckets)]
        bucket, count, total = (f"{metric.name}_{part}" for part in ("bucket", "count", "sum"))
        return [*[bucket] * len(each), count, total], [*each, named, named]
    return [metric.name], [named]


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
