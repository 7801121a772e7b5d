"""A Sample as Prometheus' metric families. Pure; what the Sample does not know has no sample."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ..probes.sample import Sample
from . import metric as kinds
from .figures import Histogram, Row
from .metric import Metric
from .metrics import METRICS


def families(sample: Sample) -> Iterator[Family]:
    """Yield the families of the catalogue that have a value in `sample`."""
    for metric in METRICS:
        rows = list(metric.figures.rows(sample, metric.labels))
        if rows:
            yield _family(metric, rows)


def _family(metric: Metric, rows: Iterable[Row]) -> Family:
    if metric.kind == kinds.HISTOGRAM:
        return _histogram(metric, rows)
    kind = CounterMetricFamily if metric.kind == kinds.COUNTER else GaugeMetricFamily
    found: CounterMetricFamily | GaugeMetricFamily
    found = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in rows:
        if not isinstance(value, Histogram):
            found.add_metric(labels, value)
    return found


def _histogram(metric: Metric, rows: Iterable[Row]) -> Family:
    found = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in rows:
        if isinstance(value, Histogram):
            limits = [*map(floatToGoString, value.buckets.limits()), "+Inf"]
            found.add_metric(labels, list(zip(limits, value.counts, strict=True)), value.total)
    return found


class SampleCollector(Collector):
    """Collects the families of the Sample that `latest` returns, one scrape at a time."""

    def __init__(self, latest: Callable[[], Sample]) -> None:
        self._latest, self._turn = latest, threading.Lock()

    def sample(self) -> Sample:
        """Return the Sample of now."""
        with self._turn:
            return self._latest()

    def collect(self) -> Iterator[Family]:
        """Yield the families of now."""
        return families(self.sample())
