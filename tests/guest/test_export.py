"""The live exporter: it counts what a Session beside it counts, and needs no root of its own."""

import configparser
import grp
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rmapwatch.exporters.metrics import COUNTER, METRICS
from rmapwatch.lab import guest
from rmapwatch.probes import session
from rmapwatch.probes.sample import Sample
from servers import ROOT, exporter, get, prometheus, until, values

STORM = ("--children", "11", "--pages", "101", "--rounds", "12")
NOBODY = 65534
GROUP = "games"  # any that Debian has, and that nobody is in
LIMIT_KB = 40 << 10
UNBOUND = ("--max-overhead", "off")
"""Emulated, programs take a hundred times as long, and a storm more than the governor lets pass."""
BY_SCRAPES = {"copy_process", "anon_vma_clone", "cow"}
"""A scrape is answered by a thread of its own, with a stack of its own: of these no exact count."""


def same_moment(attached: session.Session, url: str) -> tuple[Sample, str, Sample]:
    """A page between two Samples with no walk between them."""
    guest.rest()
    for _ in range(50):
        before, page, after = attached.sample(), get(url), attached.sample()
        if before.quiet and after.quiet and before.walks == after.walks:
            return before, page, after
        time.sleep(0.2)
    raise AssertionError("the guest does not come to rest")


def entries(taken: Sample) -> dict[frozenset, int]:
    """By probe; of those that have any."""
    accounts = taken.accounts.items()
    return {frozenset({("probe", probe)}): n.entries for probe, n in accounts if n.entries}


def counters(page: str) -> dict[tuple, float]:
    names = [metric.name for metric in METRICS if metric.kind == COUNTER]
    names.append("rmapwatch_walk_duration_seconds_bucket")
    return {(name, key): value for name in names for key, value in values(page, name).items()}


def growth(name: str, before: str, after: str) -> dict[frozenset, float]:
    start = values(before, name)
    return {key: now - start[key] for key, now in values(after, name).items() if now != start[key]}


def since(start: dict[frozenset, int], end: dict[frozenset, int]) -> dict[frozenset, int]:
    return {key: now - start.get(key, 0) for key, now in end.items() if now != start.get(key, 0)}


def held_against(attached: session.Session, url: str, storm: str) -> None:
    """Scrape while a storm goes on; then all that began is what the Session beside it saw begin."""
    before, page, first = same_moment(attached, url)
    pages = [page]
    with subprocess.Popen([storm, *STORM], stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            pages.append(get(url))
    last, end, after = same_moment(attached, url)
    told = [counters(page) for page in (*pages, end)]
    assert len(told) > 3
    for earlier, now in itertools.pairwise(told):
        assert not {key for key, value in earlier.items() if now[key] < value}
    began = growth("rmapwatch_probe_entries_total", page, end)
    least, most = since(entries(first), entries(last)), since(entries(before), entries(after))
    assert all(least.get(probe, 0) <= began.get(probe, 0) <= most.get(probe, 0) for probe in most)
    assert began.keys() <= most.keys()
    assert {dict(probe)["probe"] for probe in most if least.get(probe) != most[probe]} <= BY_SCRAPES
    if not growth("rmapwatch_probe_missed_total", page, end):
        walks = {
            frozenset({("op", op), ("kind", kind)}): now.walks - first.walks[op, kind].walks
            for (op, kind), now in last.walks.items()
            if now.walks != first.walks[op, kind].walks
        }
        assert sum(walks.values()) > 1000
        assert growth("rmapwatch_walks_total", page, end) == walks
        assert growth("rmapwatch_walk_duration_seconds_count", page, end) == walks


def test_its_counts_are_those_of_a_session_beside_it(
    attached: session.Session, storm_program: str, tmp_path: Path
) -> None:
    with exporter(*UNBOUND) as (url, process):
        held_against(attached, url, storm_program)
        small(process.pid)
        page = get(url)
        with prometheus([url], tmp_path, interval="5s") as running:
            seen = until(lambda: running.values("sum(rmapwatch_walks_total)"), 120)
        assert seen[frozenset()] >= sum(values(page, "rmapwatch_walks_total").values())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def small(pid: int) -> None:
    """It stays small, and has not loaded what would make it large."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "numpy" not in maps
    assert "arrow" not in maps
    assert "LLVM" not in maps
    status = status_of(pid)
    print({name: status[name] for name in ("VmRSS", "RssAnon", "RssFile", "RssShmem")})
    assert int(status["VmRSS"].split()[0]) <= LIMIT_KB


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@contextmanager
def loader_service(path: Path) -> Iterator[None]:
    """The unit's command behind a socket as systemd would have it, with the unit's capabilities."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(ROOT / "deploy/systemd/rmapwatch-loader@.service")
    allowed = (
        unit["Service"]["CapabilityBoundingSet"].lower().replace("cap_", "+").replace(" ", ",")
    )
    command = [
        "setpriv", f"--bounding-set=-all,{allowed}", "--no-new-privs",
        "systemd-socket-activate", "--accept", f"--listen={path}",
        sys.executable, "-m", "rmapwatch", "loader", "--group", GROUP,
    ]  # fmt: skip
    with subprocess.Popen(command) as listening:
        until(path.exists)
        path.chmod(0o666)  # so that it is the loader who asks who is there
        yield
        listening.terminate()


def as_nobody(*groups: int) -> list[str]:
    """How a command is run without any rights."""
    more = [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", *more, "--bounding-set=-all"]


@pytest.fixture(scope="module")
def loader() -> Iterator[Path]:
    path = Path("/run/rmapwatch-test.sock")
    with loader_service(path):
        yield path


def test_nobody_exports_what_the_loader_attached(
    attached: session.Session, storm_program: str, loader: Path
) -> None:
    member = as_nobody(grp.getgrnam(GROUP).gr_gid)
    with exporter("--loader", str(loader), *UNBOUND, before=member) as (url, process):
        status = status_of(process.pid)
        assert set(status["Uid"].split()) == {str(NOBODY)}
        assert int(status["CapEff"], 16) == 0
        held_against(attached, url, storm_program)
        attachments = values(get(url), "rmapwatch_probe_attached")
        assert sum(attachments.values()) == len(attached.attached)
