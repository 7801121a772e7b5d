"""
Pages of the kernel's trace buffer, as `trace_pipe_raw` gives them, cut into records. Pure.

A page begins with the time of its first record, and how many of its bytes are written; the upper
bits of that say that records before it were overwritten (include/linux/ring_buffer.h,
kernel/trace/ring_buffer.c). Each record begins with a word: five bits of its length or kind, 27 of
the time since the one before.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_FIELD = re.compile(r"\bfield:.*?(\w+);\s*offset:(\d+);\s*size:(\d+);")
_KINDS = {"padding": 29, "time_extend": 30, "time_stamp": 31, "data max type_len": 28}
_KIND = re.compile(r"^\s*([\w ]+?)\s*:?\s*(?:: type)? == (\d+)$", re.MULTILINE)
_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31
_DELTA_BITS = 27
_STAMP_BITS = 59
_MISSED, _WRITTEN = 1 << 31, (1 << 30) - 1
_HEAD = struct.Struct("<I")
_TWO = struct.Struct("<II")
_TIME = struct.Struct("<Q")


@dataclass(frozen=True)
class Layout:
    """Where a page has the length of what is written, its data, and how long it is, in bytes."""

    commit: int
    data: int
    size: int


@dataclass(frozen=True)
class Page:
    """
    The records of a page: (time in ns by the instance's clock, where the event begins).

    ``missed``: records that came before this page were overwritten.
    """

    missed: bool
    records: list[tuple[int, int]]


def layout(header_page: str, header_event: str) -> Layout:
    """Return the layout that tracefs tells; raise ValueError where it is not one known here."""
    kinds = {name: int(number) for name, number in _KIND.findall(header_event)}
    fields = {name: (int(at), int(size)) for name, at, size in _FIELD.findall(header_page)}
    at, size = fields.get("data", (0, 0))
    if kinds != _KINDS or fields.get("timestamp") != (0, 8) or not size or "commit" not in fields:
        raise ValueError("the trace buffer's records are not of a form known here")
    return Layout(fields["commit"][0], at, at + size)


def cut(page: bytes, shape: Layout) -> Page:
    """Return the records of one page; raise ValueError where a record is cut short."""
    (time,) = _TIME.unpack_from(page, 0)
    (commit,) = _HEAD.unpack_from(page, shape.commit)
    at, end = shape.data, shape.data + (commit & _WRITTEN)
    if end > len(page):
        raise ValueError(f"a page of {len(page)} bytes claims {end}")
    records = []
    while at < end:
        (head,) = _HEAD.unpack_from(page, at)
        kind, delta = head & 31, head >> 5
        if 0 < kind < _PADDING:
            time += delta
            records.append((time, at + 4))
            at += 4 + 4 * kind
            continue
        if kind == _PADDING and not delta:
            break
        if at + 8 > end:
            raise ValueError(f"a record at {at} is cut short")
        word = _TWO.unpack_from(page, at)[1]
        if kind == _TIME_EXTEND:
            time += (word << _DELTA_BITS) + delta
            at += 8
        elif kind == _TIME_STAMP:
            time = time >> _STAMP_BITS << _STAMP_BITS | (word << _DELTA_BITS) + delta
            at += 8
        else:
            time += delta
            if kind != _PADDING:
                records.append((time, at + 8))
            at += 4 + word
    if at > end:
        raise ValueError(f"a record ends at {at}, after {end}")
    return Page(bool(commit & _MISSED), records)
