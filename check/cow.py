"""Copy on write: what becomes of a page is one of what the model knows."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import numpy as np

from ..kernels.semantics import Semantics
from ..model.cow import CowOutcome, outcomes
from ..probes.cow import OUTCOMES, PAGES
from .context import Context
from .verdict import Claim, Columns, Found, Rule, judge

OUTCOME = Rule(
    "copy on write: the outcome is one that the model knows",
    "writes",
    "cow",
    "mm/memory.c, do_wp_page(); commit c44b674323f4",
    "a write to a page of KSM, or of a file in a private mapping, copies it; one to an anonymous"
    " page copies it or writes in place, and moves it to its last owner's anon_vma only on kernels"
    " that have this; writes that are to be tried again are left out",
)
RULES = (OUTCOME,)

_NAMES = {
    CowOutcome.COPY: "copied",
    CowOutcome.REUSE: "reused",
    CowOutcome.REUSE_AND_MOVE: "moved",
}


def writes(context: Context, all_writes: Columns) -> Iterator[Found]:
    """Yield what the rule finds in writes to write-protected pages."""
    may = possible(context.semantics)
    known = np.array([[outcome in may[page] for outcome in OUTCOMES] for page in PAGES])
    pages, told = all_writes["page"], all_writes["outcome"]

    def tell(at: int) -> tuple[str, str]:
        page = PAGES[pages[at]]
        return f"{page}: {' or '.join(sorted(may[page]))}", OUTCOMES[told[at]]

    held = told != OUTCOMES.index("other")
    yield judge(Claim(OUTCOME, all_writes, known[pages, told], held), tell)


@functools.cache
def possible(semantics: Semantics) -> Mapping[str, frozenset[str]]:
    """Return what a write can end in, by the kind of page; in a shared mapping it is shared."""
    states = {"anon": {}, "ksm": {"ksm": True}, "file": {"anon": False}, "special": {"anon": False}}
    found = {
        page: frozenset(_NAMES[outcome] for outcome in outcomes(semantics, **state))
        for page, state in states.items()
    }
    mapped = {"file": frozenset(["shared"]), "special": frozenset(["shared"])}
    return {page: names | mapped.get(page, frozenset()) for page, names in found.items()}
