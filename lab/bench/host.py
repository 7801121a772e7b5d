"""The host's side of a bench: the guest whose clock counts instructions."""

from __future__ import annotations

from typing import Any

from ... import __version__
from .. import run, workloads
from ..qemu import Machine
from . import loads, result
from .variants import VARIANTS

DEFAULT_KERNEL = "6.12"
"""The newest kernel of the lab that Debian's own bpftrace can read, too."""

MACHINE = Machine(cpus=1, memory="2G", far="512M", icount=True, timeout_s=7200)
"""One CPU, and a node that nothing is on but what is moved there."""


def bench(kernel: str, progress: run.Progress) -> dict[str, Any]:
    """Boot `kernel` once, measure every variant, and return the whole result."""
    request = {
        "what": "bench",
        "program": str(workloads.build(loads.WORKLOAD)),
        "variants": [variant.name for variant in VARIANTS],
    }
    raw = run.bench(kernel, request, MACHINE, progress)
    return result.whole({"rmapwatch": __version__, "kernel": kernel, **raw})
