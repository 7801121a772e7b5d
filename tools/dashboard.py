"""deploy/grafana/rmapwatch.json: a dashboard with a panel for each metric of the catalogue."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard, prometheus, table, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from rmapwatch.exporters.figures import DURATIONS, Attachments, Build, Slots
from rmapwatch.exporters.metric import COUNTER, HISTOGRAM, Metric
from rmapwatch.exporters.metrics import METRICS

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
CHOSEN = '{instance=~"$instance"}'
PERIOD = "[$__rate_interval]"
HEIGHT, WIDTH = 8, 12

Panel = timeseries.Panel | table.Panel


def page() -> str:
    """Return the dashboard as Grafana imports it."""
    built = (
        dashboard.Dashboard("rmapwatch")
        .uid("rmapwatch")
        .description("What reverse mapping and page reclaim cost on a live Linux kernel.")
        .tags(["rmapwatch", "kernel", "memory"])
        .time("now-1h", "now")
        .refresh("30s")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .with_variable(_instances())
    )
    for area, metrics in itertools.groupby(METRICS, lambda metric: metric.area):
        built.with_row(dashboard.Row(area))
        for metric in metrics:
            for panel in panels(metric):
                built.with_panel(panel)
    return JSONEncoder(sort_keys=True, indent=1).encode(built.build()) + "\n"


def _instances() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("instance")
        .datasource(SOURCE)
        .query("label_values(rmapwatch_build_info, instance)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def panels(metric: Metric) -> Iterator[Panel]:
    """Yield the panels of a metric: what its kind and its unit call for."""
    by = ", ".join(("instance", *metric.labels))
    if isinstance(metric.figures, Attachments | Build):
        yield _table(metric)
    elif metric.kind == HISTOGRAM:
        yield _quantiles(metric, by)
        if isinstance(metric.figures, Slots) and metric.figures.buckets is DURATIONS:
            yield _lines(metric, f"{metric.title}: seconds a second").with_target(
                _query(f"sum by ({by}) (rate({metric.name}_sum{CHOSEN}{PERIOD}))", metric)
            )
    elif metric.kind == COUNTER:
        yield _lines(metric, f"{metric.title} a second").with_target(
            _query(f"sum by ({by}) (rate({metric.name}{CHOSEN}{PERIOD}))", metric)
        )
    else:
        yield _lines(metric, metric.title).with_target(_query(f"{metric.name}{CHOSEN}", metric))


def _lines(metric: Metric, title: str) -> timeseries.Panel:
    legend = (
        VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["mean", "max"])
        .sort_by("Max")
        .sort_desc(True)
    )
    return (
        timeseries.Panel()
        .title(title)
        .description(metric.help)
        .datasource(SOURCE)
        .height(HEIGHT)
        .span(WIDTH)
        .min(0)
        .legend(legend)
    )


def _quantiles(metric: Metric, by: str) -> timeseries.Panel:
    panel = _lines(metric, metric.title)
    if metric.name.endswith("_seconds"):
        panel.unit("s")
    rates = f"sum by ({by}, le) (rate({metric.name}_bucket{CHOSEN}{PERIOD}))"
    for share in (0.5, 0.99):
        query = _query(f"histogram_quantile({share}, {rates})", metric, f"p{share * 100:g} ")
        panel.with_target(query)
    return panel


def _query(expression: str, metric: Metric, before: str = "") -> prometheus.Dataquery:
    labels = " ".join(f"{{{{{label}}}}}" for label in (*metric.labels, "instance"))
    ref = before.strip() or "A"
    return (
        prometheus.Dataquery().expr(expression).legend_format(before + labels).ref_id(ref).range()
    )


def _table(metric: Metric) -> table.Panel:
    query = _query(f"{metric.name}{CHOSEN}", metric).format(PromQueryFormat.TABLE).instant()
    return (
        table.Panel()
        .title(metric.title)
        .description(metric.help)
        .datasource(SOURCE)
        .height(HEIGHT)
        .span(WIDTH)
        .with_target(query)
    )
