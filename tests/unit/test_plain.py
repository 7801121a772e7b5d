"""How figures are shown: absent is `-`, never 0, and a unit goes with every duration."""

import dataclasses
import io

import pytest
from rich.console import Console
from rmapwatch.collectors.frame import frame
from rmapwatch.views.plain import duration, number, per, screen
from samples import sample


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.0, "0 ns"),
        (5e-10, "0.5 ns"),
        (3.1e-7, "310 ns"),
        (2.5e-6, "2.5 us"),
        (0.0123, "12.3 ms"),
        (75.0, "75 s"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (0, "0"), (7, "7"), (2.25, "2.2"), (12345.6, "12,346")]
)
def test_numbers(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("total", "count", "shown"), [(None, 5, "-"), (5, 0, "-"), (5, None, "-"), (6, 3, "2")]
)
def test_means(total: float | None, count: float | None, shown: str) -> None:
    assert per(total, count) == shown


def test_what_walks_look_at_has_a_column_where_it_is_watched() -> None:
    def shown(looked_at: int | None) -> str:
        made = sample(1_000_000_000, 1)
        walk = dataclasses.replace(made.walks["unmap", "anon"], looked_at=looked_at)
        made = dataclasses.replace(made, walks={("unmap", "anon"): walk})
        out = io.StringIO()
        Console(width=80, file=out).print(screen(frame(made)))
        return out.getvalue()

    assert "looked at" not in shown(None)
    assert "walks/s" in shown(None)
    assert "looked at" in shown(155_093)
    assert "155,093" in shown(155_093)
