"""What the file of a kernel says about itself (Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

import gzip
import lzma
import shutil
import struct
import subprocess
from pathlib import Path

_MAGIC = 0x202
_VERSION_POINTER = 0x20E
_SETUP_SECTORS = 0x1F1
_PAYLOAD = 0x248
_HEADER_BYTES = 0x250


def release(image: Path) -> str | None:
    """Return what ``uname -r`` will say under this bzImage; None if it is not a bzImage."""
    with image.open("rb") as file:
        head = file.read(0x10000)
    if len(head) < _HEADER_BYTES or head[_MAGIC : _MAGIC + 4] != b"HdrS":
        return None
    start: int = struct.unpack_from("<H", head, _VERSION_POINTER)[0] + 0x200
    text = head[start:].partition(b"\0")[0].decode(errors="replace")
    return text.split()[0] if text.split() else None


def unpacked(image: Path) -> bytes | None:
    """
    Return the ELF file inside a bzImage, which an emulated CPU then need not decompress.

    None where the compression is one that nothing here can undo: the bzImage boots as well.
    """
    data = image.read_bytes()
    offset, length = struct.unpack_from("<II", data, _PAYLOAD)
    start = ((data[_SETUP_SECTORS] or 4) + 1) * 512 + offset
    elf = decompressed(data[start : start + length])
    return elf if elf is not None and elf.startswith(b"\x7fELF") else None


def decompressed(data: bytes) -> bytes | None:
    """Undo xz, gzip or zstd, known by their first bytes; anything else comes back as it is."""
    if data.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(data)
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return _unzstd(data)
    return data


def _unzstd(data: bytes) -> bytes | None:
    program = shutil.which("zstd")
    if program is None:
        return None
    # The size of the unpacked kernel follows the stream; zstd calls that an error and has all.
    done = subprocess.run([program, "-dc"], input=data, capture_output=True, check=False)
    return done.stdout or None
