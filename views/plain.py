"""The plain screen: a Frame as tables that fit 80 columns. Absent is shown as `-`, never as 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..collectors.frame import Frame
from ..collectors.readings import AgeReading, MapReading, StallReading

ABSENT = "-"
_HOTTEST = 8
_STEPS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def duration(seconds: float | None) -> str:
    """Return a duration in three significant digits and its unit."""
    if seconds is None:
        return ABSENT
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return "0 ns" if seconds == 0 else f"{seconds * 1e9:.2g} ns"


def number(value: float | None) -> str:
    """Return a count with separators."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def per(total: float | None, count: float | None) -> str:
    """Return a mean, or `-` where it has no meaning."""
    return number(total / count) if total is not None and count else ABSENT


def screen(frame: Frame) -> RenderableType:
    """Return the whole screen of a frame."""
    parts: list[RenderableType] = [_title(frame), _walks(frame)]
    parts += [*_maps(frame), *_payers(frame)]
    if frame.batches:
        parts.append(_batches(frame))
    if frame.references:
        parts.append(_references(frame))
    if frame.stalls:
        parts.append(_calls("calls for memory", "by", frame.stalls))
    if frame.ages:
        parts.append(_calls("ageing", "of", frame.ages))
    parts += [*_ksm(frame), *_failures(frame), *_moves(frame), *_forks(frame), *_cow(frame)]
    parts.append(_probes(frame))
    return Group(*parts)


def window(frame: Frame) -> str:
    """Return which time the figures of a frame are of."""
    return f"last {frame.seconds:.1f} s" if frame.seconds else "since the probes were attached"


def _title(frame: Frame) -> Text:
    return Text(f"rmapwatch  kernel {frame.kernel}  backend {frame.backend}  {window(frame)}")


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < left else "right", no_wrap=True)
    return table


def _walks(frame: Frame) -> Table:
    # What walks look at is watched only where it is asked for; the column takes the rate's place.
    looked = any(row.looked_at is not None for row in frame.walks)
    third = "looked at" if looked else "walks/s"
    columns = ("walks", third, "vmas/walk", "ptes/walk", "time", "p50", "p99")
    table = _table("reverse-map walks", "op", "kind", *columns, left=2)
    for row in frame.walks:
        table.add_row(
            row.op,
            row.kind,
            number(row.walks),
            number(row.looked_at) if looked else per(row.walks, frame.seconds),
            per(row.vmas, row.walks),
            per(row.ptes, row.walks),
            duration(row.seconds),
            duration(row.p50),
            duration(row.p99),
        )
    if not frame.walks:
        table.add_row("none in this window", *[""] * 8)
    return table


def _maps(frame: Frame) -> Iterator[RenderableType]:
    if frame.maps:
        columns = ("walks", "vmas/walk", "time", "longest")
        table = _table("hottest maps", "kind", "map", "first entered", *columns, left=3)
        for row in frame.maps[:_HOTTEST]:
            times = (duration(row.seconds), duration(row.longest))
            counts = (number(row.walks), per(row.vmas, row.walks))
            table.add_row(row.kind, row.map or "others", owner(row), *counts, *times)
        yield table


def owner(row: MapReading) -> str:
    """Return whose memory it is: the process most often seen, and how many others there were."""
    if row.owner is None:
        return ABSENT
    others = f" +{row.processes - 1}" if row.processes > 1 else ""
    return f"{row.command or '?'} {row.owner}{others}"


def _payers(frame: Frame) -> Iterator[RenderableType]:
    if frame.payers:
        table = _table("who walks", "thread", "for", "cgroup", "walks", "time", left=3)
        for row in frame.payers[:_HOTTEST]:
            names = (row.command, row.reclaimer or ABSENT, row.cgroup or ABSENT)
            table.add_row(*names, number(row.walks), duration(row.seconds))
        yield table


def _batches(frame: Frame) -> Table:
    columns = ("asked by", "for", "batches", "reclaimed", "kept", "activated", "time", "p99")
    table = _table("reclaim, in pages", *columns, left=2)
    for row in frame.batches:
        counts = (row.batches, row.reclaimed, row.kept, row.activated)
        table.add_row(
            row.caller,
            row.reclaimer,
            *map(number, counts),
            duration(row.seconds),
            duration(row.p99),
        )
    return table


def _calls(title: str, of: str, rows: Sequence[StallReading] | Sequence[AgeReading]) -> Table:
    table = _table(title, of, "calls", "time", "p99")
    for row in rows:
        name = row.ager if isinstance(row, AgeReading) else row.reclaimer
        table.add_row(name, number(row.calls), duration(row.seconds), duration(row.p99))
    return table


def _references(frame: Frame) -> Table:
    table = _table("reference checks", "asked by", "lru", "referenced by", "checks", left=3)
    for row in frame.references:
        table.add_row(row.caller, row.lru, row.result, number(row.checks))
    return table


def _ksm(frame: Frame) -> Iterator[RenderableType]:
    if frame.ksm_pages or frame.ksm_swapins:
        table = _table("KSM", "what", "pages")
        for pages in frame.ksm_pages:
            table.add_row(pages.event, number(pages.pages))
        for swapin in frame.ksm_swapins:
            table.add_row(f"swapped in, {swapin.outcome}", number(swapin.pages))
        yield table
    if frame.ksm_scans:
        table = _table("ksmd", "passes", "time", "p99", left=0)
        for scan in frame.ksm_scans:
            table.add_row(number(scan.passes), duration(scan.seconds), duration(scan.p99))
        yield table


def _failures(frame: Frame) -> Iterator[RenderableType]:
    if frame.failures:
        table = _table("memory failures", "page", "result", "count", left=2)
        for row in frame.failures:
            table.add_row(row.page_type, row.result, number(row.failures))
        yield table
    if frame.handled:
        table = _table("memory failure handlers", "what", "calls", "errors", "time", "p99")
        for call in frame.handled:
            counts = (number(call.calls), number(call.errors))
            table.add_row(call.handler, *counts, duration(call.seconds), duration(call.p99))
        yield table
    if frame.signals:
        table = _table("signals", "signal", "code", "count", left=2)
        for sent in frame.signals:
            table.add_row(sent.signal, sent.code, number(sent.signals))
        yield table


def _moves(frame: Frame) -> Iterator[RenderableType]:
    if frame.migrations:
        columns = ("why", "calls", "moved", "failed", "split", "time", "p99")
        table = _table("migration, in pages", *columns)
        for row in frame.migrations:
            counts = map(number, (row.calls, row.succeeded, row.failed, row.split))
            table.add_row(row.reason, *counts, duration(row.seconds), duration(row.p99))
        yield table
    if frame.lock_waits:
        title = "waits for locks of the reverse map"
        table = _table(title, "lock", "to", "inside of", "waits", "time", "p99", left=3)
        for wait in frame.lock_waits:
            times = (duration(wait.seconds), duration(wait.p99))
            table.add_row(wait.lock, wait.mode, wait.during, number(wait.waits), *times)
        yield table


def _forks(frame: Frame) -> Iterator[RenderableType]:
    if frame.forks:
        table = _table("forks", "step", "calls", "errors", "time", "p99")
        for step in frame.forks:
            counts = (number(step.calls), number(step.errors))
            table.add_row(step.step, *counts, duration(step.seconds), duration(step.p99))
        yield table
    if frame.births:
        table = _table("children", "VMAs", "pages", left=0)
        for birth in frame.births:
            table.add_row(number(birth.vmas), number(birth.pages))
        yield table
    if frame.clones:
        table = _table("chains of anon_vmas copied", "by", "calls", "links/call", "time", "p99")
        for row in frame.clones:
            counts = (number(row.calls), per(row.links, row.calls))
            table.add_row(row.cloner, *counts, duration(row.seconds), duration(row.p99))
        yield table


def _cow(frame: Frame) -> Iterator[RenderableType]:
    if frame.cow_faults:
        table = _table("copy on write", "page", "outcome", "faults", left=2)
        for row in frame.cow_faults:
            table.add_row(row.page, row.outcome, number(row.faults))
        yield table


def _probes(frame: Frame) -> Table:
    attached = [probe for probe in frame.probes if probe.attached]
    missing = [probe.probe for probe in frame.probes if not probe.attached]
    lost = sum(event.lost for event in frame.events)
    missed = [probe.missed for probe in attached if probe.missed is not None]
    table = _table(
        "probes", "attached", "not on this kernel", "calls missed", "events lost", left=0
    )
    table.add_row(number(len(attached)), number(len(missing)), number(sum(missed)), number(lost))
    return table
