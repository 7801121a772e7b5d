"""`rmapwatch probes`: what resolves on a kernel, by which way, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from .. import errors
from ..kernels import read
from ..kernels.btf import VMLINUX, Btf
from ..kernels.facts import KernelFacts
from ..probes import catalogue, needs
from ..probes.backend import Backend
from ..probes.ftrace import plan, tracefs
from ..probes.resolve import Candidate, Unavailable, resolve
from .plain import ABSENT


@dataclass(frozen=True)
class Resolved:
    """One probe point on one kernel; ``symbol`` and ``mechanism`` None where it has none."""

    probe: str
    symbol: str | None
    mechanism: str | None
    reason: str
    summary: str
    kernel_source: str


def facts_here(backend: Backend = Backend.AUTO) -> KernelFacts:
    """Return the facts of the running kernel, each candidate of bcc really attached once."""
    needs.require_root("this kernel cannot be asked")
    facts = tracefs.facts()
    if backend == Backend.FTRACE or not VMLINUX.exists():
        return facts
    return read.try_every_way(facts, Btf.of_kernel(), _candidates(facts))


def _candidates(facts: KernelFacts) -> list[str]:
    symbols = {source.symbol for point in catalogue.POINTS for source in point.sources}
    return sorted(s for s in symbols if facts.traceable(s) or s in facts.tracepoints)


def saved_facts(path: str) -> KernelFacts:
    """Return the facts that a file holds; raise `UsageError` where it does not."""
    try:
        return KernelFacts.from_json(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise errors.UsageError(
            f"{path} cannot be read as kernel facts", str(error), "ls tests/data/facts"
        ) from None


def resolved(facts: KernelFacts, backend: Backend = Backend.AUTO) -> list[Resolved]:
    """Return every probe point of the catalogue as it resolves on the kernel of `facts`."""
    if backend == Backend.FTRACE:
        return [_row(plan.choose(point, facts, steps=False)) for point in catalogue.POINTS]
    return [_row(resolve(point, facts)) for point in catalogue.POINTS]


def writes(facts: KernelFacts) -> list[str]:
    """Return what the ftrace backend writes to tracefs, as a shell would; PID: its process."""
    written = plan.writes(catalogue.names(), facts, plan.USUAL_KB)
    return [write.shell() for write in written]


def _row(answer: Candidate | Unavailable) -> Resolved:
    point = answer.point
    symbol = mechanism = None
    if isinstance(answer, Candidate):
        symbol = answer.source.symbol
        mechanism = "+".join(answer.mechanisms)
    return Resolved(
        point.name, symbol, mechanism, answer.reason, point.summary, point.kernel_source
    )


def table(rows: list[Resolved], explained: bool) -> Table:
    """Return the rows as a table; with the reasons where they are asked for."""
    shown = Table(box=None, pad_edge=False)
    for column in ("probe", "symbol", "mechanism", *(("because",) if explained else ())):
        shown.add_column(column, overflow="fold")
    for row in rows:
        cells = [row.probe, row.symbol or ABSENT, row.mechanism or ABSENT]
        shown.add_row(*cells, *((row.reason,) if explained else ()))
    return shown
