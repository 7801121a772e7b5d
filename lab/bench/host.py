"""The host's side of a bench: the guest whose clock counts instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import __version__
from ...errors import UsageError
from .. import run, workloads
from ..qemu import Machine
from . import loads, result
from . import starts as of_starts
from .variants import BASE, VARIANTS

DEFAULT_KERNEL = "6.12"
"""The newest kernel of the lab that Debian's own bpftrace can read, too."""

MACHINE = Machine(cpus=1, memory="2G", far="512M", icount=True, timeout_s=7200)
"""One CPU, and a node that nothing is on but what is moved there."""


def bench(kernel: str, only: Sequence[str], progress: run.Progress) -> dict[str, Any]:
    """
    Boot `kernel` once, measure each variant, and return the whole result.

    ``only``: some variants, beside the base; none: all of them.
    """
    request = {
        "what": "bench",
        "program": str(workloads.build(loads.WORKLOAD)),
        "variants": chosen(only),
    }
    raw = run.bench(kernel, request, MACHINE, progress)
    return result.whole({"rmapwatch": __version__, "kernel": kernel, **raw})


def starts(kernel: str, progress: run.Progress) -> dict[str, Any]:
    """Boot `kernel` once, start each command a few times, and return what that took."""
    raw = run.bench(kernel, {"what": "starts"}, MACHINE, progress)
    return of_starts.whole({"rmapwatch": __version__, "kernel": kernel, **raw})


def chosen(only: Sequence[str]) -> list[str]:
    """Return the names of the variants to measure; raise `UsageError` where there is none such."""
    names = [variant.name for variant in VARIANTS]
    for name in only:
        if name not in names:
            known = ", ".join(names)
            raise UsageError(f"no variant {name}", f"there are {known}", "rmapwatch lab bench")
    return [name for name in names if not only or name in (BASE, *only)]
