"""The table of docs/model.md: what the seeds' commits changed, by the model and by live guests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rmapwatch.kernels.semantics import Semantics, before, semantics_of
from rmapwatch.model import injected
from rmapwatch.model.fork_storm import Storm, closed_form, simulate
from rmapwatch.model.references import Decision, ReferenceCheck, page_check_references
from rmapwatch.model.rmap import Op
from rmapwatch.model.scenarios import ksm_walks
from rmapwatch.probes.events import UNSEEN, WALK_BAILED
from rmapwatch.probes.reclaim import DECISIONS
from rmapwatch.probes.ring import Records
from rmapwatch.probes.rmap import OPS
from rmapwatch.recordings.reader import Recording

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "tests" / "fixtures"
PAGE = ROOT / "docs" / "model.md"
BEGIN, END = "<!-- headlines: written by tools/generate.py -->\n", "<!-- end of headlines -->\n"

_OP = {op.name: number for number, op in enumerate(OPS)}


class Headline(NamedTuple):
    """A number: before the commit and on this kernel by the model, and as a guest showed it."""

    commit: str
    what: str
    before: str
    model: str
    live: str


class Lived(NamedTuple):
    """A recording of a guest, and what its kernel means for the model."""

    recording: Recording
    semantics: Semantics
    ledger: Mapping[str, Any]

    def events(self, event: str) -> Records:
        """Return its events of a type."""
        return self.recording.records(event)


def page() -> str:
    """Return docs/model.md with the table of now."""
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}{_table()}{END}{rest.split(END)[1]}"


def _table() -> str:
    lines = [
        "| commit | what | before it | model | live | recording |",
        "|---|---|--:|--:|--:|---|",
    ]
    lines += [_line(row, "") for row in _by_model()]
    for folder in sorted(FIXTURES.iterdir()):
        lines += [_line(row, folder.name) for row in _of(folder)]
    return "\n".join([*lines, ""])


def _line(row: Headline, recording: str) -> str:
    return f"| {' | '.join(row)} | {recording} |"


def _by_model() -> Iterator[Headline]:
    """Yield what no guest of the lab has the memory for."""
    storm, newest = Storm(1000, 1000), sorted(FIXTURES.glob("fork-storm-*"))[-1]
    now = semantics_of(Recording(newest).meta.kernel)
    shared, chains = (closed_form(s, storm).mean_linked for s in (before("anon_vma_chains"), now))
    what = "VMAs linked to a page, 1000 children with 1000 pages each, mean"
    yield Headline("5beb49305251", what, f"{float(shared):,.0f}", f"{float(chains):.3f}", "-")


def _of(folder: Path) -> Iterator[Headline]:
    recording = Recording(folder)
    ledger = recording.meta.end.ledger if recording.meta.end else {}
    lived = Lived(recording, semantics_of(recording.meta.kernel), ledger or {})
    if headlines := _HEADLINES.get(lived.ledger["workload"]):
        yield from headlines(lived)


def _storm(lived: Lived) -> Iterator[Headline]:
    walks, ledger = lived.events("walk"), lived.ledger
    own = (walks["index"] >= ledger["first_index"]) & (walks["index"] <= ledger["last_index"])
    own &= (walks["map"] != walks["root"]) & ((walks["flags"] & WALK_BAILED) == 0)
    seen = walks["vmas"][own & (walks["op"] == _OP["reference"])]
    storm = Storm(ledger["children"], ledger["pages"])
    shared, chains = (
        float(simulate(s, storm).classes[-1].entered)
        for s in (before("anon_vma_chains"), lived.semantics)
    )
    what = (
        f"VMAs that a reference walk of a child's page enters, {ledger['children']} children, mean"
        f" of {len(seen):,} walks"
    )
    live = f"{seen.mean():.2f}"
    yield Headline("5beb49305251", what, f"{shared:.2f}", f"{chains:.2f}", live)


def _stream(lived: Lived) -> Iterator[Headline]:
    stream, checks = lived.ledger["stream"], lived.events("reference")
    of_it = (checks["index"] >= stream["first_index"]) & (checks["index"] <= stream["last_index"])
    of_it &= (checks["decision"] != UNSEEN) & (checks["result"] == 1)
    looks, active = int(of_it.sum()), DECISIONS.index("activate")
    if not looks:
        return
    used_once = ReferenceCheck(referenced=1, page_referenced=False)
    was, now = (
        looks * (page_check_references(s, used_once).decision is Decision.ACTIVATE)
        for s in (before("used_once"), lived.semantics)
    )
    what = f"file pages used once that a look activates, of {looks:,} looks that found the use"
    seen = int((checks["decision"][of_it] == active).sum())
    yield Headline("645747462435", what, f"{was:,}", f"{now:,}", f"{seen:,}")


def _ksm(lived: Lived) -> Iterator[Headline]:
    ledger, walks = lived.ledger, lived.events("walk")
    seen = walks["vmas"][(walks["op"] == _OP["restore"]) & (walks["pfn"] == ledger["after"])]
    was, now = (
        ksm_walks(s, ledger["pages"], 0, True)[Op.RESTORE]
        for s in (before("ksm_migration"), lived.semantics)
    )
    what = f"VMAs entered to restore a KSM page mapped {ledger['pages']} times"
    yield Headline("e9995ef978a7", what, str(was), str(now), str(int(seen.sum())))


def _failures(lived: Lived) -> Iterator[Headline]:
    rows = lived.ledger["failures"]
    told = sum(len(process["signals"]) for row in rows for process in row["processes"])
    foretold = Counter(
        told
        for row in rows
        for way in (injected.told_at_once, injected.told_late)
        for told in way(lived.semantics, row)
    )
    what = f"signals to the processes of {len(rows)} failed pages, at once and at a later touch"
    yield Headline("db16826367fe", what, "-", str(foretold.total()), str(told))
    outcomes = Counter(injected.handling(lived.semantics, row).result for row in rows)
    events = lived.events("memory_failure")
    for result, number in outcomes.items():
        if result is not None:
            seen = int(np.count_nonzero(events["result"] == result.value))
            what = f"failed pages of {len(rows)} that end as {result.name.lower()}"
            yield Headline("6a46079cf57a", what, "-", str(number), str(seen))


_HEADLINES: Mapping[str, Callable[[Lived], Iterator[Headline]]] = {
    "fork_storm": _storm,
    "file_stream": _stream,
    "ksm_stall": _ksm,
    "hwpoison": _failures,
}
