"""
Compiles the text of all probes for two places of the kernel's image, and compares.

Run by the distribution's Python: `recompile.py LOADER SHIFT`. Prints as JSON how many programs
there are, how many of them a place makes a difference to, and which differ though they were moved.
"""

import importlib.util
import json
import sys
from dataclasses import replace

path, shift = sys.argv[1], int(sys.argv[2], 0)
spec = importlib.util.spec_from_file_location("loader", path)
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
loader._adopt_package()

from rmapwatch.probes import catalogue, compiled, resolve, source  # noqa: E402

running = loader.kernel()
candidates, _ = resolve.resolve_all(catalogue.POINTS, running.facts)
programs = [
    *(source.program_name(m, c.source.symbol) for c in candidates for m in c.mechanisms),
    *source.CALIBRATE,
]
linked = {name: running.image.linked(at) for name, at in running.addresses.items()}


def made(by: int) -> compiled.Compiled:
    """The probes of a kernel whose image lies so much higher."""
    places = {n: at + by if running.image.holds(at) else at for n, at in linked.items()}
    text = source.c_source(candidates, running.facts, source.Build(2, places))
    return compiled._compile(text, programs, source.MAPS)


before, there = made(0), made(shift)
moved = before.moved(replace(running.image, slide=shift))
print(
    json.dumps(
        {
            "programs": len(programs),
            "moved": sum(before.code[name] != there.code[name] for name in programs),
            "differ": [name for name in programs if moved.code[name] != there.code[name]],
            "slide": running.image.slide,
        }
    )
)
