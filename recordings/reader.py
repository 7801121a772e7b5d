"""
Reads a recording, whole or cut off.

A stream is whole if it closes with Arrow's end mark. Otherwise its writer was killed or the disk
was full: it is read up to its last whole batch, and `Recording.truncated` says where that is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import RmapwatchError, UsageError
from ..probes import events
from ..probes.ring import Records
from ..probes.sample import Sample
from . import meta as metas
from . import schema
from .arrow import ipc, pa
from .writer import SUFFIX

_END = b"\xff\xff\xff\xff\0\0\0\0"
_CONTINUATION = _END[:4]


class Cut(NamedTuple):
    """How much of a stream can be read, and what is wrong with the rest."""

    batches: int
    reason: str


class _Extent(NamedTuple):
    """The whole messages of a stream: bytes and batches; ``reason`` is "" where all are whole."""

    size: int
    batches: int
    reason: str


class Recording:
    """
    A recording on disk.

    ``truncated``: file name to what is wrong, for each stream that is not whole. ``complete``: its
    writer closed it and no stream is cut.
    """

    def __init__(self, folder: Path) -> None:
        """Look at `folder`; raise `UsageError` where it is no recording."""
        self.folder = folder
        try:
            self.meta = metas.read(folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise UsageError(
                f"{folder} cannot be read as a recording",
                f"{metas.NAME}: {why}",
                f"rmapwatch record -o {folder}-2",
            ) from None
        self._extents = {name: self._extent(name) for name in (schema.SAMPLES, *events.EVENTS)}
        self.truncated = {
            f"{name}{SUFFIX}": Cut(extent.batches, extent.reason)
            for name, extent in self._extents.items()
            if extent.reason
        }
        self.complete = self.meta.complete and not self.truncated

    def complaints(self) -> Iterator[str]:
        """Yield a line for everything that is missing."""
        if not self.meta.complete:
            yield f"{metas.NAME}: its writer did not end it"
        for name, cut in self.truncated.items():
            yield f"{name}: read up to its whole batches, {cut.batches}: {cut.reason}"

    def is_cut(self, stream: str) -> bool:
        """Return whether a stream ends before its writer closed it."""
        return f"{stream}{SUFFIX}" in self.truncated

    def samples(self) -> Iterator[Sample]:
        """Yield the Samples, oldest first."""
        with self._told(schema.SAMPLES):
            for batch in self.batches(schema.SAMPLES):
                yield from schema.samples_of(batch)

    def last_sample(self) -> Sample | None:
        """Return the last Sample, None without any."""
        latest = None
        for batch in self.batches(schema.SAMPLES):
            latest = batch
        if latest is None:
            return None
        with self._told(schema.SAMPLES):
            return list(schema.samples_of(latest))[-1]

    def batches(self, stream: str, names: Collection[str] | None = None) -> Iterator[Any]:
        """
        Yield the whole record batches of a type of event (`pyarrow.RecordBatch`).

        ``names``: of these columns alone, where the stream has them; None for all.
        """
        extent = self._extents[stream]
        if not extent.batches:
            return
        with self._told(stream):
            data = self._data(stream).slice(0, extent.size)
            for batch in ipc.open_stream(data, options=_only(data, names)):
                batch.validate(full=True)  # Arrow trusts what it reads, and a rotten offset kills
                yield batch

    def table(self, event: str) -> Any:
        """Return all events of a type as a `pyarrow.Table`."""
        return schema.completed(event, list(self.batches(event)))

    def records(self, event: str) -> Records:
        """Return all events of a type as `probes.ring` had them; pointers are hashes."""
        with self._told(event):
            return schema.records_of(event, self.table(event))

    def _data(self, stream: str) -> Any:
        path = self.folder / f"{stream}{SUFFIX}"
        if not path.exists() or not path.stat().st_size:
            return pa.py_buffer(b"")
        return pa.memory_map(str(path)).read_buffer()

    @contextmanager
    def _told(self, stream: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            path, why = self.folder / f"{stream}{SUFFIX}", str(error).partition("\n")[0]
            raise RmapwatchError(f"{path} cannot be read", why, f"ls -l {self.folder}") from None

    def _extent(self, stream: str) -> _Extent:
        """Walk over the messages of a stream without reading what they hold."""
        with self._told(stream):
            data = self._data(stream)
            if data.size and bytes(data[:4]) != _CONTINUATION[: data.size]:
                raise ValueError("it is no Arrow stream")
            if data.size == 0:
                return _Extent(0, 0, "" if self._optional(stream) else "it is empty")
            extent, found = _walk(data)
            if found is not None and (why := schema.complaint(stream, found)):
                raise ValueError(why)
            return extent

    def _optional(self, stream: str) -> bool:
        """Return whether a recording may lack the stream: an older version knew no such events."""
        return stream != schema.SAMPLES and not (self.folder / f"{stream}{SUFFIX}").exists()


def _only(data: Any, names: Collection[str] | None) -> Any:
    """Return Arrow's options to read these columns of a stream and to pass over the others."""
    if names is None:
        return ipc.IpcReadOptions()
    there = ipc.open_stream(data).schema.names
    return ipc.IpcReadOptions(included_fields=[n for n, name in enumerate(there) if name in names])


def _walk(data: Any) -> tuple[_Extent, Any]:
    """Return the extent of the whole messages, and the schema where there is one."""
    source, found, size, batches = pa.BufferReader(data), None, 0, 0
    messages = ipc.MessageReader.open_stream(source)
    try:
        while True:
            message = messages.read_next_message()
            if message.type == "schema":
                found = ipc.read_schema(message)
            batches += message.type == "record batch"
            size = source.tell()
    except (StopIteration, OSError, pa.ArrowException):
        pass
    return _Extent(size, batches, _reason(data.slice(size))), found


def _reason(rest: Any) -> str:
    """Return what is wrong with what follows the last whole message; "" for the end mark."""
    if rest.size == len(_END) and bytes(rest) == _END:
        return ""
    what = f"{rest.size} bytes of a further message" if rest.size else "the end mark is missing"
    return f"it is cut off: {what}"
