"""The one family of errors that a user sees, and the exit codes they map to."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

FAILED = 1
USAGE = 2
NOT_PERMITTED = 3
NOTHING_ATTACHED = 4


class RmapwatchError(Exception):
    """
    Something a user can act on: what failed, why, and a hint that can be pasted.

    `door` is the only place that prints it and exits with ``code``.
    """

    code = FAILED

    def __init__(self, what: str, why: str, hint: str = "") -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why
        self.hint = hint


class UsageError(RmapwatchError):
    """The command was asked for something that does not exist or cannot be combined."""

    code = USAGE


class NotPermittedError(RmapwatchError):
    """The user or the kernel's lockdown does not allow it."""

    code = NOT_PERMITTED


class NothingAttachedError(RmapwatchError):
    """No probe could be attached here, so there is nothing to show."""

    code = NOTHING_ATTACHED


def told(error: RmapwatchError) -> dict[str, str | int]:
    """Return the error as another process is told of it; `retold` makes it an error again."""
    return {"what": error.what, "why": error.why, "hint": error.hint, "code": error.code}


def retold(message: dict[str, Any]) -> RmapwatchError:
    """Return the error that another process raised, of the kind that has its exit code."""
    kinds = (UsageError, NotPermittedError, NothingAttachedError)
    kind = next((kind for kind in kinds if kind.code == message["code"]), RmapwatchError)
    return kind(message["what"], message["why"], message["hint"])


def door(run: Callable[[], object], typed: Sequence[str]) -> None:
    """Do `run`, and end the process with what it raises as a user sees it. `typed`: arguments."""
    try:
        run()
    except RmapwatchError as error:
        print(f"rmapwatch: {error.what}: {error.why}", file=sys.stderr)
        if hint := error.hint or _sudo(error, typed):
            print(f"hint: {hint}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def _sudo(error: RmapwatchError, typed: Sequence[str]) -> str:
    """Return the same command under sudo, where that is what is missing."""
    return shlex.join(["sudo", "rmapwatch", *typed]) if isinstance(error, NotPermittedError) else ""
