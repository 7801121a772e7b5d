"""
Write everything that derives from a table; with --check, only say what is out of date.

Each entry of `GENERATED` is a path below the root of the repository and the function that returns
its text; of docs/model.md that is one table, the rest is as it stands there. To add one: write the
function where it belongs, enter it here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from rmapwatch.tools import (
    bench_pages,
    check_pages,
    dashboard,
    headlines,
    metric_pages,
    model_rules,
    probe_pages,
    recording_pages,
    scenario_pages,
)

ROOT = Path(__file__).resolve().parents[1]

GENERATED: tuple[tuple[str, Callable[[], str]], ...] = (
    ("deploy/grafana/rmapwatch.json", dashboard.page),
    ("docs/check.md", check_pages.page),
    ("docs/metrics.md", metric_pages.page),
    ("docs/model.md", headlines.page),
    ("docs/model-rules.md", model_rules.page),
    ("docs/overhead.md", bench_pages.page),
    ("docs/probes.md", probe_pages.probes),
    ("docs/kernels.md", probe_pages.kernels),
    ("docs/recordings.md", recording_pages.page),
    ("docs/scenarios.md", scenario_pages.scenarios),
)


def stale() -> list[str]:
    """Return the paths whose text is not what their function returns."""
    return [path for path, text in GENERATED if _current(ROOT / path) != text()]


def _current(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def write() -> None:
    """Write every generated file."""
    for path, text in GENERATED:
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text())


def main(arguments: list[str]) -> int:
    """Write, or with --check return 1 if a file is out of date."""
    if arguments not in ([], ["--check"]):
        print("usage: python tools/generate.py [--check]", file=sys.stderr)
        return 2
    if not arguments:
        write()
        return 0
    outdated = stale()
    for path in outdated:
        print(f"{path} is out of date: run python tools/generate.py", file=sys.stderr)
    return int(bool(outdated))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
