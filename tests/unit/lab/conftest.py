from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RMAPWATCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _bzimage(release: str, payload: bytes = b"") -> bytes:
    """A file with as much of the boot protocol's header as the lab reads; setup is one sector."""
    data = bytearray(2 * 512)
    data[0x1F1] = 1
    data[0x202:0x206] = b"HdrS"
    text = f"{release} (someone@example.org) #1 SMP\0".encode()
    struct.pack_into("<H", data, 0x20E, 0x300 - 0x200)
    data[0x300 : 0x300 + len(text)] = text
    struct.pack_into("<II", data, 0x248, 0, len(payload))
    return bytes(data) + payload


@pytest.fixture
def tree() -> Callable[[Path, str], Path]:
    """Lay out a kernel as ``apt.fetch`` does, and return its image."""

    def lay_out(root: Path, release: str) -> Path:
        modules = root / "usr/lib/modules" / release
        modules.mkdir(parents=True)
        (root / "lib").symlink_to("usr/lib")
        headers = root / "usr/src" / f"linux-headers-{release}"
        headers.mkdir(parents=True)
        image = root / "boot" / f"vmlinuz-{release}"
        image.parent.mkdir()
        image.write_bytes(_bzimage(release))
        return image

    return lay_out


@pytest.fixture
def bzimage() -> Callable[[str, bytes], bytes]:
    return _bzimage
