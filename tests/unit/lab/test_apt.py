from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from rmapwatch.errors import RmapwatchError
from rmapwatch.lab import apt, kernels

TARGETS = """\
Google|cloud|http://cloud.example/apt
Debian|Debian|http://mirror.example/debian/
Debian|Debian|http://mirror.example/debian/
Debian|Debian-Security|http://mirror.example/debian-security/
. nodistro|. nodistro|http://node.example/
"""
MIRRORS = {
    "Debian": "http://mirror.example/debian/",
    "Debian-Security": "http://mirror.example/debian-security/",
}
STANZAS = {
    "linux-image-amd64": "Depends: linux-image-9.9-amd64 (= 9.9-1)",
    "linux-headers-amd64": "Depends: linux-headers-9.9-amd64 (= 9.9-1)",
    "linux-image-9.9-amd64": (
        "Depends: kmod, linux-base (>= 4.3~), linux-binary-9.9-amd64 (= 9.9-1), "
        "initramfs-tools | linux-initramfs-tool"
    ),
    "linux-binary-9.9-amd64": "Version: 9.9-1",
    "linux-headers-9.9-amd64": (
        "Depends: linux-headers-9.9-common (= 9.9-1), linux-kbuild-9.9, gcc-14, "
        "u-boot-image-tools, "
        "linux-image-9.9-amd64 (= 9.9-1) | linux-image-9.9-amd64-unsigned (= 9.9-1)"
    ),
    "linux-headers-9.9-common": "Version: 9.9-1",
    "linux-kbuild-9.9": "Version: 9.9-1",
}


def test_only_debian_archives_are_mirrors() -> None:
    assert apt.parse_mirrors(TARGETS) == MIRRORS


def test_no_debian_archive() -> None:
    with pytest.raises(RmapwatchError, match="knows no Debian archive") as error:
        apt.parse_mirrors("Ubuntu|Ubuntu|http://mirror.example/ubuntu/\n")
    assert "sudo apt update" in error.value.hint


def suites(text: str) -> list[str]:
    return [line.split()[-2] for line in text.splitlines()]


def test_sources() -> None:
    assert suites(apt.sources("bookworm", MIRRORS)) == ["bookworm", "bookworm-security"]
    assert suites(apt.sources("trixie-backports", MIRRORS)) == ["trixie-backports"]
    assert suites(apt.sources("bookworm", {"Debian": "http://d/"})) == ["bookworm"]


def test_closure_takes_the_parts_of_a_kernel_and_nothing_else() -> None:
    def show(names: Iterable[str]) -> str:
        return "\n\n".join(f"Package: {name}\n{STANZAS[name]}" for name in names)

    assert apt.closure(show) == set(STANZAS)


def test_private_apt_keeps_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(apt, "_run", lambda command, folder=None: ran.append(command) or "")
    private = apt.PrivateApt(tmp_path / "apt", "deb http://d/ bookworm main\n")
    private.update()
    private.show(["linux-image-amd64"])
    private.download(["linux-image-amd64"])
    for command in ran:
        assert f"-oDir::State::lists={tmp_path}/apt/lists" in command
        assert f"-oDir::Etc::sourcelist={tmp_path}/apt/sources.list" in command
        assert "-oDir::State::status=/dev/null" in command
        assert "-oDir::Etc::sourceparts=-" in command


def test_missing_program_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "_which", lambda program: None if program == "apt-get" else "/bin/x")
    with pytest.raises(RmapwatchError, match="apt-get is not here") as error:
        apt.fetch("6.1", print)
    assert "sudo apt install" in error.value.hint


def test_failing_program_gives_its_last_words() -> None:
    with pytest.raises(RmapwatchError, match="sh failed: no route to host"):
        apt._run(["sh", "-c", "echo reading >&2; echo no route to host >&2; exit 100"])


def test_interrupted_fetch_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(work: Path, series: str, progress: apt.Progress) -> Path:
        (work / "root/boot").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(apt, "_fetch_into", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apt.fetch("6.1", print)
    assert kernels.installed() == []
    assert list((cache / "kernels").iterdir()) == []


def test_fetch_is_idempotent(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def once(work: Path, series: str, progress: apt.Progress) -> Path:
        calls.append(series)
        (work / "root/boot").mkdir(parents=True)
        (work / "root/boot/vmlinuz-6.1.0-1-amd64").touch()
        return work / "root"

    monkeypatch.setattr(apt, "_fetch_into", once)
    first = apt.fetch("6.1", print)
    assert apt.fetch("6.1", print) == first
    assert calls == ["6.1"]


@pytest.mark.parametrize("merged", [False, True])
def test_arrange_gives_one_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merged: bool
) -> None:
    release = "9.9-amd64"
    (tmp_path / "usr/lib/linux-kbuild").mkdir(parents=True)
    modules = tmp_path / ("usr/lib" if merged else "lib") / "modules" / release
    modules.mkdir(parents=True)
    (modules / "vmlinuz").write_bytes(bytes(0x300))
    monkeypatch.setattr(apt, "_run", lambda command, folder=None: "")
    apt._arrange(tmp_path)
    assert (tmp_path / "lib").readlink() == Path("usr/lib")
    assert (tmp_path / "usr/lib/modules" / release).is_dir()
    assert (tmp_path / f"boot/vmlinuz-{release}").exists()
    assert (tmp_path / "lib/linux-kbuild").is_dir()
