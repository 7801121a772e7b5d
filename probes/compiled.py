"""
The probes' text compiled, for the loader: by bcc, or kept from the last time.

A compiler is most of what a start costs. Programs name their maps by descriptors that the next
process has not; here they name them by number, and get the descriptors of new maps when they are
loaded. What is kept depends on nothing but the text, the kernel and bcc.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import NothingAttachedError
from ..kernels.image import Image
from . import needs

FOLDER = Path("/var/cache/rmapwatch")
_KEPT = 8
"""Texts that are kept; one is some 100 kB."""

# struct bpf_insn of include/uapi/linux/bpf.h: opcode, registers, offset, immediate.
_INSTRUCTION = struct.Struct("<BBhi")
_LOAD_64, _OF_MAP, _OF_VALUE = 0x18, 1, 2
_CLASS, _OF_REGISTER, _JUMPS, _ARITHMETIC = 0x07, 0x08, 0x05, 0x07

_FLAGS = ("-Wno-everything", "-g0")
"""Of the compiler: without what it would write down for debuggers, it takes a sixth less."""

MARKS = {"control": 0x7FFFFFFF, "work": 0x7FFFFFFE}
"""What the text has where the descriptor of a map belongs that it takes the value of, by map."""


@dataclass(frozen=True)
class MapSpec:
    """A map as bpf(2) makes it; the numbers are those of its fdinfo."""

    map_type: int
    key_size: int
    value_size: int
    max_entries: int
    map_flags: int


@dataclass(frozen=True)
class Compiled:
    """The maps by name, and the code by function; a map is named by its place among the maps."""

    maps: Mapping[str, MapSpec]
    code: Mapping[str, bytes]

    def linked(self, function: str, descriptors: Mapping[str, int]) -> bytes:
        """Return the code of a function that uses the maps behind these descriptors."""
        return _renamed(self.code[function], [descriptors[name] for name in self.maps].__getitem__)

    def moved(self, image: Image) -> Compiled:
        """Return the same with the addresses of this boot, where it has such of the image."""
        code = {name: _moved(each, image) for name, each in self.code.items()}
        return replace(self, code=code)

    def to_json(self) -> str:
        """Return all of it as text."""
        code = {name: base64.b64encode(text).decode() for name, text in self.code.items()}
        return json.dumps({"maps": {n: asdict(m) for n, m in self.maps.items()}, "code": code})

    @classmethod
    def from_json(cls, text: str) -> Compiled:
        """Return what `to_json` wrote; raise ValueError where `text` is none of it."""
        try:
            raw = json.loads(text)
            maps = {name: MapSpec(**spec) for name, spec in raw["maps"].items()}
            code = {name: base64.b64decode(each) for name, each in raw["code"].items()}
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not compiled probes: {error!r}") from None
        return cls(maps, code)


def _renamed(code: bytes, name: Callable[[int], int]) -> bytes:
    """Return `code` with the number by which it names each map replaced."""
    renamed = bytearray(code)
    at = 0
    while at < len(code):
        opcode, registers, offset, immediate = _INSTRUCTION.unpack_from(code, at)
        if opcode == _LOAD_64 and registers >> 4 in (_OF_MAP, _OF_VALUE):
            _INSTRUCTION.pack_into(renamed, at, opcode, registers, offset, name(immediate))
        at += _INSTRUCTION.size * (2 if opcode == _LOAD_64 else 1)
    return bytes(renamed)


def _moved(code: bytes, image: Image) -> bytes:
    """
    Return `code` with the addresses of an image, as linked, replaced by those of this boot.

    They are immediates whose sign the kernel extends, of instructions of 64 bits.
    """
    begin, end = image.begin - (1 << 64), image.end - (1 << 64)
    moved = bytearray(code)
    instructions = list(_INSTRUCTION.iter_unpack(code))
    for number, (opcode, registers, offset, immediate) in enumerate(instructions):
        if not begin <= immediate < end:
            continue
        if opcode == _LOAD_64:
            is_one = registers >> 4 == 0 and instructions[number + 1][-1] == -1
        else:
            is_one = opcode & _CLASS in (_JUMPS, _ARITHMETIC) and not opcode & _OF_REGISTER
        if is_one:
            at, there = number * _INSTRUCTION.size, immediate + image.slide
            _INSTRUCTION.pack_into(moved, at, opcode, registers, offset, there)
    return bytes(moved)


def get(text: str, functions: Iterable[str], maps: Sequence[str]) -> Compiled:
    """
    Return the compiled text: kept from before, or by bcc now, and then kept.

    Raise NothingAttachedError where there is no bcc, or its compiler refuses the text.
    """
    bcc = importlib.util.find_spec("bcc")
    if bcc is None or bcc.origin is None:
        raise needs.no_bcc(sys.executable)
    path = FOLDER / f"{_digest(text, Path(bcc.origin))}.json"
    found = _kept(path)
    if found is None:
        found = _compile(text, functions, maps)
        keep(path, found.to_json())
    return found


def _digest(text: str, bcc: Path) -> str:
    there, kernel = bcc.stat(), os.uname()
    seen = (text, kernel.release, kernel.version, bcc, there.st_size, there.st_mtime_ns)
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:32]


def _kept(path: Path) -> Compiled | None:
    try:
        return Compiled.from_json(kept(path) or "")
    except ValueError:
        return None


def kept(path: Path) -> str | None:
    """Return what `path` holds; None where it is not there, or others could have written it."""
    try:
        if not (_ours(path.parent) and _ours(path)):
            return None
        text = path.read_text()
        os.utime(path)
    except (OSError, ValueError):
        return None
    return text


def _ours(path: Path) -> bool:
    told = path.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    return told.st_uid == os.geteuid() and not told.st_mode & others and not path.is_symlink()


def keep(path: Path, text: str) -> None:
    """Keep a text where that is possible; without, the next start finds it out again."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not _ours(path.parent):
            return
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as partial:
            partial.write(text)
        Path(partial.name).rename(path)
        newest = sorted(path.parent.iterdir(), key=lambda each: each.stat().st_mtime_ns)
        for old in newest[:-_KEPT]:
            old.unlink()


def _compile(text: str, functions: Iterable[str], maps: Sequence[str]) -> Compiled:
    """Return what bcc makes of the text; its own maps are gone with it."""
    import ctypes

    import bcc

    class Module(bcc.BPF):  # type: ignore[misc]
        def _trace_autoload(self) -> None:
            """Attach nothing by name: what is attached is decided here, not by bcc."""

    module = _with_stderr(lambda: Module(text=text, cflags=list(_FLAGS)), _refusal)
    fds = {name: bcc.lib.bpf_table_fd(module.module, name.encode()) for name in maps}
    places = {fd: place for place, fd in enumerate(fds.values())}
    places |= {mark: list(maps).index(name) for name, mark in MARKS.items()}
    code = {}
    for name in functions:
        start = bcc.lib.bpf_function_start(module.module, name.encode())
        size = bcc.lib.bpf_function_size(module.module, name.encode())
        code[name] = _renamed(ctypes.string_at(start, size), places.__getitem__)
    compiled = Compiled({name: _spec(fd) for name, fd in fds.items()}, code)
    module.cleanup()
    return compiled


def _spec(fd: int) -> MapSpec:
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    return MapSpec(**{name: int(told[name], 0) for name in MapSpec.__dataclass_fields__})


def _refusal(said: str) -> NothingAttachedError:
    return NothingAttachedError(
        "the probes do not compile on this kernel",
        next((line for line in said.splitlines() if "error:" in line), "bcc gave no reason"),
        "rmapwatch doctor",
    )


def _with_stderr(call: Callable[[], Any], failure: Callable[[str], Exception]) -> Any:
    """Return `call()`; where it raises, raise `failure` of what C code wrote to stderr."""
    with tempfile.TemporaryFile() as said:
        saved = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            return call()
        except Exception:
            said.seek(0)
            raise failure(said.read().decode(errors="replace")) from None
        finally:
            os.dup2(saved, 2)
            os.close(saved)
