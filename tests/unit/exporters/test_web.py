"""The exporter over HTTP: what it answers, how it ends, and what it says where it cannot start."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import samples
from rmapwatch import errors
from rmapwatch.exporters import families, metrics, web
from servers import FIXTURE, ROOT, exporter, get, values

REPLAY = ("--replay", str(FIXTURE))


@pytest.fixture(scope="module")
def url():
    with exporter(*REPLAY) as (found, _):
        yield found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]:9", ("::1", 9)),
        (":65535", ("::", 65535)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(text: str, found: tuple[str, int]) -> None:
    assert web.address(text) == found


@pytest.mark.parametrize("text", ["", "127.0.0.1", "127.0.0.1:x", ":65536", "::1:9", "a:-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(errors.UsageError):
        web.address(text)


def test_it_listens_on_loopback_unless_told() -> None:
    assert web.address(web.DEFAULT_ADDRESS)[0] == "127.0.0.1"


def test_every_metric_of_a_sample_is_on_the_page() -> None:
    answer = web.scraped(families.SampleCollector(lambda: samples.sample(0, 1)), "")
    page = answer.body.decode()
    assert answer.kind.startswith("text/plain; version=0.0.4")
    for metric in metrics.METRICS:
        present = f"# TYPE {metric.name} {metric.kind}\n" in page
        assert present == (metric.name not in UNCOUNTED), metric.name
        assert (f"# HELP {metric.name} {metric.help}\n" in page) == present
    assert values(page, "rmapwatch_walks_total")[
        frozenset({("op", "reference"), ("kind", "anon")})
    ] == 1009  # fmt: skip


UNCOUNTED = {
    "rmapwatch_probe_runs_total",
    "rmapwatch_probe_run_seconds_total",
    "rmapwatch_walk_vmas_looked_at_total",
}


def test_formats_are_negotiated(url: str) -> None:
    assert "# EOF" not in get(url)
    accept = "application/openmetrics-text; version=1.0.0"
    page = get(url, Accept=accept)
    assert page.endswith("# EOF\n")
    assert "# TYPE rmapwatch_walks counter\n" in page


def test_it_tells_what_it_costs_itself(url: str) -> None:
    (resident,) = values(get(url), "process_resident_memory_bytes").values()
    assert resident > 1 << 20


def test_the_landing_page(url: str) -> None:
    page = get(url.removesuffix("metrics"))
    assert '<a href="/metrics">' in page
    assert "fentry+fexit" in page
    assert "this kernel has no traceable try_to_unmap_poisoned_hugetlb_one" in page


@pytest.mark.parametrize("path", ["/favicon.ico", "/metrics/", "/metricsx", "/../etc/passwd"])
def test_there_is_nothing_else(url: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(url.removesuffix("/metrics") + path)


def test_nothing_is_posted(url: str) -> None:
    request = urllib.request.Request(url, data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request)


def where(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port


def test_head_is_get_without_the_body(url: str) -> None:
    with socket.create_connection(where(url)) as client:
        client.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
        answer = client.makefile().read()
    length = len(get(url.removesuffix("metrics")))
    assert f"Content-Length: {length}\n" in answer
    assert answer.endswith("\n\n")


def test_html_of_the_kernel_is_no_html() -> None:
    assert "a &lt;b&gt;" in web.page(samples.sample(0, 1).__class__(**{
        **vars(samples.sample(0, 1)), "unavailable": {"x": "a <b>"}
    }))  # fmt: skip


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well(ended_by: signal.Signals) -> None:
    with exporter(*REPLAY) as (url, process):
        get(url)
        process.send_signal(ended_by)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_a_client_that_says_nothing_holds_nobody_up(url: str) -> None:
    with socket.create_connection(where(url)):
        start = time.monotonic()
        assert get(url)
        assert time.monotonic() - start < web.SILENCE_S


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "rmapwatch", "export", "--web.listen-address", address]
        done = subprocess.run([*command, *REPLAY], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    first, hint = done.stderr.splitlines()
    assert first == f"rmapwatch: {address} cannot be listened on: Address already in use"
    assert hint.startswith("hint: --web.listen-address 127.0.0.1:")


def test_ipv6_is_shown_as_a_url() -> None:
    with exporter(*REPLAY, address="[::1]:0") as (url, _):
        assert url.startswith("http://[::1]:")
        assert get(url)


def test_the_live_exporter_loads_no_more_than_it_needs() -> None:
    """All that it imports, but for what a Session's descriptors would bring."""
    code = """
import sys
from rmapwatch.exporters import families, live, web
loaded = set(sys.modules)
import samples
of_the_test = set(sys.modules)
answer = web.scraped(families.SampleCollector(lambda: samples.sample(0, 1)), "")
assert answer.body
loaded |= sys.modules.keys() - of_the_test
print(loaded & {"numpy", "pyarrow", "matplotlib", "typer", "rich", "pydantic"})
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "tests")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "set()\n"


def test_the_live_exporter_says_what_is_wrong_as_any_command_does(tmp_path: Path) -> None:
    """Though by then it is another program; and it imports nothing of where it is started."""
    (tmp_path / "socket.py").write_text("raise SystemExit('not this one')")
    asked = ["export", "--loader", str(tmp_path / "none"), "--web.listen-address", "127.0.0.1:0"]
    done = subprocess.run(
        [Path(sys.executable).with_name("rmapwatch"), *asked],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    first, hint = done.stderr.splitlines()
    assert "none gave no answer: No such file or directory" in first
    assert hint.startswith("hint: systemctl status")


def test_a_recording_needs_no_loader() -> None:
    command = [sys.executable, "-m", "rmapwatch", "export", *REPLAY, "--loader", "/none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--replay excludes --loader" in done.stderr
