"""
Does what was observed agree with what must be? Rules over one run of a scenario. Pure.

Each rule is a row: predicted and observed in the same unit, what explains a difference, and
whether they agree: True, False, or None where the run did not exercise the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..probes import events, rmap
from ..probes.sample import Sample

Records = Mapping[str, npt.NDArray[np.void]]


@dataclass(frozen=True)
class Agreement:
    """One rule held against one run; ``explained`` lists (reason, count)."""

    rule: str
    unit: str
    predicted: int | None
    observed: int | None
    agrees: bool | None
    explained: tuple[tuple[str, int], ...] = field(default=())


def _equal(rule: str, unit: str, predicted: int, observed: int) -> Agreement:
    exercised = bool(predicted or observed)
    return Agreement(rule, unit, predicted, observed, predicted == observed if exercised else None)


def every_rule(
    sample: Sample, records: Records, scenario_rules: str, ledger: Mapping[str, Any]
) -> list[Agreement]:
    """Return the rules for every run, and those of the scenario, by the name that it gives."""
    return [
        *accounts(sample),
        *losses(sample),
        *counters(sample, records),
        *batches(sample),
        *_OF_SCENARIO[scenario_rules](records, ledger),
    ]


def accounts(sample: Sample) -> Iterator[Agreement]:
    """Yield: entries = exits + in flight + missed, for each probe that watches both sides."""
    for probe, account in sample.accounts.items():
        if None in (account.entries, account.exits, account.in_flight, account.missed):
            continue
        ends = (account.exits or 0) + (account.in_flight or 0) + (account.missed or 0)
        rule = f"{probe}: entries = exits + in flight + missed"
        yield _equal(rule, "calls", account.entries or 0, ends)


def losses(sample: Sample) -> Iterator[Agreement]:
    """Yield: produced = received + lost, for each type of event."""
    for event, counts in sample.events.items():
        rule = f"{event} events: produced = received + lost"
        yield _equal(rule, "events", counts.produced, counts.received + counts.lost)


def counters(sample: Sample, records: Records) -> Iterator[Agreement]:
    """Yield: walks and VMAs counted in the kernel are those told by events, where none is lost."""
    walks = records["walk"]
    if sample.events["walk"].lost:
        return
    for number, op in enumerate(rmap.OPS):
        for kind_number, kind in enumerate(rmap.KINDS):
            counted = sample.walks[op.name, kind]
            told = walks[(walks["op"] == number) & (walks["kind"] == kind_number)]
            if not counted.walks and not len(told):
                continue
            name = f"{op.name} walks of {kind} pages"
            yield _equal(f"{name}: counted = told by events", "walks", counted.walks, len(told))
            if counted.vmas is not None:
                vmas = int(told["vmas"][told["vmas"] >= 0].sum())
                yield _equal(f"{name}: VMAs counted = told", "VMAs", counted.vmas, vmas)


def batches(sample: Sample) -> Iterator[Agreement]:
    """
    Yield: what was seen of the reference checks is what each batch's own account says.

    KEEP is nr_ref_keep, exactly; ACTIVATE is at most nr_activate, which counts other reasons too;
    no more is reclaimed than was let go. In base pages, summed over batches that check references,
    and never contradicted by a single one of them.
    """
    told = [counts for counts in sample.batches.values() if counts.batches]
    checked = [counts for counts in told if sum(counts.decided.values())]
    keep = sum(counts.stats["nr_ref_keep"] for counts in checked)
    kept = sum(counts.decided["keep"] for counts in checked)
    yield _equal("reclaim batches: pages kept = nr_ref_keep", "pages", keep, kept)
    activate = sum(sum(counts.activated.values()) for counts in checked)
    seen = sum(counts.decided["activate"] for counts in checked)
    yield _at_most("reclaim batches: pages activated <= nr_activate", "pages", activate, seen)
    gone = sum(c.decided["reclaim"] + c.decided["reclaim_clean"] for c in checked)
    reclaimed = sum(counts.reclaimed for counts in checked)
    yield _at_most("reclaim batches: pages reclaimed <= let go", "pages", gone, reclaimed)
    contradicted = sum(c.keep_differs + c.activate_exceeds + c.reclaimed_exceeds for c in told)
    rule = "reclaim batches: not one contradicts its own account"
    yield Agreement(rule, "batches", 0, contradicted, not contradicted if checked else None)


def _at_most(rule: str, unit: str, limit: int, observed: int) -> Agreement:
    return Agreement(rule, unit, limit, observed, observed <= limit if observed else None)


def child_pages(walks: npt.NDArray[np.void], ledger: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Return which of the walks are of pages that a child of the storm owns alone."""
    within = (walks["index"] >= ledger["first_index"]) & (walks["index"] <= ledger["last_index"])
    anon = walks["kind"] == rmap.KINDS.index("anon")
    # A child's copy hangs on the child's own anon_vma; what the parent left hangs on the root.
    mask: npt.NDArray[np.bool_] = within & anon & (walks["map"] != walks["root"])
    return mask


def fork_storm(records: Records, ledger: Mapping[str, Any]) -> Iterator[Agreement]:
    """
    Yield the rules of anon_vma chains (commit 5beb49305251) for a storm that copied every page.

    A reference walk of a child's page enters that child's VMA and no other, and the pages of each
    child hang on an anon_vma of their own.
    """
    walks = records["walk"]
    reference = walks["op"] == _op("reference")
    bailed = (walks["flags"] & events.WALK_BAILED) != 0
    child = walks[child_pages(walks, ledger) & reference & ~bailed]
    entered_one = int((child["vmas"] == 1).sum())
    yield _equal(
        "an uncontended reference walk of a child's page enters 1 VMA",
        "walks",
        len(child),
        entered_one,
    )
    yield _equal(
        "each child's pages hang on an anon_vma of their own",
        "anon_vmas",
        ledger["children"],
        len(np.unique(child["map"])),
    )
    rule = "no more pages of children are walked than the ledger has"
    pages = len(np.unique(child[["map", "index"]]))
    yield _at_most(rule, "pages", ledger["children"] * ledger["pages"], pages)


def _op(name: str) -> int:
    return next(number for number, op in enumerate(rmap.OPS) if op.name == name)


_OF_SCENARIO = MappingProxyType({"fork_storm": fork_storm})
