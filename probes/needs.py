"""
What probing a kernel needs, and the words for its absence: the loader, the reader and `doctor` say
the same. Standard library only: the loader runs under the distribution's Python.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import NothingAttachedError, NotPermittedError

LOCKDOWN = Path("/sys/kernel/security/lockdown")
BUILT_IN_HEADERS = Path("/sys/kernel/kheaders.tar.xz")
MOUNT_TRACEFS = "mount -t tracefs tracefs /sys/kernel/tracing"
_UNPROBED = "this kernel cannot be probed"
_UNCOMPILED = "the probes cannot be compiled"


def install(*packages: str) -> str:
    """Return the command that installs Debian packages."""
    return " ".join(("apt-get install -y", *packages))


def headers(release: str) -> Path | None:
    """Return the kernel headers that bcc would take, None where there are none."""
    build = Path("/lib/modules") / release / "build"
    if (build / "include").exists():
        return build
    return BUILT_IN_HEADERS if BUILT_IN_HEADERS.exists() else None


def require_root(what: str) -> None:
    """Raise `NotPermittedError` without root."""
    if os.geteuid() != 0:
        raise NotPermittedError(what, "this needs root")


def lockdown() -> str | None:
    """Return none, integrity or confidentiality; None where the kernel does not tell."""
    try:
        told = LOCKDOWN.read_text()
    except OSError:
        return None
    return told.partition("[")[2].partition("]")[0] or None


def locked_down() -> NotPermittedError:
    """Return the error for a kernel whose memory nobody may read; kernel_lockdown(7)."""
    return NotPermittedError(
        _UNPROBED,
        "it lets nobody read its memory: lockdown=confidentiality",
        "boot without lockdown=confidentiality (cat /proc/cmdline)",
    )


def forbidden_tracefs(lockdown: str | None) -> NotPermittedError:
    """Return the error where not even root may read tracefs."""
    if lockdown == "confidentiality":
        return locked_down()
    return NotPermittedError(
        _UNPROBED,
        "tracefs may not be read",
        "cat /sys/kernel/tracing/available_filter_functions",
    )


def no_btf(why: str) -> NothingAttachedError:
    """Return the error for a kernel that does not describe its types."""
    return NothingAttachedError(
        _UNPROBED, f"it has no BTF: {why}", "boot a kernel with CONFIG_DEBUG_INFO_BTF=y"
    )


def no_tracefs() -> NothingAttachedError:
    """Return the error for a kernel whose function tracer cannot be asked."""
    return NothingAttachedError(
        _UNPROBED, "tracefs is not there: no function tracer, or it is not mounted", MOUNT_TRACEFS
    )


def no_headers(release: str) -> NothingAttachedError:
    """Return the error where bcc would find nothing to compile against."""
    return NothingAttachedError(
        _UNCOMPILED,
        f"there are no headers of kernel {release} (/lib/modules/{release}/build is missing)",
        install(f"linux-headers-{release}"),
    )


def no_bcc(python: str) -> NothingAttachedError:
    """Return the error where the distribution's Python has no bcc."""
    return NothingAttachedError(_UNCOMPILED, f"{python} has no bcc", install("python3-bpfcc"))


def no_python(why: str) -> NothingAttachedError:
    """Return the error where the distribution's Python does not start."""
    return NothingAttachedError(
        "the loader does not start", why, install("python3", "python3-bpfcc")
    )
