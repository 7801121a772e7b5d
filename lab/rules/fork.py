"""The rules of fork: what children are born with, and how long the chains of anon_vmas grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...model.scenarios import chains_copied
from ...probes.events import NOT_KNOWN
from .row import Agreement, Run, equal, none_of, unless, untold

LINKED = ("anon", "written")
"""Kinds of VMA that have an anon_vma: their page tables are copied (vma_needs_copy())."""

NOT_IN_CHILDREN = ("left",)
EMPTY_IN_CHILDREN = ("wiped",)
_ENOMEM = -12
_UNTOLD = {
    "vmas": "a fork failed",
    "links": "the length of chains is not seen",
    "pages": "more CPUs than are summed at a fork",
}
"""Why a fork does not tell this."""


def fork_dup(run: Run) -> Iterator[Agreement]:
    """Yield: forks copy the VMAs, links and pages that the ledger names, and nothing else."""
    forks, ledger = run.records["fork"], run.ledger
    yield from _born(forks, ledger)
    yield from _copied(ledger)
    yield from _generations(run)
    yield from _failures(run)


def _born(forks: npt.NDArray[np.void], ledger: Mapping[str, Any]) -> Iterator[Agreement]:
    """Yield: what the child of more VMAs is born with, more than the one of fewer."""
    bare, full = (forks[forks["child"] == ledger[which]] for which in ("bare", "full"))
    yield equal("forks of the two children", "forks", 2, len(bare) + len(full))
    if len(bare) != 1 or len(full) != 1:
        return
    rows = ledger["vmas"]
    linked = [row for row in rows if row["kind"] in LINKED]
    copied = sum(row["vmas"] for row in rows if row["kind"] not in NOT_IN_CHILDREN)
    links = sum(row["vmas"] for row in linked)
    for name, what, unit, predicted in (
        ("vmas", "VMAs that the child is born with", "VMAs", copied),
        ("linked", "VMAs that are linked to an anon_vma", "VMAs", links),
        ("links", "links to anon_vmas that are copied", "links", links),
        ("pages", "pages that the child is born with", "pages", sum(r["pages"] for r in linked)),
    ):
        more, fewer = int(full[name][0]), int(bare[name][0])
        if more < 0 or fewer < 0:
            yield untold(what, unit, _UNTOLD[name])
        else:
            yield equal(what, unit, predicted, more - fewer)


def _copied(ledger: Mapping[str, Any]) -> Iterator[Agreement]:
    """Yield: by the child's own pagemap it has the pages of linked VMAs, and no others."""
    for row in ledger["vmas"]:
        rule = f"pages of {row['kind']} VMAs in the child's /proc/self/pagemap"
        if row["kind"] in LINKED:
            yield equal(rule, "pages", row["pages"], row["born"])
        else:
            yield none_of(rule, "pages", row["born"], bool(row["pages"]))


def _generations(run: Run) -> Iterator[Agreement]:
    """Yield: the longest chain that each generation's fork copies, and who maps the page."""
    forks, ledger, semantics = run.records["fork"], run.ledger, run.semantics
    for which, how in (("alive", "live on"), ("gone", "are gone")):
        children = ledger[which]
        chains = chains_copied(semantics, len(children), alive=which == "alive")
        told = {int(fork["child"]): int(fork["longest"]) for fork in forks}
        right = sum(told.get(pid) == links for pid, links in zip(children, chains, strict=True))
        rule = f"chains copied while earlier generations {how}: {_told(chains)}"
        unseen = all(told.get(pid) == NOT_KNOWN for pid in children)
        row = equal(rule, "forks", len(children), right)
        yield from unless(_UNTOLD["links"] if unseen and children else "", [row])
    everyone = len(ledger["alive"]) + 1
    mapped = sum(count == everyone for count in ledger["mappings"])
    rule = f"pages that {everyone} generations map, by /proc/kpagecount"
    yield equal(rule, "pages", ledger["pages"], mapped)


def _told(chains: list[int]) -> str:
    return ", ".join(map(str, chains))


def _failures(run: Run) -> Iterator[Agreement]:
    """Yield: forks that failed for want of memory, in events and by what the steps returned."""
    forks, failures = run.records["fork"], run.ledger["failures"]
    ours = forks[(forks["tgid"] == run.ledger["parent"]) & (forks["returned"] == _ENOMEM)]
    yield equal("forks that failed for want of memory", "forks", failures, len(ours))
    if run.sample.forks is None:
        return
    for step in ("copy_process", "dup_mmap"):
        rule = f"{step} returned -ENOMEM"
        if (step, "ENOMEM") in run.sample.forks.errors:
            yield equal(rule, "calls", failures, run.sample.forks.errors[step, "ENOMEM"])
        else:
            yield untold(rule, "calls", f"{step} is inlined in this kernel")
