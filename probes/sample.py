"""A Sample: what the probes had counted at one moment, raw and cumulative, all CPUs summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Attachment:
    """A probe that is attached: where, how, and why so."""

    probe: str
    symbol: str
    mechanism: str
    reason: str


@dataclass(frozen=True)
class Account:
    """
    What became of the calls of one probe point; None for what it does not watch.

    ``entries``: calls that began. ``exits``: calls followed to their end. ``in_flight``: calls
    begun and not over. ``missed``: calls that began and could not be followed: ``collided`` found
    their slot taken by another thread, ``stale`` had an exit that the kernel did not report, and
    ``recursion`` is what the kernel says it ran no program for (None where it does not say).
    entries = exits + in_flight + missed, exactly, once the probes are quiet.
    ``unmatched``: exits without a known entry, such as of calls begun before the probes were there.
    """

    entries: int | None
    exits: int | None
    in_flight: int | None
    missed: int | None
    recursion: int | None
    collided: int | None = None
    stale: int | None = None
    unmatched: int | None = None


@dataclass(frozen=True)
class WalkCounts:
    """
    Walks of one op and kind. Slots are those of `probes.state`.

    ``vmas`` and ``vmas_slots`` are None where the op's callbacks are not all watched. ``ptes`` sums
    the walks whose number is known: as many as ``ptes_slots`` counts; None where none can be.
    ``looked_at``: VMAs found in the trees, of use or not; None where that is not watched.
    """

    walks: int
    bailouts: int
    ns: int
    vmas: int | None
    ptes: int | None
    ns_slots: tuple[int, ...]
    vmas_slots: tuple[int, ...] | None
    ptes_slots: tuple[int, ...] | None
    looked_at: int | None = None


@dataclass(frozen=True)
class BatchCounts:
    """
    Batches of reclaim of one caller and reclaimer; all but ``batches`` and ``ns`` in base pages.

    ``stats`` and ``activated`` are what the kernel's own `struct reclaim_stat` says, ``decided``
    what was seen of the reference checks. The last three count batches in which the two contradict
    each other: KEEP is not nr_ref_keep, ACTIVATE is above nr_activate, or more was reclaimed than
    was let go. All from ``stats`` on is None where nobody sees it at a batch's end.
    """

    batches: int
    ns: int
    ns_slots: tuple[int, ...]
    reclaimed: int
    stats: Mapping[str, int] | None = None
    activated: Mapping[str, int] | None = None
    decided: Mapping[str, int] | None = None
    keep_differs: int | None = None
    activate_exceeds: int | None = None
    reclaimed_exceeds: int | None = None


@dataclass(frozen=True)
class CallCounts:
    """Calls, and the wall time from their beginning to their end."""

    calls: int
    ns: int
    ns_slots: tuple[int, ...]


@dataclass(frozen=True)
class IsolationCounts:
    """Times that pages were isolated from a list; pages looked at for it, and taken."""

    isolations: int
    scanned: int
    taken: int


@dataclass(frozen=True)
class ShrunkCounts:
    """Lists of isolated pages that the kernel reports on: pages scanned for them, and reclaimed."""

    lists: int
    scanned: int
    reclaimed: int


@dataclass(frozen=True)
class DeactivationCounts:
    """Reports on active lists: pages taken off, put back as active, and made inactive."""

    lists: int
    taken: int
    activated: int
    deactivated: int


@dataclass(frozen=True)
class KsmCounts:
    """
    What KSM did. ``pages`` by `probes.ksm.PAGES`, without "cow" where nobody sees what is mapped
    when a write faults; ``swapins`` by `probes.ksm.SWAPINS`.

    ``begun``: passes of ksmd, None where they are not watched; ``scans``: those that are over,
    ksmd's sleeps inside them included; None where the kernel does not report their end.
    """

    pages: Mapping[str, int]
    swapins: Mapping[str, int]
    begun: int | None
    scans: CallCounts | None


@dataclass(frozen=True)
class FailureCounts:
    """
    Memory failures. ``handled`` by `probes.memory_failure.HANDLERS`, and "collect_procs" for the
    walks that find who maps a page; ``errors``: calls of handlers that returned one; ``actions`` by
    (page type, result), named as the kernel names them, in small letters; ``signals`` by (signal,
    si_code).
    """

    handled: Mapping[str, CallCounts]
    errors: Mapping[str, int]
    actions: Mapping[tuple[str, str], int]
    signals: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class MigrationCounts:
    """
    Calls of `migrate_pages`. ``succeeded`` and ``failed`` are base pages, ``split`` huge pages, as
    the kernel reports them; None where that is not watched.
    """

    calls: int
    ns: int
    ns_slots: tuple[int, ...]
    succeeded: int | None
    failed: int | None
    split: int | None


@dataclass(frozen=True)
class CloneCounts:
    """
    Chains of anon_vmas copied from one VMA to another, and the wall time of it.

    ``links``: of the chains whose length is known, as many as ``links_slots`` counts: those of
    calls that failed are not, nor chains longer than `probes.fork.CHAIN_LIMIT`. Both are None where
    nobody sees it.
    """

    calls: int
    ns: int
    ns_slots: tuple[int, ...]
    links: int | None
    links_slots: tuple[int, ...] | None


@dataclass(frozen=True)
class ForkCounts:
    """
    Forks that copy memory: new threads are none. Steps that this kernel does not show are absent.

    ``steps`` by `probes.fork.STEPS`; ``errors`` by (step, error), of what failed; ``clones`` by
    `probes.fork.CLONERS`. ``vmas`` and ``pages``: what children were born with, swap entries
    included; None where the pages of a fork could not be summed.
    """

    steps: Mapping[str, CallCounts]
    errors: Mapping[tuple[str, str], int]
    clones: Mapping[str, CloneCounts]
    vmas: int
    pages: int | None


@dataclass(frozen=True)
class CowCounts:
    """
    Writes to write-protected pages: ``faults`` by (page, outcome), ``calls`` by outcome
    (`probes.cow.PAGES`, `probes.cow.OUTCOMES`).

    Without the probe `cow_move`, "moved" is absent, and what moved is among the reused. Where the
    page table is not looked at, page and outcome are `probes.cow.UNSEEN`.
    """

    faults: Mapping[tuple[str, str], int]
    calls: Mapping[str, CallCounts]


@dataclass(frozen=True)
class EventCounts:
    """Events of one type: produced by the probes, lost for want of room, received by the reader."""

    produced: int
    lost: int
    received: int


@dataclass(frozen=True)
class MapCounts:
    """
    Walks of the pages of one map: an anon_vma tree, a file or a KSM page.

    ``born``: tells an entry from a later one of the same map. ``vmas``: entered; None where a walk
    does not tell. ``longest_ns``: of all walks so far. ``processes``: different ones whose address
    space a walk entered first; ``owner`` of those the one most often, ``command`` its name; None
    where nobody knows.
    """

    born: int
    walks: int
    vmas: int | None
    ns: int
    longest_ns: int
    processes: int
    owner: int | None
    command: str | None


@dataclass(frozen=True)
class PayerCounts:
    """Walks that threads of one name made, and their wall time."""

    walks: int
    ns: int


@dataclass(frozen=True)
class RunCounts:
    """Runs of a probe's programs, and their time in ns, without what it takes to call them."""

    runs: int
    ns: int


@dataclass(frozen=True)
class RuleCounts:
    """How often a rule of `rmapwatch check` was held, and mismatches that nothing explains."""

    checks: int
    mismatches: int


@dataclass(frozen=True)
class Overhead:
    """
    What the probes cost, and what is done about it.

    ``share``: of the time of all CPUs, as estimated at the last look; None before the first.
    ``bound``: what it should not exceed. ``states``: 1 for the state of `probes.governor` that is,
    0 for the others. ``costs``: ns of the programs of a walk (call), of a VMA (step), and of a VMA
    that is not counted (skipped), as measured; empty where they are assumed.
    """

    bound: float
    share: float | None
    states: Mapping[str, int]
    costs: Mapping[str, float]


@dataclass(frozen=True)
class Sample:
    """
    One reading of the kernel's cumulative state.

    ``time_ns``: CLOCK_MONOTONIC. ``quiet``: two readings in a row agreed, so that nothing moved
    while this one was taken. ``walks`` by (op, kind); ``references`` by (caller, lru, result);
    ``decisions`` by (lru, decision); ``batches`` by (caller, reclaimer); ``stalls`` (calls for
    memory) by reclaimer; ``ages`` (calls that make pages older) by ager. What the kernel reports by
    itself, empty or None where that is not watched: ``isolations`` by (algorithm, list), ``shrunk``
    by algorithm, ``deactivation``. ``runs`` by probe since it was attached, empty unless the kernel
    counts them (sysctl kernel.bpf_stats_enabled). ``ksm``, ``failures``, ``forks`` and ``cow`` are
    None where they are not watched. ``migrations`` by reason, as the kernel names it, in small
    letters; ``lock_waits`` by (lock, mode, inside of what); both empty where they are not watched.
    ``model``: by rule, empty where no check goes on beside. Summed from events, empty where nobody
    follows them: ``maps`` by (kind, id), the id "" for those that are not told apart; ``payers`` by
    (command, reclaimer, cgroup that is reclaimed), the last two "" outside of reclaim.
    ``sampling``: the share of walks whose VMAs are counted now, taken by chance; None where no
    program does that. ``overhead``: None where no governor is at work.
    """

    time_ns: int
    quiet: bool
    backend: str
    release: str
    attached: tuple[Attachment, ...]
    unavailable: Mapping[str, str]
    accounts: Mapping[str, Account]
    walks: Mapping[tuple[str, str], WalkCounts]
    references: Mapping[tuple[str, str, str], int]
    decisions: Mapping[tuple[str, str], int]
    batches: Mapping[tuple[str, str], BatchCounts]
    stalls: Mapping[str, CallCounts]
    ages: Mapping[str, CallCounts]
    isolations: Mapping[tuple[str, str], IsolationCounts]
    shrunk: Mapping[str, ShrunkCounts]
    deactivation: DeactivationCounts | None
    events: Mapping[str, EventCounts]
    stray_steps: int
    runs: Mapping[str, RunCounts] = field(default_factory=dict)
    ksm: KsmCounts | None = None
    failures: FailureCounts | None = None
    migrations: Mapping[str, MigrationCounts] = field(default_factory=dict)
    lock_waits: Mapping[tuple[str, str, str], CallCounts] = field(default_factory=dict)
    forks: ForkCounts | None = None
    cow: CowCounts | None = None
    model: Mapping[str, RuleCounts] = field(default_factory=dict)
    maps: Mapping[tuple[str, str], MapCounts] = field(default_factory=dict)
    payers: Mapping[tuple[str, str, str], PayerCounts] = field(default_factory=dict)
    sampling: float | None = None
    overhead: Overhead | None = None

    def missed(self, probe: str) -> int:
        """Return the calls that a probe is known to have missed; 0 where it is not watched."""
        account = self.accounts.get(probe)
        return (account.missed or 0) if account else 0
