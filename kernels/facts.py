"""
KernelFacts: what one running kernel is, read once, frozen, and kept as JSON.

Everything that depends on the kernel (which symbol a probe takes, where a field lies, which
rule of the model holds) is a pure function of this record, so it can be tested without a kernel.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Function:
    """
    One kernel function.

    ``traceable``: listed by ftrace, so it has a patchable entry (false for inlined and notrace).
    ``params``: (name, type) pairs of its BTF prototype; None where BTF does not know it.
    ``attach``: mechanism ("fentry", "fexit", "kprobe", "kretprobe") to "ok" or to what the kernel
    answered, from really attaching; empty where that has not been tried.
    """

    traceable: bool
    params: tuple[tuple[str, str], ...] | None = None
    returns: str | None = None
    attach: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tracepoint:
    """
    One event that the kernel reports by itself.

    ``fields``: name to (offset, size) in bytes, by its format. ``attach``: as of a function.
    """

    fields: Mapping[str, tuple[int, int]]
    attach: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Struct:
    """A struct of the kernel's BTF: its size and the byte offsets of its members."""

    size: int
    offsets: Mapping[str, int]


@dataclass(frozen=True)
class KernelFacts:
    """
    What a kernel is. ``functions``, ``structs``, ``enums`` and ``tracepoints`` hold only what
    the catalogue asks for, and only what exists: a name that is missing is absent in the kernel.

    ``data_symbols``: variables of the kernel that kallsyms names (never their addresses).
    ``tracepoints``: by "category:name".
    ``config``: CONFIG_ options to their value; absent where the kernel does not publish them.
    ``files``: control files (sysfs, procfs) to their content at the time of reading.
    """

    release: str
    version: str
    machine: str
    functions: Mapping[str, Function] = field(default_factory=dict)
    structs: Mapping[str, Struct] = field(default_factory=dict)
    enums: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    tracepoints: Mapping[str, Tracepoint] = field(default_factory=dict)
    data_symbols: tuple[str, ...] = ()
    config: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def traceable(self, function: str) -> bool:
        """Return whether ftrace lists `function`."""
        found = self.functions.get(function)
        return found is not None and found.traceable

    def answers(self, symbol: str) -> Mapping[str, str]:
        """Return what the kernel answered to attaching to a function or "category:name"."""
        found = self.tracepoints.get(symbol) or self.functions.get(symbol)
        return {} if found is None else found.attach

    def answered(self, symbol: str, answers: Mapping[str, str]) -> KernelFacts:
        """Return this with what the kernel answered, by mechanism, to attaching to `symbol`."""
        functions, tracepoints = dict(self.functions), dict(self.tracepoints)
        answers = {**self.answers(symbol), **answers}
        if symbol in tracepoints:
            tracepoints[symbol] = replace(tracepoints[symbol], attach=answers)
        else:
            functions[symbol] = replace(functions[symbol], attach=answers)
        return replace(self, functions=functions, tracepoints=tracepoints)

    def offset(self, struct: str, member: str) -> int | None:
        """Return the byte offset of `member`, or None where the struct or the member is absent."""
        found = self.structs.get(struct)
        return None if found is None else found.offsets.get(member)

    def to_json(self) -> str:
        """Return the record as JSON, keys sorted, so that two kernels can be compared as text."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> KernelFacts:
        """Return the record that `to_json` wrote; raise ValueError where `text` is none."""
        try:
            return cls(**_thawed(json.loads(text)))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not kernel facts: {error!r}") from None


def _thawed(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a KernelFacts as they stood before they were JSON."""
    functions = {
        name: Function(
            traceable=f["traceable"],
            params=None if f["params"] is None else tuple((n, t) for n, t in f["params"]),
            returns=f["returns"],
            attach=f["attach"],
        )
        for name, f in raw["functions"].items()
    }
    structs = {name: Struct(s["size"], s["offsets"]) for name, s in raw["structs"].items()}
    tracepoints = {
        name: Tracepoint({n: (at, size) for n, (at, size) in t["fields"].items()}, t["attach"])
        for name, t in raw["tracepoints"].items()
    }
    return raw | {
        "functions": functions,
        "structs": structs,
        "tracepoints": tracepoints,
        "data_symbols": tuple(raw["data_symbols"]),
    }


@dataclass(frozen=True)
class Wanted:
    """The names that a caller needs facts about."""

    functions: frozenset[str] = frozenset()
    structs: frozenset[str] = frozenset()
    enums: frozenset[str] = frozenset()
    tracepoints: frozenset[str] = frozenset()
    data_symbols: frozenset[str] = frozenset()
    config: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    @property
    def symbols(self) -> frozenset[str]:
        """Return the names of what has an address."""
        return self.functions | self.data_symbols

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(*(a | b for a, b in zip(self._sets(), other._sets(), strict=True)))

    def _sets(self) -> tuple[frozenset[str], ...]:
        return (
            self.functions,
            self.structs,
            self.enums,
            self.tracepoints,
            self.data_symbols,
            self.config,
            self.files,
        )
