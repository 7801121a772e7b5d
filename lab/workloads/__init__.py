"""Programs whose memory is known to the page, written in C so that no interpreter adds to it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from ...errors import RmapwatchError, UsageError
from .. import kernels

_FOLDER = Path(__file__).parent
_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-static")


def names() -> list[str]:
    """Return the workloads there are."""
    return sorted(path.stem for path in _FOLDER.glob("*.c"))


def build(name: str) -> Path:
    """Return the program ``name`` in the cache, compiled anew if its source has changed."""
    if name not in names():
        raise UsageError(f"no workload {name}", f"there are {', '.join(names())}")
    program = kernels.cache() / "workloads" / f"{name}-{_digest(name)}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        _compile(_FOLDER / f"{name}.c", program)
    return program


def _digest(name: str) -> str:
    sources = [_FOLDER / f"{name}.c", *sorted(_FOLDER.glob("*.h"))]
    text = b"".join(source.read_bytes() for source in sources)
    return hashlib.sha256(text + " ".join(_FLAGS).encode()).hexdigest()[:12]


def _compile(source: Path, program: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        hint = "sudo apt install gcc libc6-dev"
        raise RmapwatchError(f"{source.name} cannot be built", "there is no C compiler", hint)
    partial = program.with_suffix(f".{os.getpid()}")
    command = [compiler, *_FLAGS, "-o", str(partial), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip() or f"exit status {done.returncode}"
        raise RmapwatchError(f"{source.name} cannot be built", why, "sudo apt install libc6-dev")
    partial.rename(program)
