"""pyarrow, or the error that says how to get it. Loaded by commands that record or read alone."""

from __future__ import annotations

import sys
from typing import Any

from ..errors import RmapwatchError

try:
    import pyarrow
    from pyarrow import ipc as pyarrow_ipc
except ImportError:
    raise RmapwatchError(
        "recordings can be neither written nor read",
        "pyarrow is missing",
        f"{sys.executable} -m pip install pyarrow",
    ) from None

# It has no type stubs.
pa: Any = pyarrow
ipc: Any = pyarrow_ipc
