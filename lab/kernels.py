"""The kernels of the lab: which there are, where they lie, and how one is found by its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..errors import UsageError
from . import image as image_file

SUITES = MappingProxyType(
    {
        "5.10": "bullseye",
        "6.1": "bookworm",
        "6.12": "trixie",
        "7.3": "trixie-backports",
    }
)
"""Series -> the Debian suite that carries it; together they cover ten years of mm."""


@dataclass(frozen=True)
class LabKernel:
    """A kernel that can be booted; ``modules`` and ``src`` are None if there are none."""

    series: str
    """One of SUITES, or the path that was given for a kernel of one's own."""
    release: str
    """What ``uname -r`` says in the guest."""
    image: Path
    modules: Path | None
    """The folder ``lib/modules/RELEASE``."""
    src: Path | None
    """The folder that stands for ``usr/src``: the headers that ``modules/build`` points to."""


def cache() -> Path:
    """Return the folder that everything fetched or built lies in; it may not exist yet."""
    if chosen := os.environ.get("RMAPWATCH_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "rmapwatch").absolute()


def folder(series: str) -> Path:
    """Return where a fetched kernel of this series lies."""
    return cache() / "kernels" / series


def installed() -> list[LabKernel]:
    """Return the kernels that have been fetched, oldest series first."""
    return [at(folder(series), series) for series in SUITES if folder(series).is_dir()]


def at(root: Path, series: str) -> LabKernel:
    """Return the kernel in a folder laid out by ``apt.fetch``."""
    packed = next(root.glob("boot/vmlinuz-*"))
    release = packed.name.removeprefix("vmlinuz-")
    unpacked = root / "boot" / f"vmlinux-{release}"
    image = unpacked if unpacked.exists() else packed
    return LabKernel(series, release, image, root / "lib/modules" / release, root / "usr/src")


def find(name_or_path: str) -> LabKernel:
    """
    Return the kernel that a user means: a fetched series, or a bzImage or vmlinuz of their own.

    The modules of a kernel of one's own are ``lib/modules/RELEASE`` of the nearest folder above
    the image that has one; raises UsageError if there is no such kernel.
    """
    if name_or_path in SUITES:
        if folder(name_or_path).is_dir():
            return at(folder(name_or_path), name_or_path)
        hint = f"rmapwatch lab kernels --fetch {name_or_path}"
        raise UsageError(f"kernel {name_or_path} is not here", "it was not fetched yet", hint)
    path = Path(name_or_path).absolute()
    if not path.is_file():
        why = f"it is none of {', '.join(SUITES)}, and no file"
        raise UsageError(f"no kernel {name_or_path}", why, "rmapwatch lab kernels --fetch all")
    return _own(path)


def _own(path: Path) -> LabKernel:
    release = image_file.release(path)
    if release is None:
        hint = "make bzImage, and name arch/x86/boot/bzImage; or rmapwatch lab kernels --fetch 6.12"
        raise UsageError(f"{path} cannot be booted", "it is not an x86 bzImage", hint)
    modules = next(filter(Path.is_dir, _module_folders(path, release)), None)
    return LabKernel(str(path), release, path, modules, _headers(modules))


def _module_folders(path: Path, release: str) -> list[Path]:
    return [above / "lib/modules" / release for above in path.resolve().parents]


def _headers(modules: Path | None) -> Path | None:
    """Return the ``usr/src`` of the folder tree that ``modules`` lies in, if it has headers."""
    if modules is None:
        return None
    src = modules.parents[2] / "usr/src"
    return src if any(src.glob("linux-headers-*")) else None
