"""The machine, as far as probing goes: read here, once, and judged in `checks.py`."""

from __future__ import annotations

import importlib.util
import os
import platform
import resource
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ..kernels import read, syscalls
from ..kernels.btf import VMLINUX
from ..probes import needs
from ..probes.session import DISTRIBUTION_PYTHON

CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24, "CAP_PERFMON": 38, "CAP_BPF": 39}
"""Bits of the kernel's include/uapi/linux/capability.h that matter here."""

SYSCTLS = ("kernel.kptr_restrict", "kernel.ftrace_enabled")
EXTRAS = {"pyarrow": "rmapwatch record, top --replay", "matplotlib": "rmapwatch model -o plot.png"}
CONFIG = (
    "CONFIG_BPF_SYSCALL",
    "CONFIG_BPF_JIT",
    "CONFIG_BPF_EVENTS",
    "CONFIG_KPROBES",
    "CONFIG_DYNAMIC_FTRACE",
    "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
)
_CONTAINERS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
_BCC = "import bcc; bcc.BPF; print(getattr(bcc, '__version__', 'of an unknown version'))"
_DEADLINE_S = 60.0


class Access(Enum):
    """Whether a file of the kernel can be used."""

    READABLE = "readable"
    FORBIDDEN = "forbidden"
    ABSENT = "absent"


@dataclass(frozen=True)
class Host:
    """
    What `checks.py` judges.

    ``capabilities``: effective ones among `CAPABILITIES`. ``bcc``: its version under the
    distribution's Python; None where it cannot be imported, and ``bcc_error`` says why.
    ``lockdown``: none, integrity or confidentiality; None where the kernel does not tell.
    ``sysctls``: absent where not readable. ``container``: what kind, None outside one. ``config``:
    empty where it cannot be read. ``memlock_bytes``: None without a limit.
    """

    machine: str
    release: str
    root: bool
    capabilities: frozenset[str]
    btf: Access
    tracefs: Access
    headers: Access
    python: str
    bcc: str | None
    bcc_error: str
    lockdown: str | None
    container: str | None
    memlock_bytes: int | None
    sysctls: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    extras: Mapping[str, bool] = field(default_factory=dict)


def read_host() -> Host:
    """Return this machine."""
    release = os.uname().release
    bcc, error = _bcc()
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return Host(
        machine=platform.machine(),
        release=release,
        root=os.geteuid() == 0,
        capabilities=_capabilities(),
        btf=_access(VMLINUX),
        tracefs=_tracefs(),
        headers=_headers(release),
        python=DISTRIBUTION_PYTHON,
        bcc=bcc,
        bcc_error=error,
        lockdown=needs.lockdown(),
        container=_container(),
        memlock_bytes=None if limit == resource.RLIM_INFINITY else limit,
        sysctls={name: value for name in SYSCTLS if (value := _sysctl(name)) is not None},
        config=_config(),
        extras={name: importlib.util.find_spec(name) is not None for name in EXTRAS},
    )


def _access(path: Path) -> Access:
    try:
        path.open("rb").close()
    except FileNotFoundError:
        return Access.ABSENT
    except OSError:
        return Access.FORBIDDEN
    return Access.READABLE


def _tracefs() -> Access:
    try:
        return _access(syscalls.tracefs() / "available_filter_functions")
    except FileNotFoundError:
        return Access.ABSENT
    except PermissionError:
        return Access.FORBIDDEN


def _headers(release: str) -> Access:
    try:
        return Access.READABLE if needs.headers(release) else Access.ABSENT
    except PermissionError:
        return Access.FORBIDDEN


def _config() -> dict[str, str]:
    try:
        return read.config(CONFIG)
    except PermissionError:
        return {}


def _capabilities() -> frozenset[str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    held = int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)
    return frozenset(name for name, bit in CAPABILITIES.items() if held >> bit & 1)


def _bcc() -> tuple[str | None, str]:
    """Return the version of bcc, or None and why it cannot be imported."""
    try:
        done = subprocess.run(
            [DISTRIBUTION_PYTHON, "-I", "-c", _BCC],
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    if done.returncode == 0:
        return done.stdout.strip(), ""
    return None, (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]


def _container() -> str | None:
    for path, kind in _CONTAINERS.items():
        if Path(path).exists():
            return kind
    try:
        return Path("/run/systemd/container").read_text().strip() or None
    except OSError:
        return None


def _sysctl(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", *name.split(".")).read_text())
    except (OSError, ValueError):
        return None
