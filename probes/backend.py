"""Which backend attaches the probes: bcc where it can, otherwise events of tracefs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from .. import errors
from ..kernels.facts import KernelFacts
from . import session
from .sample import Attachment, Sample
from .session import Request

if TYPE_CHECKING:
    from .ring import Batch


class Backend(StrEnum):
    """What attaches the probes; ``AUTO``: bcc, and ftrace where bcc attaches nothing."""

    AUTO = "auto"
    BCC = "bcc"
    FTRACE = "ftrace"


class Ring(Protocol):
    """What hands out the events of a session."""

    def drain(self) -> tuple[int, Batch]:
        """Return the seq of the first slot and the slots that nobody has taken."""


class Attached(Protocol):
    """
    Probes that are attached, whatever did it.

    ``unavailable``: why other probe points that were asked for are not.
    """

    facts: KernelFacts
    backend: str
    attached: tuple[Attachment, ...]
    unavailable: Mapping[str, str]

    def sample(self, tries: int = session.QUIET_TRIES) -> Sample:
        """Return what has been counted; quiet where two readings of 1 + `tries` agreed."""

    def ring(self) -> Ring:
        """Return what hands out the events; there can be only one."""

    def want_events(self, names: Sequence[str]) -> None:
        """Have events of these types told, and no others."""

    def received(self, event: str, count: int) -> None:
        """Note that `count` more events of a type were taken."""

    def restart(self) -> None:
        """Count from zero from now on; nothing should be under way."""

    def close(self) -> None:
        """Detach everything."""


def start(request: Request, backend: Backend, say: Callable[[str], None]) -> Attached:
    """
    Attach what `request` asks for; `say` is told where another backend stands in, and why.

    Raise `NotPermittedError` without root and `NothingAttachedError` where nothing came of it.
    """
    if backend != Backend.FTRACE:
        try:
            return session.start(request)
        except errors.NothingAttachedError as refused:
            if backend == Backend.BCC:
                raise
            return _instead(request, refused, say)
    return _by_events(request)


def _by_events(request: Request) -> Attached:
    from .ftrace import session as ftrace

    return ftrace.start(request)


def _instead(
    request: Request, refused: errors.RmapwatchError, say: Callable[[str], None]
) -> Attached:
    """Return what ftrace attaches; raise what bcc said where that is nothing, too."""
    try:
        attached = _by_events(request)
    except errors.RmapwatchError:
        raise refused from None
    say(f"by ftrace, since bcc attaches nothing: {refused}")
    return attached
