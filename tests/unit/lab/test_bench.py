from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rmapwatch.errors import RmapwatchError, UsageError
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.kernels.semantics import semantics_of
from rmapwatch.lab import cli, run, workloads
from rmapwatch.lab.bench import (
    figures,
    host,
    loads,
    result,
    show,
    starts,
    tracers,
    variants,
)
from rmapwatch.lab.bench.figures import Bar, Cost, Interval, Line
from rmapwatch.lab.bench.loads import Load
from rmapwatch.lab.qemu import Machine
from rmapwatch.probes import catalogue
from rmapwatch.probes.resolve import resolve_all
from typer.testing import CliRunner

DATA = Path(__file__).parents[2] / "data"
RUNNER = CliRunner()
STEPS = {load.name: float(load.sharing) for load in (*loads.FITTED, *loads.GROWTH)}


def rounds(line: Line, wobbling: int = 0) -> dict[str, list[int]]:
    """Rounds of every load in which a walk costs what the line says, but for so many of them."""
    return {
        name: [
            round(line.at(steps) * loads.WALKS) + 6400 * (n < wobbling)
            for n in range(figures.ROUNDS)
        ]
        for name, steps in STEPS.items()
    }


def raw(**costs: Line | None) -> dict[str, Any]:
    """What a guest leaves; each variant has these costs beyond a base of (1000, 100)."""
    base = Line(1000, 100)
    told = dict(zip(("walks", "steps"), loads.told(STEPS, STEPS, figures.ROUNDS), strict=True))
    rows = [{"name": "base", "tells": "", "told": {}, "reason": "", "rounds": rounds(base)}]
    for name, line in costs.items():
        row: dict[str, Any] = {"name": name.replace("_", "-"), "tells": "figures", "told": told}
        row |= {"reason": "" if line else "it is not installed", "rounds": {}}
        if line:
            both = Line(base.per_walk + line.per_walk, base.per_step + line.per_step)
            row["rounds"] = rounds(both)
        rows.append(row)
    return {"release": "6.12.0", "walks": loads.WALKS, "steps": STEPS, "variants": rows}


def test_a_line_is_found_again() -> None:
    line = Line(300, 135)
    found = figures.line({steps: line.at(steps) for steps in (1, 8, 64, 512)})
    assert found.per_walk == pytest.approx(300)
    assert found.per_step == pytest.approx(135)


def test_a_point_weighs_by_its_own_length() -> None:
    """A deviation of one in a thousand of the longest walk does not move the cost of the first."""
    line = Line(300, 135)
    points = {steps: line.at(steps) for steps in (1.0, 8.0, 64.0, 512.0)}
    points[512.0] *= 1.001
    found = figures.line(points)
    assert found.per_walk == pytest.approx(300, abs=1)
    assert found.per_step == pytest.approx(135, rel=0.001)


def test_the_interval_is_from_the_least_to_the_greatest_but_one() -> None:
    assert figures.interval([50, 4, -7, 2, 9, 3, 8]) == Interval(4, 2, 9)


def test_a_ratio_has_the_extremes_of_both() -> None:
    assert Interval(4, 3, 6).over(Interval(2, 1, 3)) == Interval(2, 1, 6)


def test_cost_is_what_a_variant_adds() -> None:
    without, with_ = rounds(Line(1000, 100)), rounds(Line(1300, 235))
    steps = {load.name: STEPS[load.name] for load in loads.FITTED}
    found = figures.cost(with_, without, steps, loads.WALKS)
    assert found.per_walk.median == pytest.approx(300)
    assert found.per_step.median == pytest.approx(135)
    by_itself = figures.cost(without, None, steps, loads.WALKS)
    assert by_itself.per_walk.median == pytest.approx(1000)


@pytest.mark.parametrize(("wobbling", "wider"), [(1, False), (2, True)])
def test_two_rounds_widen_the_interval_and_leave_the_median(wobbling: int, wider: bool) -> None:
    without, with_ = rounds(Line(1000, 100)), rounds(Line(1300, 235), wobbling)
    steps = {load.name: STEPS[load.name] for load in loads.FITTED}
    found = figures.cost(with_, without, steps, loads.WALKS)
    assert found.per_walk.median == pytest.approx(300)
    assert (found.per_walk.high > 310) is wider


@pytest.mark.parametrize(
    ("high", "holds"), [(179.0, True), (180.0, False)], ids=["below", "at the bound"]
)
def test_a_bar_holds_where_the_whole_interval_is_below_it(high: float, holds: bool) -> None:
    exact = Interval(100, 100, 100)
    costs = {
        "rmapwatch": Cost(exact, Interval(150, 140, high)),
        "empty": Cost(exact, exact),
    }
    bar = Bar("rmapwatch", "empty", "per_step", 1.8)
    assert figures.held(bar, costs).holds is holds


def test_a_bar_against_what_is_absent_is_not_judged() -> None:
    found = figures.held(Bar("rmapwatch", "bpftrace-kfunc", "per_step", 0.25), {})
    assert found.ratio is None
    assert found.holds is None


@pytest.mark.parametrize("series", ["5.10", "6.1", "6.12", "7.3"])
def test_both_walks_enter_all_who_share_the_page(series: str) -> None:
    facts = KernelFacts.from_json((DATA / "facts" / f"{series}.json").read_text())
    for load in loads.FITTED:
        assert loads.steps(semantics_of(facts), load) == load.sharing
    assert loads.steps(semantics_of(facts), Load("mappings", 64)) == 64


def test_what_must_be_counted() -> None:
    """Of two loads, three rounds and one to warm up, there and back."""
    walks, steps = loads.told(["a", "b"], {"a": 1, "b": 8}, 3)
    assert walks == 2 * 2 * 4 * loads.WALKS
    assert steps == 9 * 2 * 4 * loads.WALKS


def test_the_workload_takes_the_loads_arguments(cache: Path) -> None:
    program = workloads.build(loads.WORKLOAD)
    done = subprocess.run([program, "--pages", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert Load("mappings", 8).arguments()[:2] == ("--mappings", "8")


def test_rows_have_the_figures_and_why_others_are_absent() -> None:
    found = result.whole(raw(empty=Line(300, 135), rmapwatch=Line(600, 180), perf=None))
    json.dumps(found)
    base, empty, rmapwatch, perf = found["rows"]
    assert base["per_step"] == 100
    assert empty["per_walk"] == pytest.approx(300)
    assert rmapwatch["low"]["per_step"] <= 180 <= rmapwatch["high"]["per_step"]
    assert (perf["per_walk"], perf["low"]["per_walk"]) == (None, None)
    assert perf["reason"] == "it is not installed"
    assert [bar["holds"] for bar in found["bars"]] == [True, True, None, None, None, None]


@pytest.mark.parametrize("path", sorted((DATA / "bench").glob("*-[12].json")), ids=lambda p: p.stem)
def test_what_is_kept_has_the_rows_that_follow_from_its_rounds(path: Path) -> None:
    kept = json.loads(path.read_text())
    assert kept["rows"] == list(result.rows(kept))
    assert kept["bars"] == result.whole(kept)["bars"]
    assert kept["growth"] == list(result.growth(kept))


def test_what_is_kept_of_starts_follows_from_them() -> None:
    kept = json.loads((DATA / "bench" / "6.12-starts.json").read_text())
    assert starts.whole(kept) == kept
    assert [row["name"] for row in kept["starts"]] == [each.name for each in starts.COMMANDS]
    assert [row["holds"] for row in kept["starts"]] == [None, True, True]


def test_growth_beside_the_line_of_shorter_walks() -> None:
    found = list(result.growth(raw(empty=Line(300, 135), rmapwatch=Line(600, 180))))
    last = next(row for row in found if row["load"] == f"processes-{loads.MANY}")
    assert last["rmapwatch"]["median"] == pytest.approx(600 + 180 * loads.MANY)
    assert last["rmapwatch"]["line"] == pytest.approx(600 + 180 * loads.MANY)
    assert last["base"] == pytest.approx(1000 + 100 * loads.MANY)


def test_a_miscount_is_an_error() -> None:
    left = raw(rmapwatch=Line(600, 180))
    result.require_exact(left)
    left["variants"][1]["told"] = {**left["variants"][1]["told"], "steps": 1}
    with pytest.raises(RmapwatchError, match="miscounted"):
        result.require_exact(left)


def test_two_boots_agree_where_their_intervals_meet() -> None:
    one, same = raw(rmapwatch=Line(600, 180)), raw(rmapwatch=Line(600, 180))
    assert result.agree(one, same) == []
    assert result.agree(one, raw(rmapwatch=Line(600, 190))) == ["rmapwatch, per_step"]


def test_the_tables_show_absent_as_a_dash() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(show.screen(result.whole(raw(rmapwatch=Line(600, 180), empty=None))))
    text = console.export_text()
    assert "not measured: it is not installed" in text
    assert "rmapwatch at most 1.8 of empty, a step" in text


BPFTRACE = """\
Attaching 11 probes...

@ns[kretfunc:vmlinux:rmap_walk_anon, 18446744071581]:
[1K, 2K)              10 |@@@@                                                |
[512K, 1M)             4 |@@                                                  |

@vmas[kretfunc:vmlinux:rmap_walk_anon, 18446744071581]:
[1]                   14 |@@@@                                                |

"""

FUNCLATENCY = """\
Tracing 3 functions for "^rmap_walk_(anon|file|ksm)$"... Hit Ctrl-C to end.

Function = b'rmap_walk_anon' [7]
     nsecs               : count     distribution
         0 -> 1          : 0        |                                        |
      2048 -> 4095       : 31       |********************                    |
"""


@pytest.mark.parametrize(("said", "walks"), [(BPFTRACE, 14), (FUNCLATENCY, 31), ("", None)])
def test_walks_that_a_peer_has_counted(said: str, walks: int | None) -> None:
    assert tracers.walks_in(said) == walks


def test_the_scripts_of_bpftrace_watch_what_rmapwatch_does() -> None:
    facts = KernelFacts.from_json((DATA / "facts" / "6.12.json").read_text())
    points = [point for point in catalogue.POINTS if point.typed]
    symbols = {each.source.symbol for each in resolve_all(points, facts)[0]}
    for name in ("kfunc", "kprobe"):
        script = (Path(variants.__file__).parent / f"walks_{name}.bt").read_text()
        watched = {
            word.split(":")[1].rstrip(",")
            for word in script.split()
            if word.startswith((f"{name}:", name.replace("k", "kret", 1) + ":"))
        }
        assert watched == symbols


def test_some_variants_are_measured_beside_the_base() -> None:
    assert host.chosen(()) == [variant.name for variant in variants.VARIANTS]
    assert host.chosen(("perf", "empty")) == ["base", "empty", "perf"]
    with pytest.raises(UsageError, match="there are base, "):
        host.chosen(("no-such",))


def test_a_bar_that_does_not_hold_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for per_step, code in ((180, 0), (400, 1)):
        left = raw(empty=Line(300, 135), rmapwatch=Line(600, per_step))
        monkeypatch.setattr(run, "bench", lambda *_, left=left: left)
        monkeypatch.setattr(workloads, "build", lambda name: Path(name))
        done = RUNNER.invoke(cli.app, ["bench", "--json"])
        assert done.exit_code == code
        assert {"rows", "bars", "growth"} <= json.loads(done.stdout).keys()


def starts_of(*took: float, reason: str = "") -> dict[str, Any]:
    """A command whose starts took so long."""
    return {"name": "x", "command": "x top", "took": list(took), "reason": reason}


PEER = starts_of(8, 2, 4, 3)


@pytest.mark.parametrize(
    ("took", "ratio", "holds"),
    [
        ((12, 4.5, 9, 1), (1.5, 1.5), True),
        ((12.1, 3, 3, 3), (1.512, 1.0), False),
        ((8, 4.6, 9, 1), (1.0, 1.533), False),
    ],
)
def test_a_start_is_held_against_the_peers(took, ratio, holds: bool) -> None:
    """The first, and of the others the median."""
    peer, held = starts.whole({"starts": [PEER, starts_of(*took)]})["starts"]
    assert (set(peer["ratio"].values()), peer["holds"]) == ({None}, None)
    assert peer["seconds"] == {"first": 8, "again": 3}
    assert (tuple(held["ratio"].values()), held["holds"]) == (ratio, holds)
    assert list(show.start_cells(peer)) == ["8.0 s", "3.0 s", "-"]
    assert list(show.start_cells(held))[-1] == ("yes" if holds else "NO")


@pytest.mark.parametrize("took", [(), (1,)], ids=["not there", "broke down"])
def test_a_start_that_could_not_be_is_not_judged(took) -> None:
    absent = starts_of(*took, reason="it is not installed")
    for pair in ([PEER, absent], [absent, PEER]):
        row = starts.whole({"starts": pair})["starts"][1]
        assert (set(row["ratio"].values()), row["holds"]) == ({None}, None)
    row = starts.whole({"starts": [PEER, absent]})["starts"][1]
    assert list(show.start_cells(row)) == ["-", "-", "not measured: it is not installed"]


def test_starting_in_turn_notes_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(starts, "rest", lambda: None)
    monkeypatch.setattr(starts, "forget", lambda: forgotten.append("all"))
    burn = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo figures"
    commands = (
        starts.Command("peer", ("no-such-tracer",), "bpfcc-tools"),
        starts.Command("fails", ("/bin/sh", "-c", "echo first; echo why it fails >&2; exit 3")),
        starts.Command("waits", ("/bin/sleep", "0.1")),
        starts.Command("runs", ("/bin/sh", "-c", burn)),
    )
    monkeypatch.setattr(starts, "COMMANDS", commands)
    said: list[str] = []
    peer, fails, waits, runs = starts.measure(said.append)
    assert (peer["took"], peer["reason"]) == (
        [],
        "it is not installed: sudo apt install bpfcc-tools",
    )
    assert (fails["took"], fails["reason"]) == ([], "why it fails")
    assert waits["command"] == "sleep 0.1"
    assert max(waits["took"]) < 0.1, "it waits, which is not on the CPU"
    assert len(runs["took"]) == len(waits["took"]) == starts.ROUNDS == len(said) / 2
    assert min(runs["took"]) > 0
    assert len(forgotten) == len(commands), "before each one's first start"


@pytest.mark.parametrize(("took", "code"), [(12, 0), (13, 1)])
def test_a_start_that_takes_too_long_is_the_exit_code(
    took: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(kernel: str, request: dict[str, Any], machine: Machine, progress: Any) -> Any:
        assert request == {"what": "starts"}
        assert machine.icount
        return {"release": "6.12.0", "starts": [PEER, starts_of(took, 3, 3, 3)]}

    monkeypatch.setattr(run, "bench", left)
    done = RUNNER.invoke(cli.app, ["bench", "--starts", "--json"])
    assert done.exit_code == code
    assert json.loads(done.stdout)["starts"][1]["holds"] is (code == 0)
    done = RUNNER.invoke(cli.app, ["bench", "--starts"])
    assert ("NO" in done.stdout) == bool(code)


def test_starts_have_no_variants() -> None:
    done = RUNNER.invoke(cli.app, ["bench", "empty", "--starts"])
    assert isinstance(done.exception, UsageError)
