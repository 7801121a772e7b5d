"""
The two-list LRU of file pages: what a stream of pages used once does to a working set.

Source: shrink_active_list() and shrink_inactive_list(), mm/vmscan.c. Pages are mapped and used
through page tables; the decision about each is `references.page_check_references`. Swap, the
dirty state, refault distances (since v3.15) and MGLRU are left out.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from ..kernels.semantics import Semantics
from .references import Decision, ReferenceCheck, page_check_references

# How many pages one call of shrink_*_list() takes from a list (include/linux/swap.h).
SWAP_CLUSTER_MAX = 32


@dataclass(frozen=True)
class Stream:
    """
    The workload, in pages: each round uses the whole working set once, the stream between.

    ``memory``: page frames for all of it. ``warm_up``: rounds without the stream before it
    starts. ``stream``: new pages a round, each used exactly once.
    """

    memory: int = 1000
    working_set: int = 300
    stream: int = 600
    rounds: int = 16
    warm_up: int = 3


@dataclass(frozen=True)
class Survival:
    """
    What became of the working set.

    ``survivors``: its pages that stayed in memory for the second half of the streaming rounds.
    ``refaults``: how often a page of it had to be read again, one value a streaming round.
    ``resident``: how many of its pages were in memory when the round began, likewise.
    ``activated_stream``: stream pages that were activated.
    """

    survivors: tuple[int, ...]
    refaults: tuple[int, ...]
    resident: tuple[int, ...]
    activated_stream: int


@dataclass
class _Lists:
    """Both lists, tail first, from page to its PG_referenced."""

    free: int
    inactive: OrderedDict[int, bool] = field(default_factory=OrderedDict)
    active: OrderedDict[int, bool] = field(default_factory=OrderedDict)
    young: set[int] = field(default_factory=set)
    activated: set[int] = field(default_factory=set)


def survive(semantics: Semantics, load: Stream) -> Survival:
    """
    Return which pages of the working set survive the stream.

    Stream pages are numbered from `load.working_set` on.
    """
    lists = _Lists(load.memory)
    wanted = range(load.working_set)
    for _ in range(load.warm_up):
        _use_all(semantics, lists, wanted)
    resident, missed, next_page = [], [], load.working_set
    for _ in range(load.rounds):
        resident.append(sum(_present(lists, page) for page in wanted))
        missed.append(_round(semantics, lists, load, next_page))
        next_page += load.stream
    lost = set().union(*missed[load.rounds // 2 :])
    survivors = tuple(page for page in wanted if page not in lost and _present(lists, page))
    activated = sum(page >= load.working_set for page in lists.activated)
    return Survival(survivors, tuple(map(len, missed)), tuple(resident), activated)


def _use_all(semantics: Semantics, lists: _Lists, pages: range) -> set[int]:
    """Use each page once; return those that were not in memory."""
    return {page for page in pages if _use(semantics, lists, page)}


def _round(semantics: Semantics, lists: _Lists, load: Stream, next_page: int) -> set[int]:
    """Use the working set in order, the new pages spread evenly between; return what missed."""
    missed, streamed = set(), 0
    for page in range(load.working_set):
        missed |= _use_all(semantics, lists, range(page, page + 1))
        until = load.stream * (page + 1) // load.working_set
        _use_all(semantics, lists, range(next_page + streamed, next_page + until))
        streamed = until
    return missed


def _present(lists: _Lists, page: int) -> bool:
    return page in lists.inactive or page in lists.active


def _use(semantics: Semantics, lists: _Lists, page: int) -> bool:
    """Use a page through its PTE; return whether it had to be read first."""
    missing = not _present(lists, page)
    if missing:
        while lists.free == 0:
            _shrink(semantics, lists)
        lists.free -= 1
        lists.inactive[page] = False
    lists.young.add(page)
    return missing


def _shrink(semantics: Semantics, lists: _Lists) -> None:
    """Take one batch from each list, the active one only if it is the longer."""
    if len(lists.active) > len(lists.inactive):
        _shrink_active_list(lists)
    for page in list(lists.inactive)[:SWAP_CLUSTER_MAX]:
        _shrink_inactive_page(semantics, lists, page)


def _shrink_active_list(lists: _Lists) -> None:
    """Deactivate the oldest: a file page that is not executable gets no second trip."""
    for page in list(lists.active)[:SWAP_CLUSTER_MAX]:
        lists.young.discard(page)
        lists.inactive[page] = lists.active.pop(page)


def _shrink_inactive_page(semantics: Semantics, lists: _Lists, page: int) -> None:
    check = ReferenceCheck(int(page in lists.young), page_referenced=lists.inactive[page])
    outcome = page_check_references(semantics, check)
    lists.young.discard(page)
    del lists.inactive[page]
    if outcome.decision is Decision.ACTIVATE:
        lists.activated.add(page)
        lists.active[page] = outcome.page_referenced
    elif outcome.decision is Decision.KEEP:
        lists.inactive[page] = outcome.page_referenced
    else:
        lists.free += 1
