"""What deploy/ has for Prometheus and Grafana, against a Prometheus that scraped a replay."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from rmapwatch.exporters.metrics import METRICS
from rmapwatch.exporters.web import DEFAULT_ADDRESS
from servers import ROOT, Prometheus, get, program, until

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
CASES = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "rmapwatch.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

# Alerts whose expression has no value without its threshold, and why.
SILENT = {"RmapwatchProbeLost": "it is about what is no longer there, and nothing is gone"}


def promtool(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [program("promtool"), *arguments],
        cwd=PROMETHEUS, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_alerts_do_what_their_tests_say() -> None:
    done = promtool("test", "rules", "alerts.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [rule["alert"] for rule in RULES])
def test_each_alert_has_a_case_that_fires_and_one_that_does_not(name: str) -> None:
    fires = {
        bool(case.get("exp_alerts"))
        for group in CASES
        for case in group["alert_rule_test"]
        if case["alertname"] == name
    }
    assert fires == {True, False}


def test_the_configuration_is_one(tmp_path: Path) -> None:
    """With the rules beside it, as it says."""
    shutil.copy(PROMETHEUS / "scrape.yml", tmp_path)
    shutil.copy(PROMETHEUS / "alerts.yml", tmp_path / "rmapwatch-alerts.yml")
    done = promtool("check", "config", str(tmp_path / "scrape.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout
    (job,) = yaml.safe_load((tmp_path / "scrape.yml").read_text())["scrape_configs"]
    assert job["job_name"] == "rmapwatch"
    assert job["static_configs"] == [{"targets": [DEFAULT_ADDRESS]}]


def test_prometheus_evaluates_each_alert_and_none_fires(scraped) -> None:
    def rules() -> list[dict]:
        answer = json.loads(get(f"{scraped.prometheus.url}/api/v1/rules"))
        found = answer["data"]["groups"][0]["rules"]
        return found if all(rule["health"] != "unknown" for rule in found) else []

    found = {rule["name"]: (rule["health"], rule["state"]) for rule in until(rules)}
    assert found == {rule["alert"]: ("ok", "inactive") for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_something_to_look_at(scraped, rule: dict) -> None:
    expression, threshold = re.subn(r"\s*[<>=]+\s*[\d.]+\s*$", "", rule["expr"])
    assert threshold == (rule["alert"] not in SILENT)
    names = set(re.findall(r"\brmapwatch_\w+", expression))
    assert all(scraped.prometheus.query(f"count({name})") for name in names)
    assert bool(scraped.prometheus.query(expression)) == (rule["alert"] not in SILENT)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_has_data(fleet: Prometheus, panel: dict) -> None:
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        assert "$" not in query
        found = fleet.values(query).values()
        known = [value for value in found if not math.isnan(value)]
        assert known, query


def test_each_metric_has_a_panel() -> None:
    queries = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    for metric in METRICS:
        assert metric.name in queries, metric.name
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)


def test_panels_do_not_overlap() -> None:
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
