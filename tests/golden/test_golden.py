"""Texts that are made, held against saved ones; RMAPWATCH_GOLDEN=write saves them anew."""

import dataclasses
import io
import itertools
import json
import os
import re
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from rmapwatch.collectors.frame import frame
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import catalogue, rmap, source, state
from rmapwatch.probes.backend import Backend
from rmapwatch.probes.resolve import resolve_all
from rmapwatch.recordings.reader import Recording
from rmapwatch.views import explain, plain
from samples import sample
from screen import Driven, drive, endless

HERE = Path(__file__).parent
FIXTURES = HERE.parent / "fixtures"
FACTS = HERE.parent / "data" / "facts"


def hold(name: str, text: str) -> None:
    path = HERE / name
    if os.environ.get("RMAPWATCH_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), f"RMAPWATCH_GOLDEN=write make check, then git diff {name}"


def printed(shown: RenderableType, width: int) -> str:
    out = io.StringIO()
    Console(width=width, no_color=True, file=out).print(shown)
    return out.getvalue()


def kernel(series: str) -> KernelFacts:
    return KernelFacts.from_json((FACTS / f"{series}.json").read_text())


@pytest.mark.parametrize("series", ["5.10", "7.3"])
def test_the_c_text(series: str) -> None:
    """All but the handlers, which stand in probes/bpf."""
    facts = kernel(series)
    callbacks = [callback for op in rmap.OPS for callback in op.callbacks]
    addresses = {name: 0x1000 * n for n, name in enumerate(callbacks, 1) if name in facts.functions}
    build = source.Build(2, {**addresses, "vmemmap_base": 0x100})
    text = source.c_source(resolve_all(catalogue.POINTS, facts)[0], facts, build)
    for handlers in source.BPF_DIR.glob("*.bpf.c"):
        text = text.replace(handlers.read_text(), f"/* {handlers.name} */\n")
    hold(f"probes-{series}.c", text)


def test_the_same_handlers_whatever_the_kernel() -> None:
    for series in ("5.10", "6.1", "6.12", "7.3"):
        facts = kernel(series)
        text = source.c_source(resolve_all(catalogue.POINTS, facts)[0], facts, source.Build(2, {}))
        for handlers in source.BPF_DIR.glob("*.bpf.c"):
            assert handlers.read_text() in text


@pytest.mark.parametrize(
    ("series", "brought", "classic", "mglru"),
    [("6.12", [], 1, 1), ("6.12", ["lru_gen_set_refs"], 1, 0), ("7.3", [], 0, 0)],
    ids=["6.12", "6.14", "7.3"],
)
def test_where_reclaim_clean_is_told(
    series: str, brought: list[str], classic: int, mglru: int
) -> None:
    """Between v6.14 and its end, RECLAIM_CLEAN is of the classic LRU alone."""
    facts = kernel(series)
    more = dict.fromkeys(brought, facts.functions["folio_referenced"])
    facts = dataclasses.replace(facts, functions={**facts.functions, **more})
    text = source.c_source(resolve_all(catalogue.POINTS, facts)[0], facts, source.Build(2, {}))
    assert f"#define CLASSIC_RECLAIM_CLEAN {classic}\n" in text
    assert f"#define MGLRU_RECLAIM_CLEAN {mglru}\n" in text


def test_the_frame_as_json() -> None:
    shown = frame(sample(3_000_000_000, 3), sample(1_000_000_000, 1))
    hold("frame.json", json.dumps(dataclasses.asdict(shown), indent=1) + "\n")


def test_the_plain_screen_fits_80_columns() -> None:
    text = printed(
        plain.screen(frame(sample(3_000_000_000, 3), sample(1_000_000_000, 1))), width=80
    )
    assert max(map(len, text.splitlines())) <= 80
    hold("screen.txt", text)


def test_large_figures_fit_80_columns_too() -> None:
    shown = frame(sample(9_000_000_000, 9973), sample(1_000_000_000, 1))
    text = printed(plain.screen(shown), width=80)
    assert "10,061,748" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_first_frame_has_no_rate() -> None:
    text = printed(plain.screen(frame(sample(1_000_000_000, 1))), width=80)
    hold("first-screen.txt", text)


@pytest.mark.parametrize("series", ["5.10", "7.3"])
def test_probes_explained(series: str) -> None:
    text = printed(explain.table(explain.resolved(kernel(series)), explained=True), width=120)
    hold(f"explain-{series}.txt", text)


@pytest.mark.parametrize("series", ["5.10", "7.3"])
def test_what_ftrace_writes(series: str) -> None:
    hold(f"ftrace-{series}.txt", "\n".join([*explain.writes(kernel(series)), ""]))


def test_what_ftrace_sees_explained() -> None:
    rows = explain.resolved(kernel("6.12"), Backend.FTRACE)
    hold("explain-ftrace-6.12.txt", printed(explain.table(rows, explained=True), width=120))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_the_live_screen(kernel: str, size: tuple[int, int]) -> None:
    """While a recording of a real kernel is replayed, without colour."""
    samples = Recording(FIXTURES / f"fork-storm-{kernel}").samples()
    text = ""

    async def play(driven: Driven) -> None:
        nonlocal text
        await driven.settle()
        text = "\n".join([*driven.lines(), ""])

    drive(endless(itertools.islice(samples, 3)), play, size)
    assert max(map(len, text.splitlines())) <= size[0]
    hold(f"top-{kernel}-{size[0]}x{size[1]}.txt", text)


def test_handlers_use_no_member_that_is_not_there() -> None:
    """What a compiler would say, without one: members of the slot, the state and the arguments."""
    structs = state.layout(catalogue.names(steps=True)).structs
    arguments = set(source.ARGUMENTS) | {"probe", "typed"}
    for handlers in source.BPF_DIR.glob("*.bpf.c"):
        text = handlers.read_text()
        for name, there in (
            ("w", {member.name for member in structs["work"]}),
            ("st", {member.name for member in structs["cpu_state"]}),
            ("a", arguments),
        ):
            used = set(re.findall(rf"\b{name}->(\w+)\b(?!##)", text))
            assert used <= there, handlers.name
