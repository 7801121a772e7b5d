"""What a probe point is. Declarations only: one file per kernel path holds the probe points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """
    One function of the kernel, or one event that it reports, at which a probe point can be seen.

    ``symbol``: the function, or "category:name" of the event.
    ``args``: names that the handlers use (`folio`, `rwc`, ...) to positions in its prototype.
    ``fields``: the same names to fields of the event.
    ``change``: the key in `kernels.changes` of the change that brought it; "" for the oldest.
    """

    symbol: str
    args: Mapping[str, int] = field(default_factory=dict)
    change: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_event(self) -> bool:
        """Whether the kernel reports it by itself, rather than being watched at a function."""
        return ":" in self.symbol


@dataclass(frozen=True)
class ProbePoint:
    """
    A place of the kernel that rmapwatch watches, declared once.

    ``sources``: in order of preference; the first that the kernel has is taken.
    ``entry``, ``exit``: calls of the C handlers in ``bpf/`` (`a` is the normalised arguments);
    "" where that side is not watched.
    ``section``: which part of a thread's work in progress a point with both sides lies in.
    ``metrics``: what it feeds. ``overhead``: what it costs, in words. ``opt_in``: too dear to be
    attached unless it is asked for. ``typed``: its handlers read its arguments, all pointers to
    structs, by `member_u64` and the like: loads where the verifier knows the type, not calls.
    """

    name: str
    summary: str
    kernel_source: str
    sources: tuple[Source, ...]
    entry: str = ""
    exit: str = ""
    section: str = ""
    metrics: tuple[str, ...] = ()
    overhead: str = ""
    opt_in: bool = False
    typed: bool = False


@dataclass(frozen=True)
class Member:
    """
    Where a value lies: the first (struct, member) that the kernel has, plus ``addend`` bytes.

    ``optional``: some kernels have no such member, and the handlers know what is lost then.
    """

    name: str
    places: tuple[tuple[str, str], ...]
    addend: Mapping[str, int] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True)
class Bit:
    """A bit that the kernel numbers or masks in an enum: ``name`` in C, (enum, enumerator)."""

    name: str
    enum: str
    enumerator: str


@dataclass(frozen=True)
class Op:
    """
    What a walk is for, told by the callback that it was given (`rwc->rmap_one`).

    ``callbacks``: the symbols of such callbacks. ``if_flags``: other ops that the same callback
    serves when its argument, a `enum ttu_flags`, has one of these bits.
    """

    name: str
    callbacks: tuple[str, ...] = ()
    if_flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
