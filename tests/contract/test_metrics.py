"""The catalogue of metrics: what the probes feed is in it, and what is in it is documented."""

import dataclasses
import re
import typing

import pytest
from rmapwatch.exporters.figures import KEYS, Each, Slots, Split
from rmapwatch.exporters.metric import COUNTER, GAUGE, HISTOGRAM
from rmapwatch.exporters.metrics import METRICS
from rmapwatch.exporters.own import PROBES
from rmapwatch.probes import catalogue
from rmapwatch.probes.sample import Sample

NAMES = [metric.name for metric in METRICS]


def test_what_the_probes_feed_is_what_there_is() -> None:
    """Both ways: but for what rmapwatch says of itself, each metric is fed by some probe."""
    fed = {metric for point in catalogue.POINTS for metric in point.metrics}
    assert fed == set(NAMES) - {metric.name for metric in PROBES}
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_names_follow_prometheus(metric) -> None:
    assert re.fullmatch(r"rmapwatch_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.kind in (COUNTER, GAUGE, HISTOGRAM)
    assert (metric.kind == COUNTER) == metric.name.endswith("_total")
    assert not metric.name.endswith(("_count", "_sum", "_bucket"))
    assert not {"le", "job", "instance", "type"} & set(metric.labels)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_help_names_the_source_in_the_kernel(metric) -> None:
    assert metric.help.endswith(".")
    assert metric.source or metric in PROBES
    assert metric.source in metric.help
    assert metric.title
    assert metric.area


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_it_reads_a_table_of_the_sample_by_its_keys(metric) -> None:
    figures = metric.figures
    if not isinstance(figures, Each | Split | Slots):
        return
    record = Sample
    for part in figures.table.split("."):
        hint = typing.get_type_hints(record)[part]
        record = next((a for a in typing.get_args(hint) if dataclasses.is_dataclass(a)), hint)
    keys = set(metric.labels[:-1] if isinstance(figures, Split) else metric.labels)
    assert keys <= set(KEYS[figures.table])
