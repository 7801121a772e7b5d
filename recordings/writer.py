"""
Writes a recording: a folder with `meta.json` and one Arrow IPC stream per type of event.

What is appended waits in memory until `flush`, which adds one batch to each stream that has
something new. What was flushed outlives the writer, whatever becomes of it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RmapwatchError
from ..probes import events
from ..probes.ring import Records
from ..probes.sample import Sample
from . import meta as metas
from . import schema
from .arrow import ipc, pa
from .meta import Ending, Meta

FLUSH_RECORDS = 1 << 16
"""So many events of a type are flushed by themselves."""

SUFFIX = ".arrows"
"""The ending that Arrow's specification gives to the stream format."""


class Writer:
    """Writes one recording into a new folder; only `close` makes it complete."""

    def __init__(self, folder: Path, meta: Meta) -> None:
        """Make the folder (0700) and its files (0600); raise `UsageError` where it is taken."""
        metas.require_new(folder)
        self._folder, self._meta = folder, meta
        self._waiting: dict[str, list[Records]] = {name: [] for name in events.EVENTS}
        with self._told():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            metas.write(folder, meta)
            names = (schema.SAMPLES, *events.EVENTS)
            self._streams = {name: _Stream(folder, name) for name in names}

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            hint = f"df -h {self._folder.absolute().parent}"
            raise RmapwatchError(f"{self._folder} cannot be written", why, hint) from None

    def append(self, event: str, records: Records) -> None:
        """Take events of one type, kernel addresses hidden already."""
        self._waiting[event].append(records)
        if sum(map(len, self._waiting[event])) >= FLUSH_RECORDS:
            self._flush(event)

    def sample(self, sample: Sample) -> None:
        """Write a Sample, and with it all that waits."""
        self.flush()
        with self._told():
            self._streams[schema.SAMPLES].write(schema.batch_of_sample(sample))

    def flush(self) -> None:
        """Add what waits to the streams: a batch per type of event that has any."""
        for event in self._waiting:
            self._flush(event)

    def _flush(self, event: str) -> None:
        waiting, self._waiting[event] = self._waiting[event], []
        if any(map(len, waiting)):
            with self._told():
                self._streams[event].write(schema.batch_of(event, np.concatenate(waiting)))

    def close(self, end: Ending) -> None:
        """End the streams and say in `meta.json` that all is there."""
        self.flush()
        with self._told():
            for stream in self._streams.values():
                stream.close()
            metas.write(self._folder, dataclasses.replace(self._meta, complete=True, end=end))


class _Stream:
    def __init__(self, folder: Path, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(folder / f"{name}{SUFFIX}", flags, 0o600)
        self._file = os.fdopen(fd, "wb")
        options = ipc.IpcWriteOptions(compression="zstd")
        sink = pa.PythonFile(self._file, mode="w")
        self._writer = ipc.new_stream(sink, schema.of_stream(name), options=options)

    def write(self, batch: Any) -> None:
        self._writer.write_batch(batch)
        self._file.flush()

    def close(self) -> None:
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
