"""The systemd units are what systemd takes, and fit each other and the program."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from rmapwatch.probes import service
from servers import ROOT

UNITS = ROOT / "deploy" / "systemd"
PREFIX = "/opt/rmapwatch"


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str
    found.read(UNITS / name)
    return found


def test_systemd_takes_them(tmp_path: Path) -> None:
    """With a program where they have it, which `make install` puts there."""
    program = tmp_path / "rmapwatch"
    program.symlink_to("/bin/true")
    for path in UNITS.glob("rmapwatch*"):
        text = path.read_text().replace(f"{PREFIX}/bin", str(tmp_path))
        (tmp_path / path.name).write_text(text)
    shutil.copy(tmp_path / "rmapwatch-loader@.service", tmp_path / "rmapwatch-loader@1.service")
    names = ["rmapwatch-loader.socket", "rmapwatch-loader@1.service", "rmapwatch-exporter.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes",
         *(str(tmp_path / name) for name in names)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "rmapwatch" in line]
    assert (done.returncode, said) == (0, []), done.stderr


def test_they_start_what_make_install_installs() -> None:
    assert f"PREFIX ?= {PREFIX}\n" in (ROOT / "Makefile").read_text()
    for name in ("rmapwatch-loader@.service", "rmapwatch-exporter.service"):
        assert unit(name)["Service"]["ExecStart"].startswith(f"{PREFIX}/bin/rmapwatch ")


def test_the_exporter_asks_where_the_loader_listens() -> None:
    path = unit("rmapwatch-loader.socket")["Socket"]["ListenStream"]
    assert unit("rmapwatch-exporter.service")["Service"]["ExecStart"].endswith(f"--loader {path}")


def test_one_group_may_ask() -> None:
    group = unit("rmapwatch-loader.socket")["Socket"]["SocketGroup"]
    assert group == service.GROUP
    assert unit("rmapwatch-exporter.service")["Service"]["SupplementaryGroups"] == group
    assert unit("rmapwatch-loader@.service")["Service"]["ExecStart"].endswith(f"--group {group}")
    assert f"\ng {group} " in (UNITS / "rmapwatch.sysusers").read_text()


def test_the_exporter_has_no_rights_and_sees_all_threads() -> None:
    settings = unit("rmapwatch-exporter.service")["Service"]
    assert settings["DynamicUser"] == "yes"
    assert settings["CapabilityBoundingSet"] == ""
    assert not {"ProtectProc", "ProcSubset", "PrivatePIDs"} & set(settings)


@pytest.mark.parametrize("name", ["rmapwatch-loader@.service", "rmapwatch-exporter.service"])
def test_systemd_calls_the_exposure_low(name: str, tmp_path: Path) -> None:
    """`systemd-analyze security` gives 0 for none to 10."""
    shutil.copy(UNITS / name, tmp_path / name)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=40",
         str(tmp_path / name)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
