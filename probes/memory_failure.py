"""
Memory failures (mm/memory-failure.c): what is handled, how long it takes, who is told.

`action_result` names page type and result; the types' numbers are each kernel's own and are
decoded by its BTF. Signals are seen where they are sent, those of a late touch included.
"""

from __future__ import annotations

from .spec import Member, ProbePoint, Source

HANDLERS = ("memory_failure", "soft_offline")
"""What was asked for: handle a failure, or move a page away before it fails."""

RESULTS = ("MF_IGNORED", "MF_FAILED", "MF_DELAYED", "MF_RECOVERED")
"""enum mf_result, the same in every kernel since v2.6.32."""

TYPE_ENUM, TYPE_PREFIX = "mf_action_page_type", "MF_MSG_"
ENUMS = (TYPE_ENUM, "mf_result")

TYPES = 32
"""Page types that are told apart: more than any kernel has."""

CODES = ("BUS_MCEERR_AR", "BUS_MCEERR_AO")
"""si_code of the SIGBUS: action required of who touched the page, or optional."""

_METRICS = ("rmapwatch_memory_failure_total",)
_DURATION = ("rmapwatch_memory_failure_duration_seconds",)
_ERRORS = ("rmapwatch_memory_failure_errors_total",)
_SIGNALS = ("rmapwatch_memory_failure_signals_total",)
_RARE = "Nothing: memory failures are rare."


def _handler(name: str, summary: str, symbol: str) -> ProbePoint:
    return ProbePoint(
        name=name,
        summary=summary,
        kernel_source="mm/memory-failure.c",
        sources=(Source(symbol, {"pfn": 0, "flags": 1}),),
        section="failure",
        entry=f"failure_enter(&a, HANDLER_{name.upper()})",
        exit="failure_exit(&a)",
        metrics=_DURATION + _ERRORS,
        overhead=_RARE,
    )


def _collect(name: str, summary: str, *symbols: str) -> ProbePoint:
    return ProbePoint(
        name=name,
        summary=summary,
        kernel_source="mm/memory-failure.c",
        sources=tuple(Source(symbol) for symbol in symbols),
        section="collect",
        entry="collect_enter(&a)",
        exit="collect_exit(&a)",
        metrics=_DURATION,
        overhead=_RARE,
    )


def _signal(name: str, summary: str, source: Source) -> ProbePoint:
    return ProbePoint(
        name=f"signal_{name}",
        summary=summary,
        kernel_source="kernel/signal.c",
        sources=(source,),
        entry="mceerr(&a)",
        metrics=_SIGNALS,
        overhead=_RARE,
    )


_SIGINFO = {"code": 0, "address": 1, "lsb": 2}

POINTS = (
    _handler("memory_failure", "A page has failed and is handled.", "memory_failure"),
    _handler("soft_offline", "A page is moved away before it fails.", "soft_offline_page"),
    ProbePoint(
        name="memory_failure_action",
        summary="What the page was and what came of it, as the kernel reports it.",
        kernel_source="mm/memory-failure.c",
        sources=(Source("action_result", {"type": 1, "result": 2}),),
        entry="action(&a)",
        metrics=_METRICS,
        overhead=_RARE,
    ),
    _collect(
        "collect_procs",
        "The walk that finds who maps a failed page.",
        "collect_procs",
        "collect_procs.part.0",
    ),
    _collect("collect_procs_anon", "That walk for anonymous pages.", "collect_procs_anon"),
    _collect("collect_procs_file", "That walk for pages of files.", "collect_procs_file"),
    ProbePoint(
        name="memory_failure_victim",
        summary="A process that maps a failed page and may be told of it.",
        kernel_source="mm/memory-failure.c",
        sources=(Source("__add_to_kill", change="hwpoison_ksm"), Source("add_to_kill")),
        entry="victim(&a)",
        metrics=_SIGNALS,
        overhead=_RARE,
    ),
    _signal(
        "forced",
        "SIGBUS to the running thread, which touched a failed page.",
        Source("force_sig_mceerr", _SIGINFO),
    ),
    _signal(
        "sent",
        "SIGBUS to a process that maps a failed page.",
        Source("send_sig_mceerr", {**_SIGINFO, "task": 3}),
    ),
)

MEMBERS = (Member("TASK_TGID", (("task_struct", "tgid"),)),)

DEFINES = CODES
