"""What a machine lacks, and the command that mends it: a pure function of the `Host`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from .. import errors
from ..probes import needs
from ..probes.backend import Backend
from .host import EXTRAS, Access, Host

_CONTAINER_OPTIONS = (
    "docker run --privileged -v /sys/kernel/tracing:/sys/kernel/tracing"
    " -v /lib/modules:/lib/modules:ro -v /usr/src:/usr/src:ro ..."
)


class State(Enum):
    """``MISSING``: without it nothing can be shown; ``WARNING``: with it more could be."""

    OK = "ok"
    MISSING = "missing"
    WARNING = "warning"


@dataclass(frozen=True)
class Check:
    """
    One row: ``why`` it is so, and a ``hint`` that can be pasted, "" where there is none.

    ``code``: with what `rmapwatch top` ends because of it, 0 where it does not.
    """

    check: str
    state: State
    why: str
    hint: str = ""
    code: int = 0


def checks(host: Host, backend: Backend = Backend.BCC) -> list[Check]:
    """Return every check of a machine, those first that the others build on."""
    rows = [*(check(host) for check in _CHECKS), *_extras(host)]
    if backend != Backend.BCC:
        rows = [_without_bcc(row) for row in rows]
    return rows if host.root else [replace(row, hint=_under_sudo(row.hint)) for row in rows]


_OF_BCC = ("BTF", "kernel headers", "bcc")
"""Checks of what ftrace can do without, and shows less."""


def _without_bcc(row: Check) -> Check:
    if row.check not in _OF_BCC or row.state is not State.MISSING:
        return row
    return _warning(row.check, f"{row.why}; ftrace stands in, and shows less", row.hint)


def _under_sudo(hint: str) -> str:
    return f"sudo {hint}" if hint.startswith(("apt-get ", "mount ", "sysctl ")) else hint


def exit_code(rows: Iterable[Check]) -> int:
    """Return 0 where `rmapwatch top` would work, otherwise the code that it would end with."""
    return max(row.code for row in rows)


def _ok(name: str, why: str) -> Check:
    return Check(name, State.OK, why)


def _warning(name: str, why: str, hint: str = "") -> Check:
    return Check(name, State.WARNING, why, hint)


def _missing(name: str, why: str, hint: str = "") -> Check:
    return Check(name, State.MISSING, why, hint, errors.NOTHING_ATTACHED)


def _not_permitted(name: str, why: str, hint: str) -> Check:
    return Check(name, State.MISSING, why, hint, errors.NOT_PERMITTED)


def _told(name: str, error: errors.RmapwatchError) -> Check:
    """Return what the loader would say."""
    return Check(name, State.MISSING, error.why, error.hint, error.code)


def _machine(host: Host) -> Check:
    if host.machine == "x86_64":
        return _ok("machine", host.machine)
    return _missing("machine", f"{host.machine}: only x86_64 is supported")


def _root(host: Host) -> Check:
    if host.root:
        return _ok("root", "the effective user is root")
    return _not_permitted("root", "attaching probes needs root", "sudo rmapwatch doctor")


def _capabilities(host: Host) -> Check:
    name, held = "capabilities", host.capabilities
    lacking = [] if "CAP_SYS_ADMIN" in held else sorted({"CAP_BPF", "CAP_PERFMON"} - held)
    if not lacking:
        return _ok(name, "programs may be loaded and attached")
    if not host.root:
        return _warning(name, "without root there are none", "sudo rmapwatch doctor")
    why = f"root has no {' and no '.join(lacking)} here: it was taken away"
    return _not_permitted(name, why, "docker run --cap-add BPF --cap-add PERFMON ...")


def _lockdown(host: Host) -> Check:
    name = "lockdown"
    if host.lockdown == "confidentiality":
        return _told(name, needs.locked_down())
    return _ok(name, host.lockdown or "this kernel has none, or does not tell")


def _container(host: Host) -> Check:
    if host.container is None:
        return _ok("container", "none")
    if host.tracefs is Access.ABSENT or host.headers is Access.ABSENT:
        why = f"{host.container}: tracefs or the headers of the host are not in it"
        return _warning("container", why, _CONTAINER_OPTIONS)
    return _ok("container", f"{host.container}, with what is needed of the host")


def _btf(host: Host) -> Check:
    if host.btf is Access.READABLE:
        return _ok("BTF", "the kernel describes its types")
    return _told("BTF", needs.no_btf(f"/sys/kernel/btf/vmlinux is {host.btf.value}"))


def _tracefs(host: Host) -> Check:
    if host.tracefs is Access.READABLE:
        return _ok("tracefs", "the kernel lists what can be traced")
    if host.tracefs is Access.ABSENT:
        return _told("tracefs", needs.no_tracefs())
    if host.root:
        return _told("tracefs", needs.forbidden_tracefs(host.lockdown))
    return _warning("tracefs", "without root it cannot be read", "sudo rmapwatch doctor")


def _config(host: Host) -> Check:
    name = "kernel config"
    if not host.config:
        return _warning(name, "this kernel does not publish it: nobody can tell")
    lacking = [option for option in _NEEDED if host.config.get(option) != "y"]
    if lacking:
        why = f"this kernel was built without {', '.join(lacking)}"
        return _missing(name, why, "boot a kernel of the distribution")
    if host.config.get(_DIRECT) != "y":
        return _warning(name, f"no {_DIRECT}: kprobes are used, which cost more")
    return _ok(name, "all options that are needed")


_NEEDED = ("CONFIG_BPF_SYSCALL", "CONFIG_BPF_EVENTS", "CONFIG_KPROBES", "CONFIG_DYNAMIC_FTRACE")
_DIRECT = "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"


def _headers(host: Host) -> Check:
    if host.headers is Access.READABLE:
        return _ok("kernel headers", f"those of {host.release}")
    if host.headers is Access.FORBIDDEN:
        return _warning("kernel headers", "they cannot be looked at", "sudo rmapwatch doctor")
    return _told("kernel headers", needs.no_headers(host.release))


def _bcc(host: Host) -> Check:
    if host.bcc is not None:
        return _ok("bcc", f"{host.bcc}, by {host.python}")
    error = needs.no_bcc(host.python)
    return _missing("bcc", f"{error.why}: {host.bcc_error}", error.hint)


def _symbols(host: Host) -> Check:
    name, value = "kptr_restrict", host.sysctls.get("kernel.kptr_restrict")
    if value == 2:
        why = "2 hides addresses from root too: walks cannot be told by what they are for"
        return _warning(name, why, "sysctl -w kernel.kptr_restrict=1")
    return _ok(name, "not known" if value is None else f"{value}: root sees addresses")


def _ftrace(host: Host) -> Check:
    name, value = "ftrace_enabled", host.sysctls.get("kernel.ftrace_enabled")
    if value == 0:
        why = "0: the function tracer is switched off, and fentry with it"
        return _missing(name, why, "sysctl -w kernel.ftrace_enabled=1")
    return _ok(name, "not known" if value is None else f"{value}: the function tracer is on")


def _memlock(host: Host) -> Check:
    name = "locked memory"
    if host.memlock_bytes is None:
        return _ok(name, "no limit")
    lifts = host.capabilities & {"CAP_SYS_RESOURCE"}
    if lifts or not host.root:
        return _ok(name, f"{host.memlock_bytes:,} bytes; the loader, as root, lifts the limit")
    why = f"limited to {host.memlock_bytes:,} bytes, and without CAP_SYS_RESOURCE it stays so"
    return _warning(name, why, "docker run --ulimit memlock=-1 ...")


def _extras(host: Host) -> Iterator[Check]:
    """Yield a check for each optional package."""
    for package, use in EXTRAS.items():
        if host.extras.get(package):
            yield _ok(package, f"for {use}")
        else:
            hint = f"{sys.executable} -m pip install {package}"
            yield _warning(package, f"{use} need it", hint)


_CHECKS: tuple[Callable[[Host], Check], ...] = (
    _machine,
    _root,
    _capabilities,
    _lockdown,
    _container,
    _btf,
    _tracefs,
    _config,
    _headers,
    _bcc,
    _symbols,
    _ftrace,
    _memlock,
)
