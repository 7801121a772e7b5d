"""Texts that are made, held against saved ones; RMAPWATCH_GOLDEN=write saves them anew."""

import dataclasses
import io
import itertools
import json
import os
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from rmapwatch.collectors.frame import frame
from rmapwatch.kernels.facts import KernelFacts
from rmapwatch.probes import catalogue, events, reclaim, rmap, source, state
from rmapwatch.probes.resolve import resolve_all
from rmapwatch.probes.sample import (
    Account,
    Attachment,
    BatchCounts,
    EventCounts,
    Sample,
    StallCounts,
    WalkCounts,
)
from rmapwatch.views import explain, plain

HERE = Path(__file__).parent
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
    build = source.Build(2, 256, {**addresses, "vmemmap_base": 0x100})
    text = source.c_source(resolve_all(catalogue.POINTS, facts)[0], facts, build)
    for handlers in source.BPF_DIR.glob("*.bpf.c"):
        text = text.replace(handlers.read_text(), f"/* {handlers.name} */\n")
    hold(f"probes-{series}.c", text)


def test_the_same_handlers_whatever_the_kernel() -> None:
    for series in ("5.10", "6.1", "6.12", "7.3"):
        facts = kernel(series)
        text = source.c_source(
            resolve_all(catalogue.POINTS, facts)[0], facts, source.Build(2, 256, {})
        )
        for handlers in source.BPF_DIR.glob("*.bpf.c"):
            assert handlers.read_text() in text


def walk_counts(walks: int, vmas: int | None, ns: int) -> WalkCounts:
    return WalkCounts(
        walks=walks,
        bailouts=0,
        ns=ns,
        vmas=vmas,
        ptes=walks,
        ns_slots=one_slot(12, walks),
        vmas_slots=None if vmas is None else one_slot(1, walks),
        ptes_slots=one_slot(1, walks),
    )


def one_slot(slot: int, count: int) -> tuple[int, ...]:
    return tuple(count if n == slot else 0 for n in range(state.SLOTS))


def batch_counts(batches: int) -> BatchCounts:
    return BatchCounts(
        batches=batches,
        ns=batches * 2_000_000,
        ns_slots=one_slot(20, batches),
        reclaimed=batches * 29,
        stats=dict.fromkeys(reclaim.STATS, 0) | {"nr_ref_keep": batches * 3},
        activated={"anon": batches, "file": 0},
        decided=dict.fromkeys(reclaim.DECISIONS, 0) | {"keep": batches * 3},
        keep_differs=0,
        activate_exceeds=0,
        reclaimed_exceeds=0,
    )


def sample(time_ns: int, scale: int) -> Sample:
    """A sample with some of everything: a probe that is missing, an op without VMAs."""
    walks = {(op.name, kind): walk_counts(0, 0, 0) for op in rmap.OPS for kind in rmap.KINDS}
    walks["reference", "anon"] = walk_counts(1009 * scale, 2003 * scale, 5_000_000 * scale)
    walks["unmap", "anon"] = walk_counts(101 * scale, 101 * scale, 7_000_000 * scale)
    walks["damon", "file"] = walk_counts(7 * scale, None, 70_000 * scale)
    keys = [(c, u, r) for c in state.ASKED_BY for u in state.LRUS for r in state.RESULTS]
    references = dict.fromkeys(keys, 0) | {("shrink_list", "anon", "one"): 1009 * scale}
    entries = 1117 * scale
    return Sample(
        time_ns=time_ns,
        quiet=True,
        backend="bcc",
        release="6.1.0-test",
        attached=(
            Attachment("rmap_walk_anon", "rmap_walk_anon", "fentry+fexit", "it is traceable"),
            Attachment("step_unmap", "try_to_unmap_one", "fentry", "it is traceable"),
        ),
        unavailable={"step_migrate": "this kernel has no traceable try_to_migrate_one"},
        accounts={
            "rmap_walk_anon": Account(entries, entries - 2, 1, 1, None, 1, 0, 0),
            "step_unmap": Account(None, None, None, None, None),
        },
        walks=walks,
        references=references,
        decisions=dict.fromkeys(itertools.product(state.LRUS, reclaim.DECISIONS), 0)
        | {("anon", "keep"): 31 * scale},
        batches=dict.fromkeys(
            itertools.product(reclaim.CALLERS, reclaim.RECLAIMERS), batch_counts(0)
        )
        | {("evict", "kswapd"): batch_counts(17 * scale)},
        stalls={name: StallCounts(0, 0, (0,) * state.SLOTS) for name in reclaim.RECLAIMERS}
        | {"direct": StallCounts(3 * scale, 9_000_000 * scale, one_slot(22, 3 * scale))},
        events={name: EventCounts(11 * scale, scale, 10 * scale) for name in events.EVENTS},
        stray_steps=0,
    )


def test_the_frame_as_json() -> None:
    shown = frame(sample(3_000_000_000, 3), sample(1_000_000_000, 1))
    hold("frame.json", json.dumps(dataclasses.asdict(shown), indent=1) + "\n")


def test_the_plain_screen_fits_80_columns() -> None:
    text = printed(
        plain.screen(frame(sample(3_000_000_000, 3), sample(1_000_000_000, 1))), width=80
    )
    assert max(map(len, text.splitlines())) <= 80
    hold("screen.txt", text)


def test_the_first_frame_has_no_rate() -> None:
    text = printed(plain.screen(frame(sample(1_000_000_000, 1))), width=80)
    hold("first-screen.txt", text)


@pytest.mark.parametrize("series", ["5.10", "7.3"])
def test_probes_explained(series: str) -> None:
    text = printed(explain.table(explain.resolved(kernel(series)), explained=True), width=120)
    hold(f"explain-{series}.txt", text)
