"""The loader as a service of this machine, for a reader that is not root."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from .. import errors
from . import session

GROUP = "rmapwatch"
"""Whose members the units of deploy/ let ask the loader."""

_PASSED_FD = 3
"""Where systemd puts a connection that it has accepted."""


def connect(request: session.Request, path: Path) -> session.Session:
    """
    Return a Session over what the loader that listens at `path` attached; needs no root.

    Raise `NotPermittedError` where it does not serve this user, and `NothingAttachedError` where
    it is not there or nothing came of it.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(os.fspath(path))
            return session.ask(sock, request)
        except PermissionError as error:
            raise errors.NotPermittedError(
                f"the loader at {path} cannot be asked",
                error.strerror or str(error),
                f"usermod --append --groups {GROUP} USER",
            ) from None
        except OSError as error:
            raise errors.NothingAttachedError(
                f"the loader at {path} gave no answer",
                error.strerror or str(error),
                "systemctl status rmapwatch-loader.socket 'rmapwatch-loader@*'",
            ) from None


def serve_passed(group: str) -> None:
    """
    Become the loader of the one connection that systemd passed, for root and members of `group`.

    Raise `UsageError` where there is none.
    """
    if os.environ.get("LISTEN_FDS") != "1" or os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise errors.UsageError(
            "there is nobody to serve",
            "systemd passed no connection",
            "systemctl start rmapwatch-loader.socket",
        )
    command = session.loader_command(session.DISTRIBUTION_PYTHON, _PASSED_FD, group)
    os.execv(command[0], command)
