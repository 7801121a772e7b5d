"""
A reader of BTF, the kernel's own description of its types (Documentation/bpf/btf.rst).

Only what probes need: prototypes and ids of functions, offsets in structs, values of enums.
One pass finds the named types asked for; nothing else is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .facts import Struct

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = 2, 3, 4, 5, 6, 7, 8
_VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO = 9, 10, 11, 12, 13
_TYPE_TAG, _ENUM64 = 18, 19
# Words that follow the three of a type's head: (fixed, per element of vlen), by kind.
_TAIL = {
    1: (1, 0), 2: (0, 0), 3: (3, 0), 4: (0, 3), 5: (0, 3), 6: (0, 2), 7: (0, 0), 8: (0, 0),
    9: (0, 0), 10: (0, 0), 11: (0, 0), 12: (0, 0), 13: (0, 2), 14: (1, 0), 15: (0, 3),
    16: (0, 0), 17: (1, 0), 18: (0, 0), 19: (0, 3),
}  # fmt: skip
_TAGS = {_STRUCT: "struct ", _UNION: "union ", _ENUM: "enum ", _FWD: "struct ", _ENUM64: "enum "}
_QUALIFIERS = {_VOLATILE: "volatile ", _CONST: "const ", _RESTRICT: "restrict ", _TYPE_TAG: ""}


class BtfError(ValueError):
    """The bytes are not BTF that this reader knows."""


@dataclass(frozen=True)
class Prototype:
    """A function's BTF id, its parameters as (name, type) and the type it returns."""

    btf_id: int
    params: tuple[tuple[str, str], ...]
    returns: str


class Btf:
    """The types of one BTF blob; `Btf.of_kernel()` for the running kernel."""

    def __init__(self, data: bytes) -> None:
        """Index `data`; raise `BtfError` where it is not little-endian BTF."""
        if len(data) < 24 or int.from_bytes(data[:2], "little") != _MAGIC:
            raise BtfError("not BTF: the magic number is missing")
        header = int.from_bytes(data[4:8], "little")
        type_off, type_len, str_off, str_len = (
            int.from_bytes(data[at : at + 4], "little") for at in range(8, 24, 4)
        )
        self._words = memoryview(data[header + type_off : header + type_off + type_len]).cast("I")
        self._strings = data[header + str_off : header + str_off + str_len]
        self._at = [0]
        self._functions: dict[int, int] = {}
        self._structs: dict[int, int] = {}
        self._enums: dict[int, int] = {}
        self._index()

    @classmethod
    def of_kernel(cls, path: Path = VMLINUX) -> Btf:
        """Return the running kernel's BTF; raise OSError where it has none."""
        return cls(path.read_bytes())

    def _index(self) -> None:
        """Note where each type lies, and by place of its name the first of each sort."""
        words, at, end, tail, found = self._words, 0, len(self._words), _TAIL, self._at
        named = {
            _FUNC: self._functions,
            **dict.fromkeys((_STRUCT, _UNION), self._structs),
            **dict.fromkeys((_ENUM, _ENUM64), self._enums),
        }
        try:
            while at < end:
                info = words[at + 1]
                kind = info >> 24 & 0x1F
                fixed, each = tail[kind]
                if kind in named:
                    named[kind].setdefault(words[at], len(found))
                found.append(at)
                at += 3 + fixed + each * (info & 0xFFFF)
        except KeyError as unknown:
            raise BtfError(f"not BTF that is known here: kind {unknown}") from None

    def _kind(self, type_id: int) -> int:
        return self._words[self._at[type_id] + 1] >> 24 & 0x1F if type_id else 0

    def _string(self, offset: int) -> str:
        return self._strings[offset : self._strings.index(0, offset)].decode()

    def _name(self, type_id: int) -> str:
        return self._string(self._words[self._at[type_id]])

    def _find(self, names: Iterable[str], there: Mapping[int, int]) -> dict[str, int]:
        """Return name -> type id of those of `names` that are there, in order of their ids."""
        wanted = {}
        for name in names:
            at = self._strings.find(b"\0" + name.encode() + b"\0")
            if at >= 0:
                wanted[at + 1] = name
        found = {name: there[at] for at, name in wanted.items() if at in there}
        return dict(sorted(found.items(), key=lambda item: item[1]))

    def functions(self, names: Iterable[str]) -> dict[str, Prototype]:
        """Return the prototypes of those of `names` that BTF knows."""
        found = {}
        for name, type_id in self._find(names, self._functions).items():
            at = self._at[self._words[self._at[type_id] + 2]]
            params = tuple(
                (self._string(self._words[p]), self.type_name(self._words[p + 1]))
                for p in range(at + 3, at + 3 + 2 * (self._words[at + 1] & 0xFFFF), 2)
            )
            found[name] = Prototype(type_id, params, self.type_name(self._words[at + 2]))
        return found

    def structs(self, names: Iterable[str]) -> dict[str, Struct]:
        """Return size and member offsets (bytes) of those of `names` that BTF knows."""
        return {
            name: Struct(self._words[self._at[type_id] + 2], dict(self._members(type_id, 0)))
            for name, type_id in self._find(names, self._structs).items()
        }

    def _members(self, type_id: int, base: int) -> Iterator[tuple[str, int]]:
        """Yield (name, byte offset), going into anonymous structs and unions."""
        at = self._at[type_id]
        info = self._words[at + 1]
        for m in range(at + 3, at + 3 + 3 * (info & 0xFFFF), 3):
            name, inner, bits = self._words[m], self._words[m + 1], self._words[m + 2]
            if info >> 31:  # kind_flag: the upper byte is the size of a bit field
                bits &= 0xFFFFFF
            offset = base + bits // 8
            if name:
                yield self._string(name), offset
            elif self._kind(inner := self._unqualified(inner)) in (_STRUCT, _UNION):
                yield from self._members(inner, offset)

    def _unqualified(self, type_id: int) -> int:
        while self._kind(type_id) in _QUALIFIERS:
            type_id = self._words[self._at[type_id] + 2]
        return type_id

    def enums(self, names: Iterable[str]) -> dict[str, dict[str, int]]:
        """Return enumerator -> value of those of `names` that BTF knows."""
        found = {}
        for name, type_id in self._find(names, self._enums).items():
            at, width = self._at[type_id], _TAIL[self._kind(type_id)][1]
            found[name] = {
                self._string(self._words[e]): self._words[e + 1] | self._high(e, width)
                for e in range(at + 3, at + 3 + width * (self._words[at + 1] & 0xFFFF), width)
            }
        return found

    def _high(self, at: int, width: int) -> int:
        """Return the upper half of an enumerator's value, where it has one."""
        return self._words[at + 2] << 32 if width > 2 else 0

    def type_name(self, type_id: int) -> str:
        """Return the C spelling of a type, such as "struct folio *"."""
        kind = self._kind(type_id)
        if kind == 0:
            return "void"
        inner = self._words[self._at[type_id] + 2]
        if kind == _PTR:
            pointee = self.type_name(inner)
            return pointee + ("*" if pointee.endswith("*") else " *")
        if kind in _QUALIFIERS:
            return _QUALIFIERS[kind] + self.type_name(inner)
        if kind == _FUNC_PROTO:
            return "function"
        if kind == _ARRAY:
            return "array"
        return _TAGS.get(kind, "") + (self._name(type_id) or "(anonymous)")
