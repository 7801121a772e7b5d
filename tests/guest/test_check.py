"""`rmapwatch check --live` and `export --check` on a kernel that reclaims a storm's pages."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rmapwatch.check.run import RULES
from servers import exporter, get, rss_kb, until, values

STORM = ("--children", "11", "--pages", "101")
LIMIT_KB = 110 << 10
CHECKS, MISMATCHES = "rmapwatch_model_checks_total", "rmapwatch_model_mismatches_total"


@contextmanager
def storming(program: str) -> Iterator[None]:
    with subprocess.Popen(
        [program, *STORM, "--duration", "900"], stdout=subprocess.DEVNULL
    ) as running:
        try:
            yield
        finally:
            running.terminate()


def test_check_live(storm_program: str) -> None:
    command = [sys.executable, "-m", "rmapwatch", "check", "--live", "20", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as checking:
        assert "recording for 20 s" in checking.stderr.readline()
        subprocess.run([storm_program, *STORM, "--duration", "5"], stdout=subprocess.DEVNULL)
        told, _ = checking.communicate()
    assert checking.returncode == 0, told
    verdict = json.loads(told)
    assert (verdict["agrees"], verdict["mismatches"]) == (True, [])
    assert verdict["events"] > 1000
    rows = {row["rule"]: row for row in verdict["rules"]}
    print([(rule, row["observed"]) for rule, row in rows.items() if row["agrees"]])
    for rule in ("reference check: its walk is there", "walks: counted = told by events"):
        assert rows[rule]["agrees"], rule


def test_export_with_check(storm_program: str) -> None:
    with exporter("--check") as (url, process), storming(storm_program):
        held = until(lambda: sum(values(get(url), CHECKS).values()) > 1000, 150)
        page = get(url)
        taken = rss_kb(process.pid)
    assert held
    print(f"export --check: {taken} kB resident")
    assert taken <= LIMIT_KB
    rules = {frozenset({("rule", rule.name)}) for rule in RULES}
    assert values(page, CHECKS).keys() == values(page, MISMATCHES).keys() == rules
    print({dict(rule)["rule"]: n for rule, n in values(page, CHECKS).items() if n})
    assert {rule: n for rule, n in values(page, MISMATCHES).items() if n} == {}
