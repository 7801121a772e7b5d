"""What is kept serves the next boot, at which the kernel's functions lie elsewhere."""

import json
import subprocess
from pathlib import Path

import rmapwatch

PYTHON = "/usr/bin/python3"
SHIFT = 0x1E60_0000


def test_code_that_is_moved_is_as_if_compiled_there() -> None:
    """Byte by byte, every program of the catalogue."""
    script = Path(__file__).with_name("recompile.py")
    package = Path(rmapwatch.__file__).parent
    command = [PYTHON, str(script), str(package), hex(SHIFT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    print(told)
    assert told["differ"] == []
    assert told["programs"] > told["moved"] > 5
