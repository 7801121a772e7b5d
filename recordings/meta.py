"""`meta.json`: what was recorded, where, under which probes, and how it ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UsageError
from ..kernels.facts import KernelFacts
from ..probes.sample import Attachment, EventCounts
from . import codec

NAME = "meta.json"

VERSION = 1
"""Of the whole format, streams included: a reader refuses any other."""


@dataclass(frozen=True)
class Clocks:
    """One moment on two clocks, ns: CLOCK_MONOTONIC, which events carry, and CLOCK_REALTIME."""

    monotonic_ns: int
    realtime_ns: int

    @classmethod
    def now(cls) -> Clocks:
        """Return this moment."""
        return cls(time.monotonic_ns(), time.time_ns())


@dataclass(frozen=True)
class Plan:
    """Which probes were attached and how, and why others were not."""

    backend: str
    attached: tuple[Attachment, ...]
    unavailable: Mapping[str, str]


@dataclass(frozen=True)
class Ending:
    """
    What is known only when all is over.

    ``window``: CLOCK_MONOTONIC of the first and the last Sample, ns; None without any. ``missed``:
    calls per probe that could not be followed, None where it is not known. ``ledger``: what the
    workload says that it did; None without one.
    """

    clocks: Clocks
    window: tuple[int, int] | None
    missed: Mapping[str, int | None]
    events: Mapping[str, EventCounts]
    ledger: Any = None


@dataclass(frozen=True)
class Meta:
    """What a recording says of itself; ``end`` is None until its writer has closed it."""

    kernel: KernelFacts
    plan: Plan
    start: Clocks
    schema: int = VERSION
    command: tuple[str, ...] = ()
    rmapwatch: str = __version__
    complete: bool = False
    end: Ending | None = None


def require_new(folder: Path) -> None:
    """Raise `UsageError` where `folder` holds anything: no recording is ever written over."""
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise UsageError(
            f"{folder} cannot take a recording", str(error), _new_name(folder)
        ) from None
    if taken:
        raise UsageError(
            f"{folder} cannot take a recording", "there is something already", _new_name(folder)
        )


def _new_name(folder: Path) -> str:
    return f"-o {folder}-2"


def write(folder: Path, meta: Meta) -> None:
    """Put `meta.json` in place, whole or not at all, readable by its owner alone."""
    text = json.dumps(codec.dump(meta), indent=1) + "\n"
    temporary = folder / f".{NAME}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    temporary.rename(folder / NAME)


def read(folder: Path) -> Meta:
    """Return what `meta.json` says; raise OSError or ValueError where it says nothing of use."""
    data = json.loads((folder / NAME).read_text())
    if not isinstance(data, dict) or "schema" not in data:
        raise ValueError("it was not written by rmapwatch")
    if data["schema"] != VERSION:
        raise ValueError(f"its format is {data['schema']}, not {VERSION}")
    meta: Meta = codec.load(Meta, data)
    return meta
