"""
The columns of a recording: of events, made from the event table; of Samples, from the dataclass.

A value that the kernel does not tell is null. Numbers that stand for names are written as the
names, so that a file explains itself. What is one in all rows (the type of event) is left out.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..probes import events, ring
from ..probes.events import EventField
from ..probes.ring import Records
from ..probes.sample import Sample
from . import codec
from .arrow import pa
from .meta import VERSION

SAMPLES = "samples"
"""The stream that holds no events."""

_LEFT_OUT = ("type", "reserved")
_VERSION_KEY, _STREAM_KEY = b"rmapwatch.schema", b"rmapwatch.stream"
_SCALARS = {int: "int64", bool: "bool_", str: "string"}


def columns(event: str) -> tuple[EventField, ...]:
    """Return the fields of an event that are columns, in order."""
    return (events.SEQ, *(f for f in events.fields(event) if f.name not in _LEFT_OUT))


def markdown(event: str) -> Iterator[str]:
    """Yield the rows of the table of columns in docs/recordings.md."""
    for member in columns(event):
        null = "" if member.unknown is None else "yes"
        kind = "names" if member.names else _type(member)
        yield f"| `{member.name}` | {kind} | {member.unit} | {null} | {_doc(member)} |"


@functools.cache
def of_stream(stream: str) -> Any:
    """Return the Arrow schema of the stream of that name."""
    if stream == SAMPLES:
        fields = [pa.field(name, _sample_type(h)) for name, h in codec.hints(Sample).items()]
    else:
        fields = [_field(member) for member in columns(stream)]
    return pa.schema(fields, {_VERSION_KEY: str(VERSION), _STREAM_KEY: stream})


def complaint(stream: str, found: Any) -> str:
    """Return why a file's schema is not that of `stream`; "" where it is."""
    told = found.metadata or {}
    if _STREAM_KEY not in told:
        return "it was not written by rmapwatch"
    if told.get(_VERSION_KEY) != str(VERSION).encode():
        return f"its format is {told.get(_VERSION_KEY, b'?').decode()}, not {VERSION}"
    if told[_STREAM_KEY] != stream.encode():
        return f"it holds {told[_STREAM_KEY].decode()}"
    for field in of_stream(stream):
        if field.name not in found.names:
            if not field.nullable:
                return f"it has no column {field.name}"
        elif found.field(field.name).type != field.type:
            return f"its column {field.name} is {found.field(field.name).type}, not {field.type}"
    return ""


def _doc(member: EventField) -> str:
    """Return what the column is: the half-sentence about the unknown value is for the ring."""
    return member.doc if member.unknown is None else member.doc.rpartition(";")[0]


def _type(member: EventField) -> Any:
    if member.names:
        return pa.dictionary(pa.int8(), pa.string())
    if member.ctype == "char":
        return pa.string()
    return getattr(pa, {"u": "uint", "s": "int"}[member.ctype[0]] + member.ctype[1:])()


def _field(member: EventField) -> Any:
    told = {"doc": _doc(member)} | ({"unit": member.unit} if member.unit else {})
    return pa.field(member.name, _type(member), member.unknown is not None, told)


def batch_of(event: str, records: Records) -> Any:
    """Return the record batch that holds `records`."""
    arrays = [_array(member, records[member.name]) for member in columns(event)]
    return pa.RecordBatch.from_arrays(arrays, schema=of_stream(event))


def completed(event: str, batches: list[Any]) -> Any:
    """Return the table of `batches`; what the version that wrote them did not know is null."""
    wanted = of_stream(event)
    if not batches:
        return pa.Table.from_batches([], wanted)
    found = pa.Table.from_batches(batches)
    columns = [
        found.column(field.name)
        if field.name in found.schema.names
        else pa.nulls(found.num_rows, field.type)
        for field in wanted
    ]
    return pa.Table.from_arrays(columns, schema=wanted)


def load_all() -> None:
    """Have pyarrow and numpy load what they load late: by then privileges may be dropped."""
    for event in events.EVENTS:
        batch_of(event, np.zeros(2, ring.dtype(event)))


def _array(member: EventField, values: npt.NDArray[Any]) -> Any:
    values = np.ascontiguousarray(values)
    if member.names:
        codes = pa.array(values.astype("i1"), mask=_mask(member, values))
        return pa.DictionaryArray.from_arrays(codes, pa.array(member.names))
    if member.ctype == "char":
        unique, places = np.unique(values, return_inverse=True)
        return pa.array([_text(value) for value in unique], pa.string()).take(pa.array(places))
    return pa.array(values, mask=_mask(member, values))


def _mask(member: EventField, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Return which values say that the kernel does not tell; None where none can."""
    if member.unknown is None:
        return None
    mask: npt.NDArray[np.bool_] = values == np.array(member.unknown, values.dtype)
    return mask


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode(errors="backslashreplace")


def records_of(event: str, table: Any) -> Records:
    """Return the events that a table or a record batch holds, as the ring gave them."""
    found = np.zeros(table.num_rows, ring.dtype(event))
    found["type"] = events.type_number(event)
    for name, values in columns_of(event, table, _members(event)).items():
        found[name] = values
    return found


def columns_of(event: str, table: Any, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Return columns of a table or a record batch, their values as the ring gave them."""
    members, there = _members(event), {name: n for n, name in enumerate(table.schema.names)}
    found = {}
    for name in names:
        member, kind = members[name]
        values = (
            _values(member, table.column(there[name]))
            if name in there
            else np.full(table.num_rows, member.unknown)
        )
        found[name] = values.astype(kind, copy=False)
    return found


@functools.cache
def _members(event: str) -> dict[str, tuple[EventField, np.dtype[Any]]]:
    """Return the columns of an event by name, and the type of each in the ring."""
    whole = ring.dtype(event)
    return {member.name: (member, whole[member.name]) for member in columns(event)}


def _values(member: EventField, column: Any) -> npt.NDArray[Any]:
    if member.names or member.ctype == "char":
        chunks = getattr(column, "chunks", [column])
        return np.concatenate([_codes(member, chunk) for chunk in chunks] or [np.empty(0)])
    if column.null_count:
        column = column.fill_null(pa.scalar(member.unknown, column.type))
    whole: npt.NDArray[Any] = np.asarray(column)
    return whole


def _codes(member: EventField, chunk: Any) -> npt.NDArray[Any]:
    encoded = chunk if member.names else chunk.dictionary_encode()
    known = [_code(member, text) for text in encoded.dictionary.to_pylist()]
    if not encoded.null_count and known == list(range(len(known))):
        return np.asarray(encoded.indices)
    # What is null is written as the place after the last name.
    places = encoded.indices.cast(pa.int16()).fill_null(len(known))
    unknown = [] if member.unknown is None else [member.unknown]
    found: npt.NDArray[Any] = np.array([*known, *unknown])[np.asarray(places)]
    return found


def _code(member: EventField, text: str) -> int | bytes:
    """Return what stands in a record for a name, or for a text."""
    if not member.names:
        return text.encode()
    if text not in member.names:
        raise ValueError(f"{member.name} {text!r} is not known to this version")
    return member.names.index(text)


def _sample_type(hint: Any) -> Any:
    return getattr(pa, _SCALARS.get(hint, "string"))()


def batch_of_sample(sample: Sample) -> Any:
    """Return a Sample as a batch of one row: a column per field, JSON where it is no scalar."""
    row = {
        name: [value if hint in _SCALARS else json.dumps(value, separators=(",", ":"))]
        for (name, hint), value in zip(
            codec.hints(Sample).items(), codec.dump(sample).values(), strict=True
        )
    }
    return pa.RecordBatch.from_pydict(row, schema=of_stream(SAMPLES))


def samples_of(batch: Any) -> Iterator[Sample]:
    """Yield the Samples that a batch holds; raise ValueError where it holds something else."""
    for row in batch.to_pylist():
        hints = codec.hints(Sample).items()
        yield Sample(**{name: _sample_value(name, hint, row) for name, hint in hints})


def _sample_value(name: str, hint: Any, row: dict[str, Any]) -> Any:
    if row.get(name) is None:
        return codec.absent(Sample, name)
    return codec.load(hint, row[name] if hint in _SCALARS else json.loads(row[name]))
