"""
Does what was observed agree with what must be? Rules over one run of a scenario. Pure.

Each rule is a row: predicted and observed in the same unit, what explains a difference, and
whether they agree: True, False, or None where the run did not exercise the rule. Here are the rules
for every run; those of a scenario lie in `rules/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..probes import cow, ksm, rmap
from ..probes.sample import Sample
from . import rules
from .rules import counters as kernel_counters
from .rules.row import Agreement, Records, Run, at_most, equal, none_of


def every_rule(run: Run, scenario_rules: str) -> list[Agreement]:
    """Return the rules for every run, and those of the scenario, by the name that it gives."""
    return [
        *accounts(run.sample),
        *losses(run.sample),
        *counters(run.sample, run.records),
        *pages_of_ksm(run.sample, run.records),
        *moves_and_waits(run.sample, run.records),
        *forks(run.sample, run.records),
        *writes(run.sample, run.records),
        *batches(run.sample),
        *kernel_counters.vmstat(run),
        *kernel_counters.migrated(run),
        *kernel_counters.memory_stat(run),
        *rules.OF_SCENARIO[scenario_rules](run),
    ]


def accounts(sample: Sample) -> Iterator[Agreement]:
    """Yield: entries = exits + in flight + missed, for each probe that watches both sides."""
    for probe, account in sample.accounts.items():
        if None in (account.entries, account.exits, account.in_flight, account.missed):
            continue
        ends = (account.exits or 0) + (account.in_flight or 0) + (account.missed or 0)
        rule = f"{probe}: entries = exits + in flight + missed"
        yield equal(rule, "calls", account.entries or 0, ends)


def losses(sample: Sample) -> Iterator[Agreement]:
    """Yield: produced = received + lost, for each type of event."""
    for event, counts in sample.events.items():
        rule = f"{event} events: produced = received + lost"
        yield equal(rule, "events", counts.produced, counts.received + counts.lost)


def counters(sample: Sample, records: Records) -> Iterator[Agreement]:
    """Yield: walks and VMAs counted in the kernel are those told by events, where none is lost."""
    walks = records["walk"]
    if not _all_told(sample, "walk"):
        return
    for number, op in enumerate(rmap.OPS):
        for kind_number, kind in enumerate(rmap.KINDS):
            counted = sample.walks[op.name, kind]
            told = walks[(walks["op"] == number) & (walks["kind"] == kind_number)]
            if not counted.walks and not len(told):
                continue
            name = f"{op.name} walks of {kind} pages"
            yield equal(f"{name}: counted = told by events", "walks", counted.walks, len(told))
            if counted.vmas is not None:
                vmas = int(told["vmas"][told["vmas"] >= 0].sum())
                yield equal(f"{name}: VMAs counted = told", "VMAs", counted.vmas, vmas)
            if counted.looked_at is not None:
                looks = int(told["looked_at"][told["looked_at"] >= 0].sum())
                rule = f"{name}: VMAs looked at, counted = told"
                yield equal(rule, "VMAs", counted.looked_at, looks)


def _all_told(sample: Sample, event: str) -> bool:
    """Return whether there are events of this type, and none is lost."""
    return event in sample.events and not sample.events[event].lost


def pages_of_ksm(sample: Sample, records: Records) -> Iterator[Agreement]:
    """Yield: what KSM did to pages is what events tell, where none is lost; removals apart."""
    if sample.ksm is None or not _all_told(sample, "ksm"):
        return
    for name in (*ksm.PAGES, "copied"):
        if name == "removed":  # those of a page that is gone are counted, and told by no event
            continue
        counted = sample.ksm.pages.get(name, sample.ksm.swapins.get(name, 0))
        told = int((records["ksm"]["what"] == ksm.WHAT.index(name)).sum())
        if counted or told:
            yield equal(f"KSM pages {name}: counted = told by events", "pages", counted, told)


def moves_and_waits(sample: Sample, records: Records) -> Iterator[Agreement]:
    """Yield: calls to move pages, and waits for locks, are what events tell where none is lost."""
    tables = (
        ("migration", "calls to move pages", [c.calls for c in sample.migrations.values()]),
        ("lock_wait", "waits for locks", [c.calls for c in sample.lock_waits.values()]),
    )
    for event, name, counted in tables:
        if counted and _all_told(sample, event):
            rule = f"{name}: counted = told by events"
            yield equal(rule, "calls", sum(counted), len(records[event]))


def forks(sample: Sample, records: Records) -> Iterator[Agreement]:
    """Yield: forks, and what children were born with, are what events tell, where none is lost."""
    if sample.forks is None or not _all_told(sample, "fork"):
        return
    told = records["fork"]
    calls = sample.forks.steps["copy_process"].calls
    yield equal("forks: counted = told by events", "forks", calls, len(told))
    vmas = int(told["vmas"][told["vmas"] >= 0].sum())
    yield equal("VMAs of children: counted = told", "VMAs", sample.forks.vmas, vmas)
    if sample.forks.pages is not None:
        pages = int(told["pages"][told["pages"] >= 0].sum())
        yield equal("pages of children: counted = told", "pages", sample.forks.pages, pages)
    if "fork" in sample.forks.clones:
        yield _chains(sample, told["linked"])


def _chains(sample: Sample, linked: npt.NDArray[np.uint32]) -> Agreement:
    """Return the row of chains that forks copied; those of a fork that was missed are not told."""
    counted = sample.forks.clones["fork"].calls if sample.forks else 0
    row = equal("chains copied: counted = told", "chains", counted, int(linked.sum()))
    untold = counted - int(linked.sum())
    missed = sample.missed("copy_process")
    if row.agrees is not False or not 0 < untold <= missed * int(linked.max(initial=0)):
        return row
    why = "of forks that were not followed to their end"
    return replace(row, agrees=True, explained=((why, untold),))


def writes(sample: Sample, records: Records) -> Iterator[Agreement]:
    """Yield: writes to write-protected pages are what events tell, where none is lost."""
    if sample.cow is None or not _all_told(sample, "cow"):
        return
    told = records["cow"]
    for (page, outcome), counted in sample.cow.faults.items():
        ours = told["page"] == cow.PAGES.index(page)
        seen = int((ours & (told["outcome"] == cow.OUTCOMES.index(outcome))).sum())
        if counted or seen:
            rule = f"writes to {page} pages, {outcome}: counted = told by events"
            yield equal(rule, "writes", counted, seen)


def batches(sample: Sample) -> Iterator[Agreement]:
    """
    Yield: what was seen of the reference checks is what each batch's own account says.

    KEEP is nr_ref_keep, exactly; ACTIVATE is at most nr_activate, which counts other reasons too;
    no more is reclaimed than was let go. In base pages, summed over batches that check references,
    and never contradicted by a single one of them.
    """
    told = [counts for counts in sample.batches.values() if counts.batches]
    checked = [counts for counts in told if _pages(counts.decided)]
    keep = sum(_pages(counts.stats, "nr_ref_keep") for counts in checked)
    kept = sum(_pages(counts.decided, "keep") for counts in checked)
    yield equal("reclaim batches: pages kept = nr_ref_keep", "pages", keep, kept)
    activate = sum(_pages(counts.activated) for counts in checked)
    seen = sum(_pages(counts.decided, "activate") for counts in checked)
    yield at_most("reclaim batches: pages activated <= nr_activate", "pages", activate, seen)
    gone = sum(_pages(counts.decided, "reclaim", "reclaim_clean") for counts in checked)
    reclaimed = sum(counts.reclaimed for counts in checked)
    yield at_most("reclaim batches: pages reclaimed <= let go", "pages", gone, reclaimed)
    contradictions = ((c.keep_differs, c.activate_exceeds, c.reclaimed_exceeds) for c in told)
    contradicted = sum(number or 0 for each in contradictions for number in each)
    rule = "reclaim batches: not one contradicts its own account"
    yield none_of(rule, "batches", contradicted, bool(checked))


def _pages(told: Mapping[str, int] | None, *names: str) -> int:
    """Return the sum of these, or of all; 0 where they are not told."""
    return sum(pages for name, pages in (told or {}).items() if not names or name in names)
