"""Reads KernelFacts off the running kernel. Reading writes nothing to it."""

from __future__ import annotations

import gzip
import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from . import syscalls
from .btf import Btf, Prototype
from .facts import Function, KernelFacts, Tracepoint, Wanted

KALLSYMS = Path("/proc/kallsyms")

_ADDRESS_DIGITS, _NAME_AT = 16, 19
"""Of a line of kallsyms: an address, a letter, a name, and a module's name behind a tab."""

_KTHREADD = "2"
"""The parent of all kernel threads (init/main.c: rest_init())."""


def read_facts(wanted: Wanted, btf: Btf | None, symbols: Mapping[str, int]) -> KernelFacts:
    """
    Return the facts of the running kernel about `wanted`; `btf` is None where it has none.

    ``symbols``: the `addresses` of what is wanted of it.

    What cannot be read for want of permission is absent; raise FileNotFoundError where tracefs
    is not mounted and PermissionError where it may not be read.
    """
    traceable = _traceable(wanted.functions)
    prototypes = btf.functions(wanted.functions) if btf else {}
    return KernelFacts(
        release=os.uname().release,
        version=os.uname().version,
        machine=platform.machine(),
        functions={
            name: _function(name in traceable, prototypes.get(name))
            for name in sorted(wanted.functions)
            if name in symbols or name in traceable
        },
        structs=btf.structs(wanted.structs) if btf else {},
        enums=btf.enums(wanted.enums) if btf else {},
        tracepoints=_tracepoints(wanted.tracepoints),
        data_symbols=tuple(sorted(wanted.data_symbols & symbols.keys())),
        config=config(wanted.config),
        files=_files(wanted.files),
    )


def _function(traceable: bool, prototype: Prototype | None) -> Function:
    if prototype is None:
        return Function(traceable)
    return Function(traceable, prototype.params, prototype.returns)


def _traceable(names: Iterable[str]) -> set[str]:
    """Return those that ftrace lists as functions of the kernel itself, not of a module."""
    lines = (syscalls.tracefs() / "available_filter_functions").read_text().split("\n")
    return set(lines) & set(names)


def addresses(names: Iterable[str]) -> dict[str, int]:
    """
    Return the addresses of kernel symbols, for the loader alone: they never leave it.

    A name that several symbols share is left out: nobody could tell which is meant.
    """
    wanted, found = set(names), list[tuple[str, int]]()
    with KALLSYMS.open() as lines:
        for line in lines:
            name = line[_NAME_AT:-1]
            if name in wanted:
                found.append((name, int(line[:_ADDRESS_DIGITS], 16)))
    often = Counter(name for name, _ in found)
    return {name: address for name, address in found if often[name] == 1}


def kernel_thread(name: str, proc: Path = Path("/proc")) -> int | None:
    """Return the thread of that name among the kernel's own; None where none is seen from here."""
    for stat in proc.glob("[0-9]*/stat"):
        try:
            number, _, told = stat.read_text().partition(" (")
        except OSError:
            continue  # it has just ended
        command, _, rest = told.rpartition(") ")
        if command == name and rest.split()[1] == _KTHREADD:
            return int(number)
    return None


def _tracepoints(names: Iterable[str]) -> dict[str, Tracepoint]:
    """Return those tracepoints that exist."""
    found = {}
    for symbol in sorted(names):
        category, _, name = symbol.partition(":")
        path = syscalls.tracefs() / "events" / category / name / "format"
        if path.exists():
            found[symbol] = Tracepoint(dict(_fields(path.read_text())))
    return found


_FIELD = re.compile(r"\tfield:.*?(\w+)(?:\[\d*\])?;\toffset:(\d+);\tsize:(\d+);")


def _fields(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the fields of an event's format, common ones left out."""
    for name, offset, size in _FIELD.findall(text):
        if not name.startswith("common_"):
            yield name, (int(offset), int(size))


def config(names: Iterable[str]) -> dict[str, str]:
    """Return the values of CONFIG_ options; empty where the kernel does not publish them."""
    wanted = set(names)
    pairs = (line.split("=", 1) for line in _config_text().splitlines() if "=" in line)
    return {key: value for key, value in pairs if key in wanted}


def _config_text() -> str:
    running = Path("/proc/config.gz")
    if running.exists():
        return gzip.decompress(running.read_bytes()).decode()
    for path in (
        Path("/boot") / f"config-{os.uname().release}",
        Path("/lib/modules") / os.uname().release / "config",
        Path("/lib/modules") / os.uname().release / "build" / ".config",
    ):
        if path.exists():
            return path.read_text()
    return ""


def _files(paths: Iterable[str]) -> dict[str, str]:
    found = {}
    for path in sorted(paths):
        try:
            found[path] = Path(path).read_text().strip()
        except OSError:
            continue
    return found


OF_FUNCTIONS = (syscalls.FENTRY, syscalls.FEXIT, syscalls.KPROBE, syscalls.KRETPROBE)


def try_every_way(facts: KernelFacts, btf: Btf, symbols: Iterable[str]) -> KernelFacts:
    """Return `facts` with what the kernel answered to each way of attaching to `symbols`."""
    events = [symbol for symbol in symbols if symbol in facts.tracepoints]
    functions = [symbol for symbol in symbols if symbol in facts.functions]
    facts = try_attach(facts, btf, events, (syscalls.TRACEPOINT,))
    return try_attach(facts, btf, functions, OF_FUNCTIONS)


def try_attach(
    facts: KernelFacts, btf: Btf, symbols: Iterable[str], mechanisms: Iterable[str]
) -> KernelFacts:
    """
    Return `facts` with what the kernel answered to really attaching to each of `symbols`.

    An empty program is loaded and attached by each of `mechanisms` and removed at once.
    """
    ids = {name: prototype.btf_id for name, prototype in btf.functions(symbols).items()}
    for name in symbols:
        answers = {mechanism: _answer(name, mechanism, ids.get(name)) for mechanism in mechanisms}
        facts = facts.answered(name, answers)
    return facts


def _answer(symbol: str, mechanism: str, btf_id: int | None) -> str:
    if mechanism in (syscalls.FENTRY, syscalls.FEXIT) and btf_id is None:
        return "no BTF prototype"
    try:
        program = syscalls.load(syscalls.EMPTY_PROGRAM, mechanism, "trial", btf_id or 0)
    except syscalls.RefusedError as refused:
        return str(refused)
    try:
        os.close(syscalls.attach(program, mechanism, symbol))
    except syscalls.RefusedError as refused:
        return str(refused)
    finally:
        os.close(program)
    return "ok"
