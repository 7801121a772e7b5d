"""The exporter and a real Prometheus as processes of their own, on loopback, for tests."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIXTURE = ROOT / "tests" / "fixtures" / "fork-storm-6.1"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; `make check` puts both in .cache."""
    cached = ROOT / ".cache" / "prometheus" / name
    found = str(cached) if cached.exists() else shutil.which(name)
    assert found, f"no {name}: run sh tools/prometheus.sh"
    return found


def until(condition: Callable[[], object], seconds: float = 60) -> object:
    """Wait for something true and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


def get(url: str, **headers: str) -> str:
    """The body of what `url` answers."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return answer.read().decode()


def values(page: str, name: str) -> dict[frozenset, float]:
    """The samples of one metric on a page in the text format, by their labels."""
    found = {}
    for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.MULTILINE):
        found[frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))] = float(value)
    return found


@contextmanager
def exporter(
    *arguments: str, address: str = "127.0.0.1:0", before: Sequence[str] = ()
) -> Iterator[tuple[str, subprocess.Popen]]:
    """`before`, `rmapwatch export` with these arguments: URL of its metrics, and the process."""
    command = [sys.executable, "-m", "rmapwatch", "export", "--web.listen-address", address]
    with subprocess.Popen(
        [*before, *command, *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            found, said = None, ""
            while not found and (line := process.stderr.readline()):
                found, said = re.search(r"http://\S+", line), said + line
            assert found, said
            yield found[0], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus that answers queries."""

    url: str

    def query(self, expression: str) -> list[dict]:
        """The result of an instant query, a row per series."""
        asked = urllib.parse.urlencode({"query": expression})
        try:
            answer = json.loads(get(f"{self.url}/api/v1/query?{asked}"))
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{expression}: {refused.read().decode()}") from None
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def values(self, expression: str) -> dict[frozenset, float]:
        """The values of an instant query, by the labels of their series."""
        return {
            frozenset(row["metric"].items()): float(row["value"][1])
            for row in self.query(expression)
        }


@contextmanager
def prometheus(
    targets: Sequence[str], folder: Path, interval: str = "2s", rules: Path | None = None
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes `targets` (URLs of /metrics) and keeps its data in `folder`."""
    places = [urllib.parse.urlsplit(target).netloc for target in targets]
    config = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": "1s",
        },
        "rule_files": [str(rules)] if rules else [],
        "scrape_configs": [{"job_name": "rmapwatch", "static_configs": [{"targets": places}]}],
    }
    path = folder / "prometheus.json"  # JSON is YAML
    path.write_text(json.dumps(config))
    command = [
        program("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder}/data",
        "--web.listen-address=127.0.0.1:0", "--web.external-url=http://localhost/",
    ]  # fmt: skip
    log = folder / "prometheus.log"
    with log.open("w") as said, subprocess.Popen(command, stderr=said) as server:
        try:
            found = until(
                lambda: re.search(r'"?Listening on"? .*address=(127\.0\.0\.1:\d+)', log.read_text())
            )
            running = Prometheus(f"http://{found[1]}")
            until(lambda: get(f"{running.url}/-/ready"))
            yield running
        finally:
            server.terminate()
            server.wait(30)


def rss_kb(pid: int) -> int:
    """What a process takes of memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])
