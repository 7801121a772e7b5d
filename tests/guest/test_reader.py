"""What the reader costs, against its peers in the same guest: docs/reader.md has the figures."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rmapwatch.probes import events, ring, session
from rmapwatch.probes.compiled import FOLDER
from rmapwatch.probes.ring import Ring
from servers import exporter, get, until, values

EVENTS, RING_PAGES, RING_BYTES = 30_000, 1024, 1024 << 12
CHECK_LIMIT_KB = 110 << 10
DISTRIBUTION_PACKAGES = "/usr/lib/python3/dist-packages"

PRODUCER = """
struct event { u64 words[15]; };
BPF_RINGBUF_OUTPUT(events, %d);
int produce(void *ctx)
{
	struct event *e;

	if (bpf_get_current_pid_tgid() >> 32 != %d)
		return 0;
	e = events.ringbuf_reserve(sizeof(*e));
	if (!e)
		return 0;
	((u8 *)e)[%d] = %d;
	events.ringbuf_submit(e, 0);
	return 0;
}
"""

FUNCLATENCY = """
import bcc, sys
b = bcc.BPF(text='''
BPF_HASH(start, u32, u64);
BPF_HISTOGRAM(dist);
int begin(void *ctx) {
	u32 tid = bpf_get_current_pid_tgid();
	u64 now = bpf_ktime_get_ns();
	start.update(&tid, &now);
	return 0;
}
int end(void *ctx) {
	u32 tid = bpf_get_current_pid_tgid();
	u64 *then = start.lookup(&tid);
	if (!then)
		return 0;
	dist.increment(bpf_log2l(bpf_ktime_get_ns() - *then));
	start.delete(&tid);
	return 0;
}''', cflags=["-Wno-everything"])
b.attach_kprobe(event="rmap_walk_anon", fn_name="begin")
b.attach_kretprobe(event="rmap_walk_anon", fn_name="end")
b["dist"].print_log2_hist("nsecs")
"""


def seconds(command: list[str]) -> float:
    """How long a command takes."""
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def test_a_start_is_no_longer_than_that_of_a_small_tool() -> None:
    """From nothing to the first figure, as the user types it; the tool is bcc's funclatency."""
    interval = 0.5
    top = [sys.executable, "-m", "rmapwatch", "top", "--once", "--interval", str(interval)]
    shutil.rmtree(FOLDER, ignore_errors=True)
    cold = seconds(top) - interval
    warm = min(seconds(top) - interval for _ in range(2))
    peer = min(seconds([session.DISTRIBUTION_PYTHON, "-c", FUNCLATENCY]) for _ in range(2))
    print(f"start: {cold:.1f} s, compiled before {warm:.1f} s, funclatency {peer:.1f} s")
    print(f"start: {cold / peer:.2f}, compiled before {warm / peer:.2f} times funclatency")
    assert warm <= 1.5 * peer


@pytest.fixture
def bcc(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The distribution's bcc, whose Python part goes with any Python 3."""
    monkeypatch.syspath_prepend(DISTRIBUTION_PACKAGES)
    return pytest.importorskip("bcc")


def test_the_ring_is_read_ten_times_as_fast_as_by_callbacks(bcc: Any) -> None:
    kind = (events.offsets("walk")["type"], events.type_number("walk"))
    text = PRODUCER % (RING_PAGES, os.getpid(), *kind)
    module = bcc.BPF(text=text, cflags=["-Wno-everything"])
    module.attach_kprobe(event=module.get_syscall_fnname("getppid"), fn_name="produce")
    called = 0

    def callback(_context: object, _data: object, _size: int) -> None:
        nonlocal called
        called += 1

    def produced(take: Callable[[], object]) -> float:
        """CPU seconds that it takes to take that many events."""
        for _ in range(EVENTS):
            os.getppid()
        began = time.process_time()
        take()
        return time.process_time() - began

    table = module["events"]
    table.open_ring_buffer(callback)
    by_callback = min(produced(module.ring_buffer_consume) for _ in range(3))
    assert called == 3 * EVENTS
    consumer = Ring(table.map_fd, RING_BYTES)
    taken = 0

    def drain() -> None:
        nonlocal taken
        _, batch = consumer.drain()
        taken += len(ring.decode(batch)["walk"])

    by_ring = min(produced(drain) for _ in range(3))
    module.cleanup()
    assert taken == 3 * EVENTS
    print(f"ring: {EVENTS / by_ring:,.0f} events/s, by callbacks {EVENTS / by_callback:,.0f}")
    print(f"ring: {by_callback / by_ring:.0f} times as fast")
    assert by_callback > 10 * by_ring


def test_what_a_ring_that_is_too_small_loses_is_counted(storm_program: str) -> None:
    """Nobody reads while a storm goes on, and then there is what the ring could hold."""
    names = ("walk", "reference", "batch", "cow", "fork")
    probes = session.start(session.Request(events=names, ring_pages=16))
    consumer = probes.ring()
    storm = [storm_program, "--children", "7", "--pages", "101", "--rounds", "2"]
    for _ in range(2):
        subprocess.run(storm, stdout=subprocess.DEVNULL, check=True)
        _, batch = consumer.drain()
        for name, records in ring.decode(batch).items():
            probes.received(name, len(records))
    probes.want_events(())
    time.sleep(0.5)
    while len(batch := consumer.drain()[1]):
        for name, records in ring.decode(batch).items():
            probes.received(name, len(records))
    told = probes.sample().events
    probes.close()
    print({name: told[name] for name in names})
    assert sum(each.lost for each in told.values()) > 100
    assert all(each.produced == each.received + each.lost for each in told.values())


def rss_kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1])


def test_a_check_beside_the_exporter_stays_small(storm_program: str) -> None:
    storm = [storm_program, "--children", "7", "--pages", "101", "--rounds", "3"]
    with exporter("--check") as (url, process):
        largest = 0

        def checked() -> bool:
            nonlocal largest
            subprocess.run(storm, stdout=subprocess.DEVNULL, check=True)
            largest = max(largest, rss_kb(process.pid))
            checks = values(get(url), "rmapwatch_model_checks_total")
            return sum(checks.values()) > 1000

        until(checked, 180)
        print(f"exporter --check takes {largest} kB")
        assert largest <= CHECK_LIMIT_KB


class Same:
    """The families of one moment."""

    def __init__(self, families: list) -> None:
        self.families = families

    def collect(self) -> Any:
        return iter(self.families)


def test_a_scrape_costs_what_its_page_costs() -> None:
    """CPU time of the exporter per scrape against one `generate_latest` of the same families."""
    from prometheus_client import generate_latest
    from prometheus_client.core import CollectorRegistry
    from prometheus_client.parser import text_string_to_metric_families

    with exporter() as (url, process):
        page = get(url)

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Same(list(text_string_to_metric_families(page))))
        ratios = []
        for _ in range(6):
            alone = cpu_of_pages(lambda: generate_latest(registry))
            ratios.append(cpu_of(process.pid, url) / alone)
        sizes = [len(get(url).splitlines()) for _ in range(2)]
    least = min(ratios)
    print(
        f"scrape: {alone * 1e3:.0f} ms for the page, a request and its answer {least:.2f} of that"
    )
    assert abs(sizes[0] - len(page.splitlines())) <= 2
    assert sizes[0] == sizes[1]


def cpu_of_pages(make: Callable[[], object], times: int = 5) -> float:
    began = time.process_time()
    for _ in range(times):
        make()
    return (time.process_time() - began) / times


def cpu_of(pid: int, url: str, times: int = 5) -> float:
    """CPU seconds that a process takes for an answer."""

    def taken() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = taken()
    for _ in range(times):
        get(url)
    return (taken() - before) / times
