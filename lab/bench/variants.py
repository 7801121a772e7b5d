"""What is measured: rmapwatch and its peers, each asked for the same figures as far as it can."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import tracers
from .tracers import Tracer, Watched

BASE = "base"
"""The variant that all others are held against."""

_HERE = Path(__file__).parent
_HELD = "rmapwatch.lab.bench.held"

Attach = Callable[[Watched], AbstractContextManager[Tracer]]


@dataclass(frozen=True)
class Variant:
    """
    Something that is attached while rounds are measured.

    ``tells``: what one gets for it. ``exact``: what it has counted must be what the model says.
    ``grows``: also measured under the loads of `loads.GROWTH`.
    """

    name: str
    tells: str
    attach: Attach
    exact: bool = False
    grows: bool = False


def _rmapwatch(backend: str, chosen: str) -> Attach:
    command = [sys.executable, "-m", _HELD, backend, chosen]

    @contextmanager
    def attach(there: Watched) -> Iterator[Tracer]:
        symbols = [*there.walks, *(there.steps if backend == "bcc" else ())]
        with tracers.process(command, "", symbols, tracers.Asked, "ready\n") as tracer:
            yield tracer

    return attach


def _peer(package: str, *command: str, steps: bool = True, word: str = "") -> Attach:
    @contextmanager
    def attach(there: Watched) -> Iterator[Tracer]:
        symbols: Sequence[str] = [*there.walks, *(there.steps if steps else ())]
        with tracers.process(command, package, symbols, word=word) as tracer:
            yield tracer

    return attach


_ALL = "time and VMAs by kind and op, as histograms"

VARIANTS = (
    Variant(BASE, "nothing: what the kernel takes by itself", tracers.nothing, grows=True),
    Variant("nothing", "nothing, measured again: the error of the bench", tracers.nothing),
    Variant(
        "empty",
        "nothing: programs without code where rmapwatch has those of walks and steps",
        tracers.empty,
        grows=True,
    ),
    Variant(
        "rmapwatch",
        f"{_ALL}; page-table entries, decisions, reclaim and all else that an exporter serves",
        _rmapwatch("bcc", "default"),
        exact=True,
        grows=True,
    ),
    Variant("bpftrace-kfunc", _ALL, _peer("bpftrace", "bpftrace", str(_HERE / "walks_kfunc.bt"))),
    Variant("bpftrace-kprobe", _ALL, _peer("bpftrace", "bpftrace", str(_HERE / "walks_kprobe.bt"))),
    Variant(
        "funclatency",
        "time by kind, as histograms; no ops, no steps",
        _peer(
            "bpfcc-tools",
            "funclatency-bpfcc",
            "-F",
            "-r",
            "^rmap_walk_(anon|file|ksm)$",
            steps=False,
            word="Hit Ctrl-C",
        ),
    ),
    Variant("function_graph", "each walk and step as a line of text", tracers.function_graph),
    Variant("perf", "each walk and step as a sample, to be evaluated later", tracers.perf),
    Variant(
        "rmapwatch-full",
        "the same, VMAs looked at, and an event for each walk, as a recorder takes them",
        _rmapwatch("bcc", "full"),
        exact=True,
    ),
    Variant(
        "rmapwatch-ftrace",
        "time by kind and op, as events that the reader sums later; no steps",
        _rmapwatch("ftrace", "default"),
    ),
)
