"""What collectors return: values derived from Samples, ready for a screen, JSON or a scrape."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WalkReading:
    """
    Walks of one op and kind over a window; None where the kernel or the probes do not tell.

    ``vmas``: VMAs entered; ``ptes``: page-table entries found, changed or restored; ``seconds``:
    wall time inside walks; ``looked_at``: VMAs found on the way, of use or not; ``p50`` and
    ``p99``: seconds a walk, interpolated in log2 slots.
    """

    op: str
    kind: str
    walks: int
    vmas: int | None
    ptes: int | None
    seconds: float
    p50: float | None
    p99: float | None
    vmas_p99: float | None
    bailouts: int | None
    looked_at: int | None = None


@dataclass(frozen=True)
class MapReading:
    """
    Walks over a window of the pages of one map: an anon_vma tree, a file or a KSM page.

    ``map``: an id without a meaning of its own, "" for all that are not told apart. ``owner`` and
    ``command``: the process whose address space walks entered first most often, of ``processes``
    different ones. ``longest``: the longest walk so far, in seconds.
    """

    kind: str
    map: str
    owner: int | None
    command: str | None
    processes: int
    walks: int
    vmas: int | None
    seconds: float
    longest: float


@dataclass(frozen=True)
class PayerReading:
    """
    Walks over a window that threads called ``command`` made, and their wall time.

    ``reclaimer``: on whose behalf they reclaimed; "" where they did not. ``cgroup``: the one that
    was reclaimed; "" for the whole machine.
    """

    command: str
    reclaimer: str
    cgroup: str
    walks: int
    seconds: float


@dataclass(frozen=True)
class ReferenceReading:
    """Reference checks over a window: who asked, of which LRU, and how many VMAs had used it."""

    caller: str
    lru: str
    result: str
    checks: int


@dataclass(frozen=True)
class BatchReading:
    """
    Batches of reclaim over a window: who asked, on whose behalf; pages are base pages.

    ``reclaimed`` were freed; ``activated``, ``kept`` (referenced once), ``unmap_failed``, ``dirty``
    and ``writeback`` are the kernel's own account of the rest, None where it is not seen;
    ``seconds`` is wall time in batches.
    """

    caller: str
    reclaimer: str
    batches: int
    reclaimed: int
    activated: int | None
    kept: int | None
    unmap_failed: int | None
    dirty: int | None
    writeback: int | None
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class DecisionReading:
    """Decisions of the reference check over a window, as seen by their effect."""

    lru: str
    decision: str
    checks: int


@dataclass(frozen=True)
class StallReading:
    """Calls for memory over a window, and the wall time that the callers spent in them."""

    reclaimer: str
    calls: int
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class IsolationReading:
    """Pages taken off a list over a window, as the kernel itself reports it, by LRU."""

    algorithm: str
    list: str
    isolations: int
    scanned: int
    taken: int


@dataclass(frozen=True)
class AgeReading:
    """Calls over a window that make pages older, and the wall time in them."""

    ager: str
    calls: int
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class KsmReading:
    """Mergeable pages over a window: what happened to them (`probes.ksm.PAGES`)."""

    event: str
    pages: int


@dataclass(frozen=True)
class SwapinReading:
    """Pages swapped in over a window: mapped as they are, or a copy (`probes.ksm.SWAPINS`)."""

    outcome: str
    pages: int


@dataclass(frozen=True)
class ScanReading:
    """Passes of ksmd that ended in a window, and their wall time, its sleeps included."""

    passes: int
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class FailureReading:
    """Memory failures over a window, by what the page was and what came of it."""

    page_type: str
    result: str
    failures: int


@dataclass(frozen=True)
class HandlerReading:
    """
    Calls over a window to handle a failure, or a page before it fails, or to find who maps it.

    ``errors``: calls that returned one; None where the call has no result.
    """

    handler: str
    calls: int
    errors: int | None
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class SignalReading:
    """Signals to processes that map a failed page, over a window."""

    signal: str
    code: str
    signals: int


@dataclass(frozen=True)
class MigrationReading:
    """
    Calls over a window to move pages for one reason, and the wall time in them.

    ``succeeded`` and ``failed``: base pages, ``split``: huge pages, as the kernel reports them;
    None where it does not.
    """

    reason: str
    calls: int
    succeeded: int | None
    failed: int | None
    split: int | None
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class ForkReading:
    """
    A step of forks over a window: `copy_process` is the whole of a fork, the others lie inside it.

    ``errors``: calls that failed.
    """

    step: str
    calls: int
    errors: int
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class LockReading:
    """Waits over a window for a lock of the reverse map, and how long they took."""

    lock: str
    mode: str
    during: str
    waits: int
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class BirthReading:
    """
    What children were born with over a window.

    ``pages``: with swap entries; None where they could not be summed.
    """

    vmas: int
    pages: int | None


@dataclass(frozen=True)
class CloneReading:
    """
    Chains of anon_vmas copied over a window, by fork, or by another that makes a VMA of a VMA.

    ``links``: what they were long, together; ``links_p99``: what 99 % of them do not exceed; None
    where nobody sees it.
    """

    cloner: str
    calls: int
    links: int | None
    links_p99: float | None
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class CowReading:
    """Writes to write-protected pages over a window: what was mapped, and what became of it."""

    page: str
    outcome: str
    faults: int


@dataclass(frozen=True)
class CowTimeReading:
    """Wall time over a window of writes to write-protected pages, by what became of them."""

    outcome: str
    faults: int
    seconds: float
    p99: float | None


@dataclass(frozen=True)
class ProbeReading:
    """
    A probe point: where and how it is attached, and what became of its calls so far.

    The last four say what ``missed`` is made of, and ``unmatched`` what it is not: see
    `probes.sample.Account`.
    """

    probe: str
    attached: str | None
    mechanism: str | None
    reason: str
    entries: int | None
    exits: int | None
    in_flight: int | None
    missed: int | None
    collided: int | None
    stale: int | None
    recursion: int | None
    unmatched: int | None


@dataclass(frozen=True)
class EventReading:
    """Events of one type so far: produced = received + lost once the ring is drained."""

    event: str
    produced: int
    received: int
    lost: int
