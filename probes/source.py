"""Composes the C text of the probes for one kernel: defines, structs, handlers, stubs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import NothingAttachedError
from ..kernels.changes import DEFINED
from ..kernels.facts import KernelFacts
from ..kernels.semantics import Mglru, semantics_of
from . import (
    catalogue,
    cow,
    events,
    fork,
    ksm,
    locks,
    memory_failure,
    migrate,
    reclaim,
    rmap,
    state,
)
from .compiled import MARKS
from .resolve import Candidate
from .spec import Bit, Member, Op

BPF_DIR = Path(__file__).parent / "bpf"

ARGUMENTS = (
    "folio",
    "rwc",
    "mapping",
    "index",
    "locked",
    "is_locked",
    "vm_flags",
    "control",
    "stat",
    "scanned",
    "taken",
    "reclaimed",
    "activated",
    "deactivated",
    "lru",
    "ignore_references",
    "options",
    "node",
    "item",
    "vmf",
    "pfn",
    "flags",
    "type",
    "result",
    "code",
    "address",
    "lsb",
    "task",
    "reason",
    "mode",
    "succeeded",
    "failed",
    "split",
    "lock",
    "clone_args",
    "dst",
    "src",
    "vma",
    "ret",
)
"""The normalised arguments: every handler gets these, filled where the function has them."""

MAPS = ("state", "work", "control", "events")
"""The maps that the reader needs, as the C text names them."""

HANDLERS = (
    "common.bpf.c",
    "reclaim.bpf.c",
    "rmap.bpf.c",
    "ksm.bpf.c",
    "memory_failure.bpf.c",
    "migrate.bpf.c",
    "locks.bpf.c",
    "fork.bpf.c",
    "cow.bpf.c",
)
"""The texts in `bpf/`, in the order in which each finds what it needs of those before it."""

CALIBRATE = ("calibrate_enter", "calibrate_step", "calibrate_exit")
CALIBRATE_ENTER, CALIBRATE_STEP, CALIBRATE_EXIT = CALIBRATE
"""Programs of a walk of which nothing but the cost is looked at, whatever they are attached to."""

_ABSENT = -1


@dataclass(frozen=True)
class Build:
    """What the text depends on beside the facts: sizes, and where symbols were linked to."""

    possible_cpus: int
    addresses: Mapping[str, int]


def program_name(mechanism: str, symbol: str) -> str:
    """Return the name of the C function that is attached to `symbol` by `mechanism`."""
    return re.sub(r"\W", "_", f"{mechanism}_{symbol}")


def functions(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Return the C functions that the text of these candidates has programs of."""
    watching = [
        program_name(mechanism, candidate.source.symbol)
        for candidate in candidates
        for mechanism in candidate.mechanisms
    ]
    return (*watching, *CALIBRATE)


def c_source(candidates: Sequence[Candidate], facts: KernelFacts, build: Build) -> str:
    """Return the whole text: what it needs of the kernel is in `facts` and `build`."""
    lines = [
        "#include <uapi/linux/ptrace.h>",
        *_defines(candidates, facts, build),
        *state.layout([c.point.name for c in candidates]).c_text(),
        *events.c_text(),
        "struct args { u32 probe; bool typed; "
        + " ".join(f"u64 {name};" for name in ARGUMENTS)
        + " };",
    ]
    common, *handlers = ((BPF_DIR / name).read_text() for name in HANDLERS)
    lines += [common, *_op_function(rmap.OPS, facts, build.addresses), *handlers]
    for number, candidate in enumerate(candidates):
        lines += _stubs(number, candidate, facts)
    lines += _calibration()
    return "\n".join(lines) + "\n"


def _defines(candidates: Sequence[Candidate], facts: KernelFacts, build: Build) -> Iterator[str]:
    yield f"#define POSSIBLE_CPUS {build.possible_cpus}"
    yield f"#define WORK_SLOTS {state.WORK_SLOTS}"
    yield f"#define SLOTS {state.SLOTS}"
    yield f"#define EXACT_COUNTS {state.EXACT_COUNTS}"
    yield f"#define EXACT_BITS {state.EXACT_COUNTS.bit_length() - 1}"
    yield f"#define NOT_KNOWN ({events.NOT_KNOWN})"
    yield from (f"#define {name.upper()}_MARK {mark}" for name, mark in MARKS.items())
    yield f"#define UNSEEN {events.UNSEEN}"
    yield f"#define PROBES {len(candidates)}"
    yield f"#define OPS {len(rmap.OPS)}"
    yield f"#define ASKED_BY {len(state.ASKED_BY)}"
    yield f"#define CALLERS {len(reclaim.CALLERS)}"
    yield f"#define RECLAIMERS {len(reclaim.RECLAIMERS)}"
    yield f"#define DECISIONS {len(reclaim.DECISIONS)}"
    yield f"#define STATS {len(reclaim.STATS)}"
    yield f"#define ALGORITHMS {len(reclaim.ALGORITHMS)}"
    yield f"#define LISTS {len(reclaim.LISTS)}"
    yield f"#define AGERS {len(reclaim.AGERS)}"
    yield f"#define LRUS {len(state.LRUS)}"
    yield f"#define RESULTS {len(state.RESULTS)}"
    yield f"#define WALK_BAILED {events.WALK_BAILED}"
    yield f"#define WALK_LOCKED {events.WALK_LOCKED}"
    yield f"#define WALK_FILTERED {events.WALK_FILTERED}"
    yield f"#define WALK_WAITED {events.WALK_WAITED}"
    yield from _numbered("KIND", rmap.KINDS)
    yield from _numbered("OP", [op.name for op in rmap.OPS])
    yield from _numbered("LRU", state.LRUS)
    yield from _numbered("CALLER", reclaim.CALLERS)
    yield from _numbered("RECLAIMER", reclaim.RECLAIMERS)
    yield from _numbered("DECISION", reclaim.DECISIONS)
    yield from _numbered("AGER", reclaim.AGERS)
    yield from _numbered("VERDICT", reclaim.VERDICTS)
    yield from _numbered("STAT", reclaim.STATS)
    tables = (reclaim, ksm, memory_failure, fork, cow)
    defines = dict.fromkeys(name for table in tables for name in table.DEFINES)
    yield from (f"#define {name} {DEFINED[name].value:#x}ULL" for name in defines)
    yield from _numbered("KSM", ksm.WHAT)
    yield from _numbered("SWAPIN", ksm.SWAPINS)
    yield from _numbered("HANDLER", memory_failure.HANDLERS)
    yield f"#define SWAPINS {len(ksm.SWAPINS)}"
    yield f"#define HANDLERS {len(memory_failure.HANDLERS)}"
    yield f"#define TYPES {memory_failure.TYPES}"
    yield f"#define RESULT_KINDS {len(memory_failure.RESULTS)}"
    yield from _numbered("LOCK", locks.LOCKS)
    yield from _numbered("MODE", locks.MODES)
    yield from _numbered("DURING", locks.DURING)
    yield f"#define MODES {len(locks.MODES)}"
    yield f"#define DURINGS {len(locks.DURING)}"
    yield f"#define WAITS {len(locks.LOCKS) * len(locks.MODES) * len(locks.DURING)}"
    yield f"#define REASONS {migrate.REASONS}"
    yield from _numbered("STEP", fork.FAILING)
    yield from _numbered("CLONER", fork.CLONERS)
    yield from _numbered("PAGE", cow.PAGES)
    yield from _numbered("COW", cow.OUTCOMES)
    yield f"#define FAILING {len(fork.FAILING)}"
    yield f"#define ERRORS {len(fork.ERRORS)}"
    yield f"#define CHAIN_LIMIT {fork.CHAIN_LIMIT}"
    yield f"#define CPU_LIMIT {fork.CPU_LIMIT}"
    yield f"#define COWS {len(cow.OUTCOMES)}"
    yield f"#define COW_PAGES {len(cow.PAGES)}"
    yield f"#define KSMD {int.from_bytes(ksm.THREAD.encode(), 'little'):#x}ULL"
    clean = _has_reclaim_clean(facts)
    mglru_clean = clean and semantics_of(facts).mglru is not Mglru.SET_REFS
    yield f"#define CLASSIC_RECLAIM_CLEAN {int(clean)}"
    yield f"#define MGLRU_RECLAIM_CLEAN {int(mglru_clean)}"
    reads = {name: f"(u32)read_s32(stat, AT_{name.upper()})" for name in reclaim.STATS}
    yield _macro("READ_STATS(to, stat)", (f"to[{n}] = {r}" for n, r in enumerate(reads.values())))
    yield _macro("TELL_STATS(e, stat)", (f"e->{name} = {read}" for name, read in reads.items()))
    decided = (f"e->decided_{name} = from[{n}]" for n, name in enumerate(reclaim.DECISIONS))
    yield _macro("TELL_DECIDED(e, from)", decided)
    yield from (
        f"#define {name.upper()}_AT {build.addresses.get(name, 0):#x}ULL"
        for name in (*rmap.DATA_SYMBOLS, *reclaim.DATA_SYMBOLS, *fork.DATA_SYMBOLS)
    )
    yield f"#define STRUCT_PAGE_SIZE {facts.structs['page'].size}"
    yield f"#define PERCPU_COUNTER_SIZE {facts.structs['percpu_counter'].size}"
    yield from (f"#define {m.name} ({offset_of(m, facts)}LL)" for m in catalogue.MEMBERS)
    yield from (f"#define {bit.name} {_enumerator(bit, facts)}" for bit in catalogue.BITS)


def _macro(head: str, statements: Iterable[str]) -> str:
    return f"#define {head} do {{ {' '.join(f'{s};' for s in statements)} }} while (0)"


def _numbered(prefix: str, names: Sequence[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        yield f"#define {prefix}_{name.upper()} {number}"


def offset_of(member: Member, facts: KernelFacts) -> int:
    """
    Return the byte offset of `member` on the kernel of `facts`.

    -1 where an optional one is absent; raise `NothingAttachedError` where one that is needed is.
    """
    for struct, name in member.places:
        offset = facts.offset(struct, name)
        if offset is not None:
            return offset + member.addend.get(name, 0)
    if member.optional:
        return _ABSENT
    raise _not_described(" or ".join(f"{struct}.{name}" for struct, name in member.places))


def _not_described(what: str) -> NothingAttachedError:
    return NothingAttachedError(
        "the probes cannot be fitted to this kernel",
        f"its BTF does not describe {what}",
        "rmapwatch probes --explain",
    )


def _has_reclaim_clean(facts: KernelFacts) -> bool:
    enums = (facts.enums.get(name, {}) for name in reclaim.REFERENCES_ENUMS)
    return any(name.endswith("_RECLAIM_CLEAN") for enum in enums for name in enum)


def _enumerator(bit: Bit, facts: KernelFacts) -> int:
    value = facts.enums.get(bit.enum, {}).get(bit.enumerator)
    if value is None:
        raise _not_described(f"{bit.enumerator} of enum {bit.enum}")
    return value


def _op_function(
    ops: Sequence[Op], facts: KernelFacts, addresses: Mapping[str, int]
) -> Iterator[str]:
    """
    Yield the function that tells a walk's op from its callback and the callback's argument, which
    is read where it is needed only.
    """
    ttu = facts.enums.get("ttu_flags", {})
    yield "static inline u32 op_of(u64 callback, struct args *a)"
    yield "{"
    for op in ops:
        for callback in op.callbacks:
            if callback not in addresses:
                continue
            yield f"\tif (callback == {addresses[callback]:#x}ULL) {{ /* {callback} */"
            for other, flags in op.if_flags.items():
                mask = sum(ttu[flag] for flag in flags if flag in ttu)
                if mask:
                    given = f"member_u64(a, a->rwc, RWC_ARG) & {mask:#x}"
                    yield f"\t\tif ({given}) return OP_{other.upper()};"
            yield f"\t\treturn OP_{op.name.upper()};"
            yield "\t}"
    yield "\treturn OP_OTHER;"
    yield "}"


def _stubs(number: int, candidate: Candidate, facts: KernelFacts) -> Iterator[str]:
    """Yield the program of each side that the candidate watches."""
    entry, exit_ = candidate.rung
    if candidate.point.entry:
        yield from _stub(number, candidate, entry, candidate.point.entry, facts)
    if candidate.point.exit:
        yield from _stub(number, candidate, exit_, candidate.point.exit, facts)


def _calibration() -> Iterator[str]:
    """Yield the handlers of a walk once more; the running task is memory that can be read."""
    calls = {
        CALIBRATE_ENTER: "walk_enter(&a, KIND_ANON)",
        CALIBRATE_STEP: "step(&a)",
        CALIBRATE_EXIT: "walk_exit(&a, KIND_ANON)",
    }
    for name, call in calls.items():
        yield f"int {name}(u64 *ctx)"
        yield "{"
        yield "\tstruct args a = { .probe = 0 };"
        yield "\tu64 task = bpf_get_current_task();"
        yield "\ta.folio = task;"
        yield '\tasm volatile("" : "+r"(task));'  # for all that the compiler knows, another
        yield "\ta.rwc = task;"
        yield f"\treturn {call};"
        yield "}"


def _stub(
    number: int, candidate: Candidate, mechanism: str, call: str, facts: KernelFacts
) -> Iterator[str]:
    if mechanism == "tracepoint":
        yield from _event_stub(number, candidate, call, facts)
        return
    traced = mechanism in ("fentry", "fexit")
    context = "u64 *ctx" if traced else "struct pt_regs *ctx"
    yield f"int {program_name(mechanism, candidate.source.symbol)}({context})"
    yield "{"
    yield f"\tstruct args a = {{ .probe = {number} }};"
    if mechanism != "kretprobe":
        params = facts.functions[candidate.source.symbol].params
        typed = traced and candidate.point.typed
        if typed:
            yield "\ta.typed = true;"
        for name, position in candidate.source.args.items():
            yield f"\t{_fetch(name, position, traced, params, typed)}"
        returns = facts.functions[candidate.source.symbol].returns
        if mechanism == "fexit" and returns not in (None, "void"):
            yield f"\t{_from_context('ret', len(params or ()), returns)}"
    else:
        yield "\ta.ret = PT_REGS_RC(ctx);"
    yield f"\treturn {call};"
    yield "}"


def _event_stub(number: int, candidate: Candidate, call: str, facts: KernelFacts) -> Iterator[str]:
    """Yield the program of an event, whose context is the event's record."""
    symbol = candidate.source.symbol
    places = facts.tracepoints[symbol].fields
    yield f"int {program_name('tracepoint', symbol)}(u8 *ctx)"
    yield "{"
    yield f"\tstruct args a = {{ .probe = {number} }};"
    for name, member in candidate.source.fields.items():
        offset, size = places[member]
        yield f"\ta.{name} = *(u{8 * size} *)(ctx + {offset});"
    yield f"\treturn {call};"
    yield "}"


def _fetch(
    name: str,
    position: int,
    traced: bool,
    params: tuple[tuple[str, str], ...] | None,
    typed: bool,
) -> str:
    """Return the line that fills one argument; ``typed``: a pointer as the verifier knows it."""
    if not traced:
        return f"a.{name} = PT_REGS_PARM{position + 1}(ctx);"
    ctype = params[position][1] if params else ""
    cast = {"bool": "(u8)", "int": "(u32)", "unsigned int": "(u32)"}.get(ctype, "")
    if typed:
        return f"a.{name} = {cast}ctx[{position}];"
    return _from_context(name, position, ctype, cast)


def _from_context(name: str, position: int, ctype: str, cast: str = "") -> str:
    """Return the line that fills an argument, or the result, of a function that is traced."""
    if ctype.endswith("*"):
        # As a plain number: the verifier lets nobody calculate with a typed pointer, and older ones
        # refuse to load a pointer to anything but a struct.
        return f"a.{name} = read_u64((u64)ctx, {8 * position});"
    return f"a.{name} = {cast}ctx[{position}];"
