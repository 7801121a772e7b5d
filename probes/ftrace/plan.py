"""
What is written to tracefs, in order, and what the events carry. Pure.

The probe points and their handlers are those of the catalogue; an event has to carry what its
handler needs, since nothing else of the kernel's memory can be seen. What lies in memory at the end
of a call cannot be: a kretprobe has the result alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...errors import NothingAttachedError
from ...kernels.facts import KernelFacts
from .. import catalogue, events, rmap
from ..resolve import Candidate, Unavailable, resolve
from ..source import offset_of
from ..spec import ProbePoint
from .clean import GROUP, INSTANCE
from .follow_fork import COUNTERS

LADDER = (("kprobe", "kretprobe"),)
CLOCK = "mono"
"""CLOCK_MONOTONIC, as everywhere else."""

MAXACTIVE = 512
"""Calls of a function that may be under way at once; a call beyond them has no exit."""

USUAL_KB = 4096
"""Of each CPU's buffer: some 100,000 walks."""

_ALL_KB, _LEAST_KB = 1 << 18, 256
_ARGUMENT = "$arg{}"


@dataclass(frozen=True)
class Value:
    """
    What an event carries: ``fetch`` in the words of Documentation/trace/kprobetrace.rst, with the
    catalogue's arguments and members in braces.

    ``optional``: some sources have no such argument, or kernels no such member; ``lost``: what is
    not known without it.
    """

    name: str
    fetch: str
    ctype: str = "x64"
    optional: bool = False
    lost: str = ""


def _told(name: str, fetch: str, ctype: str = "x64") -> Value:
    """Return what only a recording tells, which may be asked for at any time."""
    return Value(name, fetch, ctype, optional=True)


def _counters() -> Iterator[Value]:
    """Yield the counters of what a child maps; those of which each CPU has a part are no such."""
    lost = "the pages of children are not seen: each CPU has a part of their number"
    for number, name in enumerate(COUNTERS):
        fetch = f"+{{RSS_{number}}}(+{{TASK_MM}}($retval))"
        yield Value(name, fetch, "s64", optional=True, lost="" if number else lost)


CARRIED: Mapping[str, tuple[Value, ...]] = {
    "walk_enter": (
        Value("folio", "{folio}"),
        Value("one", "+{RWC_ONE}({rwc})"),
        Value("arg", "+{RWC_ARG}({rwc})"),
        _told("locked", "{locked}", "u8"),
        _told("filter", "+{RWC_INVALID_VMA}({rwc})"),
        _told("flags", "+{FOLIO_FLAGS}({folio})"),
        _told("count", "+{FOLIO_MAPCOUNT}({folio})", "s32"),
        _told("large_count", "+{LARGE_MAPCOUNT}({folio})", "s32"),
        _told("large_pages", "+{LARGE_NR_PAGES}({folio})", "u32"),
        _told("mapping", "+{FOLIO_MAPPING}({folio})"),
        _told("root", "+{ANON_VMA_ROOT_OF_ANON}(+{FOLIO_MAPPING}({folio}))"),
        _told("index", "+{FOLIO_INDEX}({folio})"),
        _told("given_index", "{index}"),
        _told("restored_from", "+{RESTORED_FROM}(+{RWC_ARG}({rwc}))"),
        _told("pages_at", "@vmemmap_base"),
        _told("comm", "$comm", "string"),
    ),
    "walk_exit": (),
    "step": (),
    "reference_enter": (
        Value("flags", "+{FOLIO_FLAGS}({folio})"),
        Value("is_locked", "{is_locked}", "s32"),
        _told("folio", "{folio}"),
        _told("large_pages", "+{LARGE_NR_PAGES}({folio})", "u32"),
        _told("index", "+{FOLIO_INDEX}({folio})"),
        _told("pages_at", "@vmemmap_base"),
    ),
    "reference_exit": (Value("ret", "$retval", "s32"),),
    "reclaim_enter": (
        Value("options", "{options}", "u8", optional=True),
        Value("khugepaged", "@khugepaged_thread", optional=True),
        Value("khugepaged_tid", "+{TASK_TGID}(@khugepaged_thread)", "s32", optional=True),
    ),
    "reclaim_exit": (),
    "shrink_enter": (Value("comm", "$comm", "string"),),
    "shrink_exit": (),
    "age_enter": (),
    "age_exit": (),
    "batch_enter": (),
    "batch_exit": (Value("ret", "$retval", "u32"),),
    "reported_isolate": (),
    "reported_shrink_inactive": (),
    "reported_shrink_active": (),
    "ksm_scan": (),
    "ksm_scan_end": (),
    "ksm_merge": (Value("ret", "$retval", "s32"),),
    "ksm_append": (
        Value("items", "+{NODE_ITEMS}({node})"),
        _told("pfn", "+{NODE_PFN}({node})"),
    ),
    "ksm_remove_enter": (Value("address", "+{ITEM_ADDRESS}({item})"),),
    "ksm_remove_exit": (),
    "ksm_remove_node": (Value("length", "+{NODE_LENGTH}({node})", "s32"),),
    "ksm_swapin_enter": (Value("folio", "{folio}"), _told("pages_at", "@vmemmap_base")),
    "ksm_swapin": (Value("ret", "$retval"),),
    "failure_enter": (_told("pfn", "{pfn}"), _told("flags", "{flags}", "u32")),
    "failure_exit": (Value("ret", "$retval", "s32"),),
    "action": (Value("type", "{type}", "u32"), Value("result", "{result}", "u32")),
    "collect_enter": (),
    "collect_exit": (),
    "victim": (),
    "mceerr": (
        Value("code", "{code}", "s32"),
        _told("address", "{address}"),
        _told("lsb", "{lsb}", "u16"),
        _told("task", "{task}"),
        _told("target", "+{TASK_TGID}({task})", "s32"),
    ),
    "migrate_enter": (Value("reason", "{reason}", "u32"), _told("mode", "{mode}", "u32")),
    "migrate_exit": (_told("ret", "$retval", "s32"),),
    "migrate_report": (),
    "wait_enter": (
        Value("lock", "{lock}"),
        Value("root", "{ROOT_BESIDE_LOCK}({lock})"),
        Value("host", "{HOST_BESIDE_LOCK}({lock})"),
        _told("comm", "$comm", "string"),
    ),
    "wait_exit": (Value("ret", "$retval"),),
    "fork_enter": (Value("flags", "+{CLONE_ARGS_FLAGS}({clone_args})"),),
    "fork_exit": (
        Value("ret", "$retval"),
        Value("child", "+{TASK_PID}($retval)", "s32"),
        _told("process", "+{TASK_TGID}($retval)", "s32"),
        Value("mm", "+{TASK_MM}($retval)"),
        Value("vmas", "+{MM_MAP_COUNT}(+{TASK_MM}($retval))", "s32"),
        *_counters(),
    ),
    "mmap_enter": (),
    "mmap_exit": (Value("ret", "$retval", "s32"),),
    "vma_enter": (),
    "vma_exit": (Value("ret", "$retval", "s32"),),
    "clone_enter": (
        Value("dst_mm", "+{VMA_MM}({dst})"),
        Value("src_mm", "+{VMA_MM}({src})"),
    ),
    "clone_exit": (Value("ret", "$retval", "s32"),),
    "cow_enter": (),
    "cow_exit": (),
}
"""Per handler what its events carry; those that the kernel reports carry what it reports."""

ENTERED_FOR_ITS_EXIT = {
    "reference_exit(&a)": "reference_enter(&a)",
    "ksm_swapin(&a)": "ksm_swapin_enter(&a)",
}
"""A kretprobe sees no arguments: what such an exit needs of them is taken by an entry."""

NOT_SEEN: Mapping[str, str] = {
    "reclaim_unmap": "the decision that it tells of is seen in the folio's flags afterwards",
    "cow_move": "what becomes of a write is not seen",
    **dict.fromkeys(rmap.LOOKS, "an event per VMA that a walk looks at would fill every buffer"),
}
"""Why this backend has no use for a point that others watch."""

LOST: Mapping[str, str] = {
    "walk_exit": "page-table entries are not seen",
    "reference_exit": "flags and decisions are not seen",
    "batch_exit": "a batch's own account is not seen, and recordings tell of none: who walks in one"
    " is told, and not on whose behalf",
    "clone_exit": "the length of chains is not seen",
    "cow_exit": "the page table is not seen: neither whose page it is nor what becomes of it, and"
    " recordings tell of none",
}
"""By handler of a call's end, what it would have to read from memory."""

TOLD = tuple(event for event in events.EVENTS if event not in ("batch", "cow"))
"""The types of event that recordings hold: of the others all that matters lies in memory."""

STEPS = "not by ftrace, unless every VMA is asked for (--steps)"

_CALL = re.compile(r"(\w+)\(&a(?:, (\w+))?\)")


@dataclass(frozen=True)
class Side:
    """
    One event: ``call`` and ``constant`` are its handler's, ``fetches`` what it carries by name, as
    it is written; of what the kernel reports, the names of its fields.
    """

    probe: str
    symbol: str
    mechanism: str
    call: str
    constant: str
    name: str
    fetches: Mapping[str, str]

    @property
    def carried(self) -> dict[str, str]:
        """Return the names of what it carries: ours to the event's."""
        if self.mechanism == "tracepoint":
            return dict(self.fetches)
        return {name: name for name in self.fetches}

    @property
    def path(self) -> str:
        """Return its folder below `events`."""
        if self.mechanism == "tracepoint":
            return self.symbol.replace(":", "/")
        return f"{GROUP}{self.name.rpartition('_')[2]}/{self.name}"


@dataclass(frozen=True)
class Write:
    """A line to be written to a file of tracefs; without one, ``path`` is a folder to be made."""

    path: str
    line: str | None = None

    def shell(self) -> str:
        """Return it as a shell would do it there."""
        if self.line is None:
            return f"mkdir {self.path}"
        return f"echo '{self.line}' {'>>' if self.path == 'kprobe_events' else '>'} {self.path}"


def resolve_all(
    asked: Iterable[str], facts: KernelFacts
) -> tuple[list[Candidate], list[Unavailable]]:
    """Return how the probe points of these names are seen by events, and which are not."""
    names = set(asked)
    steps = names >= set(rmap.LOOKS)
    answers = [choose(p, facts, steps) for p in catalogue.POINTS if p.name in names]
    return (
        [answer for answer in answers if isinstance(answer, Candidate)],
        [answer for answer in answers if isinstance(answer, Unavailable)],
    )


def choose(point: ProbePoint, facts: KernelFacts, steps: bool) -> Candidate | Unavailable:
    """Return how `point` is seen by events on the kernel of `facts`; ``steps``: every VMA is."""
    point = replace(point, entry=point.entry or ENTERED_FOR_ITS_EXIT.get(point.exit, ""))
    if point.name in NOT_SEEN:
        return Unavailable(point, f"not by ftrace: {NOT_SEEN[point.name]}")
    if point.entry == "step(&a)" and not steps:
        return Unavailable(point, STEPS)
    answer = resolve(point, facts, LADDER)
    if isinstance(answer, Unavailable):
        return answer
    try:
        seen = sides(answer, facts, "PID")
    except NothingAttachedError as lacking:
        return Unavailable(point, f"{lacking.what}: {lacking.why}")
    lost = [what for side in seen[::-1] for what in _lost(side)]
    return replace(answer, reason="; ".join([answer.reason, *lost]))


def _lost(side: Side) -> Iterator[str]:
    """Yield what an event does not tell of what others see there."""
    if side.call in LOST:
        yield LOST[side.call]
    for value in CARRIED[side.call]:
        if value.lost and value.name not in side.fetches:
            yield value.lost


def sides(candidate: Candidate, facts: KernelFacts, owner: str) -> list[Side]:
    """Return the events of a probe point, that of the exit first."""
    found = []
    for side, (call, constant) in _calls(candidate.point).items():
        source = candidate.source
        mechanism = candidate.rung[side == "exit"]
        if source.is_event:
            fetches = dict(source.fields)
        else:
            fetches = dict(_fetches(CARRIED[call], candidate, facts))
        name = f"{candidate.point.name}_{'in' if side == 'entry' else 'out'}_{owner}"
        found.append(
            Side(candidate.point.name, source.symbol, mechanism, call, constant, name, fetches)
        )
    # The exit first: a call that is under way then has an exit without an entry, which is known
    # for what it is; an entry whose exit comes too early would never be over.
    return found[::-1]


def _calls(point: ProbePoint) -> dict[str, tuple[str, str]]:
    """Return by side the handler and its constant."""
    texts = {"entry": point.entry, "exit": point.exit}
    matches = {side: _CALL.fullmatch(text) for side, text in texts.items()}
    return {side: (m.group(1), m.group(2) or "") for side, m in matches.items() if m}


def _fetches(
    values: Sequence[Value], candidate: Candidate, facts: KernelFacts
) -> Iterator[tuple[str, str]]:
    words = _words(candidate, facts)
    for value in values:
        symbols = re.findall(r"@(\w+)", value.fetch)
        lacking = {name for name in re.findall(r"{(\w+)}", value.fetch) if name not in words}
        lacking |= {symbol for symbol in symbols if symbol not in facts.data_symbols}
        if not lacking:
            yield value.name, f"{value.fetch.format(**words)}:{value.ctype}"
        elif not value.optional:
            raise NothingAttachedError(
                candidate.source.symbol, f"this kernel does not tell where {min(lacking)} lies"
            )


def _words(candidate: Candidate, facts: KernelFacts) -> dict[str, str]:
    """Return what stands for the arguments and members of a fetch on this kernel."""
    words = {name: _ARGUMENT.format(place + 1) for name, place in candidate.source.args.items()}
    for member in catalogue.MEMBERS:
        try:
            offset = offset_of(member, facts)
        except NothingAttachedError:
            continue
        if offset >= 0:
            words[member.name] = str(offset)
    words |= dict(_computed(words))
    if "ANON_VMA_ROOT" in words and candidate.point.name == "rmap_walk_anon":
        # The lowest bit of an anonymous folio's mapping is set.
        words["ANON_VMA_ROOT_OF_ANON"] = str(int(words["ANON_VMA_ROOT"]) - 1)
    return words


_BESIDE_LOCK = {
    "ROOT_BESIDE_LOCK": ("ANON_VMA_ROOT", "ANON_VMA_LOCK"),
    "HOST_BESIDE_LOCK": ("MAPPING_HOST", "MAPPING_LOCK"),
}


def _computed(words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield places that are the sum or the difference of two, the latter with their sign."""
    for name, (member, lock) in _BESIDE_LOCK.items():
        if {member, lock} <= words.keys():
            yield name, f"{int(words[member]) - int(words[lock]):+d}"
    if {"MM_RSS", "RSS_COUNT"} <= words.keys():
        for number in range(len(COUNTERS)):
            yield f"RSS_{number}", str(int(words["MM_RSS"]) + int(words["RSS_COUNT"]) + 8 * number)


def buffer_kb(ring_pages: int, cpus: int) -> int:
    """Return the size of each CPU's buffer: as asked for, within bounds for all together."""
    return max(_LEAST_KB, min(max(USUAL_KB, ring_pages * 4), _ALL_KB // cpus))


def setup(owner: str, buffer_kb: int) -> list[Write]:
    """Return what makes the instance of the process `owner`, its buffers of this size a CPU."""
    instance = INSTANCE + owner
    return [
        Write(instance),
        Write(f"{instance}/trace_clock", CLOCK),
        Write(f"{instance}/buffer_size_kb", str(buffer_kb)),
        Write(f"{instance}/options/overwrite", "1"),
        Write(f"{instance}/tracing_on", "1"),
    ]


def define(side: Side) -> list[Write]:
    """Return what makes the event; nothing where the kernel has it already."""
    if side.mechanism == "tracepoint":
        return []
    kind = "p" if side.mechanism == "kprobe" else f"r{MAXACTIVE}"
    carried = "".join(f" {name}={fetch}" for name, fetch in side.fetches.items())
    return [Write("kprobe_events", f"{kind}:{side.path} {side.symbol}{carried}")]


def enable(side: Side, owner: str) -> Write:
    """Return what has the event recorded in the instance of `owner`."""
    return Write(f"{INSTANCE}{owner}/events/{side.path}/enable", "1")


def writes(asked: Iterable[str], facts: KernelFacts, buffer_kb: int) -> list[Write]:
    """Return all that is written for the probe points `asked` by a process called PID."""
    found = setup("PID", buffer_kb)
    for candidate in resolve_all(asked, facts)[0]:
        for side in sides(candidate, facts, "PID"):
            found += [*define(side), enable(side, "PID")]
    return found
