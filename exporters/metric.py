"""What a metric is: declarations only."""

from __future__ import annotations

from dataclasses import dataclass

from .figures import Figures

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


@dataclass(frozen=True, eq=False)
class Metric:
    """
    A metric, and how it is read from a Sample; each is declared once, and equal to itself alone.

    ``source``: where in the kernel the value comes from; "" for what rmapwatch says of itself.
    ``area``: the part of the dashboard that it belongs to. ``title``: its panel there.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    summary: str
    source: str
    figures: Figures
    area: str
    title: str

    @property
    def help(self) -> str:
        """The HELP text: what it is, and the kernel source of the value."""
        return f"{self.summary} Source: {self.source}." if self.source else self.summary
