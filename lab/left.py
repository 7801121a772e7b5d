"""What a scenario has left: its recording, and beside it the result of the live run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..kernels.semantics import changes_of
from ..probes import events
from ..recordings.reader import Recording
from . import exchange
from .rules.row import Run


@dataclass(frozen=True)
class Left:
    """The recording of a scenario, what was found live, and the run, ready for its rules."""

    recording: Recording
    result: dict[str, Any]
    run: Run


def read(folder: Path) -> Left:
    """Return what `rmapwatch lab record` has left in a folder; UsageError where it is not that."""
    recording = Recording(folder)
    try:
        result = json.loads((folder / exchange.RESULT).read_text())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} is no recording of a scenario",
            str(error),
            f"rmapwatch lab record fork-storm -o {folder}",
        ) from None
    meta = recording.meta
    if meta.end is None:
        raise UsageError(f"{folder} is cut off", "it has no end", "record it again")
    *_, last = recording.samples()
    return Left(
        recording,
        result,
        Run(
            sample=last,
            records={event: recording.records(event) for event in events.EVENTS},
            ledger=meta.end.ledger,
            kernel=meta.kernel,
            cpus=result["cpus"],
            lru=result["lru"],
            vmstat=result["vmstat"],
            changes=changes_of(meta.kernel),
        ),
    )
