"""Fetches a Debian kernel of any suite into the cache; the machine's own apt stays as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..errors import RmapwatchError
from . import image as image_file
from . import kernels
from .kernels import LabKernel

Progress = Callable[[str], None]

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_META_PACKAGES = ("linux-image-amd64", "linux-headers-amd64")
_PART_OF_A_KERNEL = re.compile(r"linux-(image|binary|modules|base|headers|kbuild)-.*")


def fetch(series: str, progress: Progress) -> LabKernel:
    """
    Download and unpack the newest kernel of ``series``, with modules and headers; needs no root.

    What is there already is returned as it is. An interrupted fetch leaves nothing behind that
    looks complete: the work is done in a folder of another name and renamed at the end.
    """
    target = kernels.folder(series)
    if not target.is_dir():
        _require("apt-get", "apt-cache", "dpkg-deb", "depmod")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as work:
            root = _fetch_into(Path(work), series, progress)
            root.rename(target)
    return kernels.at(target, series)


def _fetch_into(work: Path, series: str, progress: Progress) -> Path:
    apt = PrivateApt(work / "apt", sources(kernels.SUITES[series], mirrors()))
    progress(f"{series}: reading the package lists of {kernels.SUITES[series]}")
    apt.update()
    packages = sorted(closure(apt.show))
    progress(f"{series}: downloading {len(packages)} packages")
    archives = apt.download(packages)
    root = work / "root"
    for archive in archives:
        progress(f"{series}: unpacking {archive.name}")
        _run(["dpkg-deb", "-x", str(archive), str(root)])
    progress(f"{series}: indexing the modules")
    _arrange(root)
    return root


def mirrors() -> dict[str, str]:
    """Return the mirrors that this machine uses itself: label of the archive -> its address."""
    text = _run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"])
    return parse_mirrors(text)


def parse_mirrors(text: str) -> dict[str, str]:
    """Pick Debian's own archives out of ``ORIGIN|LABEL|ADDRESS`` lines; other vendors are left."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        origin, label, address = line.split("|")
        if origin == "Debian":
            found.setdefault(label, address)
    if "Debian" not in found:
        raise RmapwatchError(
            "no kernel can be fetched",
            "this machine's apt knows no Debian archive",
            "on Debian: sudo apt update; elsewhere name a kernel of your own by its path",
        )
    return found


def sources(suite: str, found: dict[str, str]) -> str:
    """Return the sources.list for one suite: itself and, if it has one, its security suite."""
    trust = f"[arch=amd64 signed-by={_KEYRING}]" if _KEYRING.exists() else "[arch=amd64]"
    lines = [f"deb {trust} {found['Debian']} {suite} main"]
    if "Debian-Security" in found and not suite.endswith("-backports"):
        lines.append(f"deb {trust} {found['Debian-Security']} {suite}-security main")
    return "\n".join(lines) + "\n"


def closure(show: Callable[[Iterable[str]], str]) -> set[str]:
    """Return the packages that make up a kernel: follow the dependencies of the meta packages."""
    found: set[str] = set()
    fresh = set(_META_PACKAGES)
    while fresh:
        found |= fresh
        fresh = set(_needed(show(sorted(fresh)))) - found
    return found


def _needed(stanzas: str) -> Iterator[str]:
    for depends in re.findall(r"^Depends: (.*)$", stanzas, re.MULTILINE):
        for alternatives in depends.split(","):
            name = alternatives.split()[0]
            if _PART_OF_A_KERNEL.fullmatch(name):
                yield name


class PrivateApt:
    """An apt with lists, cache and sources of its own, which sees no installed package."""

    def __init__(self, root: Path, sources_list: str) -> None:
        self._root = root
        (root / "lists/partial").mkdir(parents=True)
        (root / "archives/partial").mkdir(parents=True)
        (root / "sources.list").write_text(sources_list)

    def update(self) -> None:
        """Read the package lists; raises RmapwatchError if one cannot be had or is not signed."""
        _run(["apt-get", *self._options(), "--error-on=any", "update"])

    def show(self, names: Iterable[str]) -> str:
        """Return the stanzas of the newest versions."""
        return _run(["apt-cache", *self._options(), "show", "--no-all-versions", *names])

    def download(self, names: Iterable[str]) -> list[Path]:
        """Fetch the packages; apt holds each against its signed checksum."""
        _run(["apt-get", *self._options(), "download", *names], self._root / "archives")
        return sorted((self._root / "archives").glob("*.deb"))

    def _options(self) -> list[str]:
        chosen = {
            "Dir::Etc::sourcelist": self._root / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferences": "-",
            "Dir::Etc::preferencesparts": "-",
            "Dir::State::lists": self._root / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self._root,
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        return [f"-o{key}={value}" for key, value in chosen.items()]


def _arrange(root: Path) -> None:
    """Give every suite's packages one layout: all under usr/lib, lib a link to it, a boot image."""
    lib = root / "lib"
    if lib.is_dir() and not lib.is_symlink():
        shutil.copytree(lib, root / "usr/lib", symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(lib)
    if not lib.is_symlink():
        lib.symlink_to("usr/lib")
    release = next((lib / "modules").iterdir()).name
    packed = root / "boot" / f"vmlinuz-{release}"
    if not packed.exists():
        packed.parent.mkdir(exist_ok=True)
        shutil.copy2(lib / "modules" / release / "vmlinuz", packed)
    if elf := image_file.unpacked(packed):
        packed.with_name(f"vmlinux-{release}").write_bytes(elf)
    _run(["depmod", "-b", str(root), release])


def _require(*programs: str) -> None:
    missing = [program for program in programs if _which(program) is None]
    if missing:
        raise RmapwatchError(
            "no kernel can be fetched",
            f"{', '.join(missing)} is not here",
            "on Debian: sudo apt install apt dpkg kmod; elsewhere name a kernel by its path",
        )


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _run(command: list[str], folder: Path | None = None) -> str:
    program = _which(command[0]) or command[0]
    done = subprocess.run(
        [program, *command[1:]],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise RmapwatchError(
            f"{command[0]} failed",
            why[-1] if why else f"exit status {done.returncode}",
            "check that the network and `sudo apt update` work",
        )
    return done.stdout
