"""Each state of a machine, and what `doctor` says of it: a pure function."""

from dataclasses import replace

import pytest
from rmapwatch.doctor import checks, show
from rmapwatch.doctor.checks import Check, State
from rmapwatch.doctor.host import CAPABILITIES, CONFIG, EXTRAS, SYSCTLS, Access, Host
from rmapwatch.probes.backend import Backend

FINE = Host(
    machine="x86_64",
    release="6.1.0-test",
    root=True,
    capabilities=frozenset(CAPABILITIES),
    btf=Access.READABLE,
    tracefs=Access.READABLE,
    headers=Access.READABLE,
    python="/usr/bin/python3",
    bcc="0.26.0",
    bcc_error="",
    lockdown="none",
    container=None,
    memlock_bytes=None,
    sysctls=dict.fromkeys(SYSCTLS, 1),
    config=dict.fromkeys(CONFIG, "y"),
    extras=dict.fromkeys(EXTRAS, True),
)
CONTAINER = replace(
    FINE,
    container="docker",
    capabilities=frozenset(),
    tracefs=Access.ABSENT,
    headers=Access.ABSENT,
    memlock_bytes=65536,
)


def judged(host: Host) -> tuple[int, dict[str, Check]]:
    rows = checks.checks(host)
    return checks.exit_code(rows), {row.check: row for row in rows if row.state is not State.OK}


def test_everything_fine() -> None:
    assert judged(FINE) == (0, {})
    assert len(checks.checks(FINE)) == 15


@pytest.mark.parametrize(
    ("change", "row", "code", "why", "hint"),
    [
        ({"machine": "aarch64"}, "machine", 4, "only x86_64", ""),
        (
            {"headers": Access.ABSENT}, "kernel headers", 4, "no headers of kernel 6.1.0-test",
            "apt-get install -y linux-headers-6.1.0-test",
        ),
        (
            {"bcc": None, "bcc_error": "No module named 'bcc'"}, "bcc", 4,
            "/usr/bin/python3 has no bcc: No module", "apt-get install -y python3-bpfcc",
        ),
        ({"btf": Access.ABSENT}, "BTF", 4, "it has no BTF", "CONFIG_DEBUG_INFO_BTF"),
        (
            {"tracefs": Access.ABSENT}, "tracefs", 4, "tracefs is not there",
            "mount -t tracefs tracefs /sys/kernel/tracing",
        ),
        ({"tracefs": Access.FORBIDDEN}, "tracefs", 3, "may not be read", "cat /sys/kernel"),
        (
            {"lockdown": "confidentiality"}, "lockdown", 3, "lets nobody read its memory",
            "boot without lockdown=confidentiality",
        ),
        (
            {"capabilities": frozenset({"CAP_BPF", "CAP_SYS_RESOURCE"})}, "capabilities", 3,
            "no CAP_PERFMON here", "--cap-add",
        ),
        (
            {"config": FINE.config | {"CONFIG_KPROBES": "n"}}, "kernel config", 4,
            "built without CONFIG_KPROBES", "boot a kernel",
        ),
        (
            {"sysctls": {"kernel.ftrace_enabled": 0}}, "ftrace_enabled", 4, "switched off",
            "sysctl -w kernel.ftrace_enabled=1",
        ),
    ],
)  # fmt: skip
def test_what_is_missing(change: dict, row: str, code: int, why: str, hint: str) -> None:
    told, rows = judged(replace(FINE, **change))
    assert told == code
    assert set(rows) == {row}
    assert rows[row].state is State.MISSING
    assert why in rows[row].why
    assert hint in rows[row].hint
    assert bool(hint) == bool(rows[row].hint)


@pytest.mark.parametrize(
    ("change", "row", "hint"),
    [
        ({"headers": Access.FORBIDDEN}, "kernel headers", "sudo rmapwatch doctor"),
        ({"sysctls": {"kernel.kptr_restrict": 2}}, "kptr_restrict", "sysctl -w kernel.kptr"),
        ({"config": {}}, "kernel config", ""),
        (
            {"config": FINE.config | {"CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS": "n"}},
            "kernel config", "",
        ),
        ({"extras": {"pyarrow": False, "matplotlib": True}}, "pyarrow", "-m pip install pyarrow"),
        ({"extras": {"pyarrow": True}}, "matplotlib", "-m pip install matplotlib"),
        (
            {"memlock_bytes": 65536, "capabilities": frozenset({"CAP_BPF", "CAP_PERFMON"})},
            "locked memory", "memlock=-1",
        ),
    ],
)  # fmt: skip
def test_what_could_be_better(change: dict, row: str, hint: str) -> None:
    code, rows = judged(replace(FINE, **change))
    assert code == 0
    assert {name: each.state for name, each in rows.items()} == {row: State.WARNING}
    assert hint in rows[row].hint


@pytest.mark.parametrize(
    "change",
    [
        {"lockdown": "integrity"},
        {"lockdown": None},
        {"sysctls": {}},
        {"memlock_bytes": 65536},
        {"container": "lxc"},
        {"capabilities": frozenset({"CAP_SYS_ADMIN"})},
    ],
)
def test_what_does_no_harm(change: dict) -> None:
    assert judged(replace(FINE, **change)) == (0, {})


def test_without_root_only_permission_is_missing() -> None:
    user = replace(FINE, root=False, capabilities=frozenset(), tracefs=Access.FORBIDDEN)
    code, rows = judged(user)
    assert code == 3
    assert {name for name, row in rows.items() if row.state is State.MISSING} == {"root"}
    assert set(rows) == {"root", "capabilities", "tracefs"}
    assert {row.hint for row in rows.values()} == {"sudo rmapwatch doctor"}


def test_without_root_what_needs_root_is_under_sudo() -> None:
    user = replace(FINE, root=False, headers=Access.ABSENT, extras={})
    code, rows = judged(user)
    assert code == 4
    assert rows["kernel headers"].hint == "sudo apt-get install -y linux-headers-6.1.0-test"
    assert not rows["pyarrow"].hint.startswith("sudo")


def test_locked_down_as_it_is_on_a_kernel() -> None:
    """Where the kernel is locked down tracefs cannot be read either, for the same reason."""
    code, rows = judged(replace(FINE, lockdown="confidentiality", tracefs=Access.FORBIDDEN))
    assert code == 3
    assert rows["tracefs"].why == rows["lockdown"].why


def test_a_container_without_tracefs() -> None:
    code, rows = judged(CONTAINER)
    assert code == 4
    assert rows["container"].state is State.WARNING
    assert "-v /sys/kernel/tracing:/sys/kernel/tracing" in rows["container"].hint
    assert {name for name, row in rows.items() if row.state is State.MISSING} == {
        "capabilities", "tracefs", "kernel headers",
    }  # fmt: skip
    assert rows["locked memory"].state is State.WARNING


def test_as_json() -> None:
    told = show.as_json(checks.checks(replace(FINE, machine="i686")), None)
    assert told["self_test"] is None
    assert told["checks"][0] == {
        "check": "machine",
        "state": "missing",
        "why": "i686: only x86_64 is supported",
        "hint": None,
    }


@pytest.mark.parametrize(
    "change",
    [{"headers": Access.ABSENT}, {"bcc": None, "bcc_error": "none"}, {"btf": Access.ABSENT}],
)
def test_what_ftrace_can_do_without(change: dict) -> None:
    rows = checks.checks(replace(FINE, **change), Backend.AUTO)
    (told,) = (row for row in rows if row.state is not State.OK)
    assert told.state is State.WARNING
    assert "ftrace stands in" in told.why
    assert told.hint
    assert checks.exit_code(rows) == 0
