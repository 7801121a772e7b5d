"""
Compiles the text of all probes for two places of the kernel's image, and compares.

Run by the distribution's Python: `recompile.py PACKAGE SHIFT`. Prints as JSON how many programs
there are, how many of them a place makes a difference to, and which differ though they were moved.
"""

import importlib.util
import json
import sys
from dataclasses import replace

package, shift = sys.argv[1], int(sys.argv[2], 0)
spec = importlib.util.spec_from_file_location(
    "rmapwatch", f"{package}/__init__.py", submodule_search_locations=[package]
)
sys.modules["rmapwatch"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["rmapwatch"])

from rmapwatch.probes import catalogue, compiled, loader, resolve, source  # noqa: E402

running = loader.kernel()
candidates, _ = resolve.resolve_all(catalogue.POINTS, running.facts)
programs = source.functions(candidates)
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
