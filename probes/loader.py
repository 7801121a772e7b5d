"""
The loader: compiles and attaches the probes, hands every descriptor over, and exits.

It is run as a script by the distribution's own Python, where bcc lives (the package of that name
on the Python index is something else), and uses nothing but the standard library, bcc and the
modules of this package that need no more. It takes names of the catalogue, never code, so that
an unprivileged reader may ask a privileged loader. Its arguments are the number of the socket's
descriptor and, where anyone could be at the other end, the group that is served. When it is gone
the probes stay for as long as somebody holds the descriptors; when the last holder dies, the
kernel detaches everything.
"""

from __future__ import annotations

import importlib.util
import mmap
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rmapwatch.kernels.btf import Btf
    from rmapwatch.kernels.facts import KernelFacts
    from rmapwatch.kernels.image import Image
    from rmapwatch.probes.compiled import MapSpec
    from rmapwatch.probes.resolve import Candidate
    from rmapwatch.probes.spec import ProbePoint


def _adopt_package() -> None:
    """Make the folder above this file importable as `rmapwatch`, whatever it is called."""
    root = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "rmapwatch", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {root}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["rmapwatch"] = package
    spec.loader.exec_module(package)


@dataclass
class Attached:
    """
    What one request brought about: the manifest, its rows and the descriptors they name.

    ``refused``: the kernel did not let something be attached that it was expected to.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    refused: bool = False

    def keep(self, fd: int) -> int:
        """Keep a descriptor for the reader; return its place in the message."""
        self.fds.append(fd)
        return len(self.fds) - 1

    def close(self) -> None:
        """Let go of all descriptors, which undoes it."""
        for fd in self.fds:
            os.close(fd)


def serve(sock: socket.socket, group: str = "") -> None:
    """
    Answer one request on `sock`; a failure that a user can act on is an answer too.

    ``group``: only root and its members are served; "" where the other end is known.
    """
    from rmapwatch.errors import RmapwatchError, told
    from rmapwatch.probes import admission, wire

    request, _ = wire.receive(sock)
    try:
        if group:
            admission.require_member(sock, group)
        admission.check(request)
        manifest, fds = fulfil(request)
    except RmapwatchError as error:
        wire.send(sock, {"error": told(error)})
        return
    wire.send(sock, manifest, fds)


def fulfil(request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """
    Return the manifest and the descriptors for `request` (a `session.Request`, as a dict).

    To try beforehand what the kernel allows takes as long as to attach all; so that is done where
    something was refused, or may well be.
    """
    from rmapwatch.probes import catalogue, resolve

    headers_present()
    running = kernel()
    points = [p for p in catalogue.POINTS if p.name in set(request["probes"])]
    doubtful = [p for n, p in enumerate(points) if not n or resolve.in_doubt(p, running.facts)]
    running = settle(doubtful, running)
    attached = attach(points, running, request)
    if attached.refused:
        attached.close()
        attached = attach(points, settle(points, running), request)
    if not attached.rows:
        raise _nothing(attached)
    return attached.manifest, attached.fds


def attach(points: Sequence[ProbePoint], running: Running, request: dict[str, Any]) -> Attached:
    """Compile and attach what `points` resolve to, as far as the kernel lets."""
    from rmapwatch.probes import calibrate, compiled, resolve, source

    facts = running.facts
    candidates, unavailable = resolve.resolve_all(points, facts)
    attached = Attached()
    attached.failures = [{"probe": u.point.name, "reason": u.reason} for u in unavailable]
    if not candidates:
        return attached
    image = running.image
    linked = {name: image.linked(address) for name, address in running.addresses.items()}
    build = source.Build(_possible_cpus(), linked)
    text = source.c_source(candidates, facts, build)
    ready = compiled.get(text, source.functions(candidates), source.MAPS).moved(image)
    wanted = (*facts.functions, *calibrate.TEST_FUNCTIONS)
    btf_ids = {name: p.btf_id for name, p in running.btf.functions(wanted).items()}
    cost = None
    if request["calibrate"]:
        cost = calibrate.cost(ready, btf_ids, lambda: _maps(ready.maps, 1))
    maps = _maps(ready.maps, request["ring_pages"])
    _prepare(maps["control"], request["events"])
    for candidate in candidates:
        if _attach(candidate, lambda name: ready.linked(name, maps), btf_ids, attached):
            answers = dict.fromkeys(candidate.mechanisms, "ok")
            facts = facts.answered(candidate.source.symbol, answers)
    attached.refused = len(attached.rows) < len(candidates)
    attached.manifest = {
        "facts": facts.to_json(),
        "probes": [c.point.name for c in candidates],
        "attached": attached.rows,
        "unavailable": attached.failures,
        "maps": {name: attached.keep(fd) for name, fd in maps.items()},
        "possible_cpus": build.possible_cpus,
        "backend": "bcc",
        "cost": cost and asdict(cost),
    }
    return attached


def settle(points: Sequence[ProbePoint], running: Running) -> Running:
    """
    Return `running` with the answers to trying what `points` resolve to, until none is untried.

    What the kernel refuses falls to its next rung, or becomes unavailable, before anything is
    compiled.
    """
    from rmapwatch.kernels.read import try_attach
    from rmapwatch.probes import resolve

    facts = running.facts
    while True:
        candidates, _ = resolve.resolve_all(points, facts)
        untried = {
            (candidate.source.symbol, mechanism)
            for candidate in candidates
            for mechanism in candidate.mechanisms
            if mechanism not in facts.answers(candidate.source.symbol)
        }
        if not untried:
            return running._replace(facts=facts)
        for symbol, mechanism in sorted(untried):
            facts = try_attach(facts, running.btf, [symbol], [mechanism])


def _nothing(attached: Attached) -> Exception:
    from rmapwatch.errors import NothingAttachedError

    why = attached.failures[0]["reason"] if attached.failures else "no probe was asked for"
    return NothingAttachedError("no probe could be attached", why, "rmapwatch probes --explain")


class Running(NamedTuple):
    """The running kernel: its BTF, its facts, and where its symbols lie."""

    btf: Btf
    facts: KernelFacts
    addresses: Mapping[str, int]

    @property
    def image(self) -> Image:
        """Where this boot has put the kernel's image."""
        from rmapwatch.kernels.image import image

        return image(self.addresses)


def kernel() -> Running:
    """Return what is known of the running kernel; raise where it cannot be probed at all."""
    from rmapwatch.kernels.btf import Btf
    from rmapwatch.kernels.image import SYMBOLS
    from rmapwatch.kernels.read import addresses, read_facts
    from rmapwatch.probes import catalogue, needs

    try:
        btf = Btf.of_kernel()
    except OSError as error:
        raise needs.no_btf(str(error)) from None
    try:
        symbols = addresses(catalogue.WANTED.symbols | SYMBOLS)
        return Running(btf, read_facts(catalogue.WANTED, btf, symbols), symbols)
    except FileNotFoundError:
        raise needs.no_tracefs() from None
    except PermissionError:
        raise needs.forbidden_tracefs(needs.lockdown()) from None


def headers_present() -> None:
    """Raise where bcc would find no headers of the running kernel to compile against."""
    from rmapwatch.probes import needs

    release = os.uname().release
    if needs.headers(release) is None:
        raise needs.no_headers(release)


def _possible_cpus() -> int:
    last = Path("/sys/devices/system/cpu/possible").read_text().strip().split(",")[-1]
    return int(last.split("-")[-1]) + 1


def _maps(specs: Mapping[str, MapSpec], ring_pages: int) -> dict[str, int]:
    """Return the descriptors of new maps by name; the ring's size is no part of what is kept."""
    from rmapwatch.errors import NothingAttachedError
    from rmapwatch.kernels import syscalls

    ring = replace(specs["events"], max_entries=ring_pages * mmap.PAGESIZE)
    sized = {**specs, "events": ring}
    try:
        return {name: syscalls.create_map(name, **asdict(m)) for name, m in sized.items()}
    except syscalls.RefusedError as refused:
        raise NothingAttachedError(
            "the probes find no room in the kernel", str(refused), "rmapwatch doctor"
        ) from None


def _prepare(control: int, names: list[str]) -> None:
    """Write into the control map what programs need of it, before any runs."""
    from rmapwatch.probes import events, state

    layout = state.layout(())
    written = {
        "events": events.mask(names).to_bytes(8, "little"),
        "bits": bytes(value.bit_length() for value in range(8 * state.BITS_WORDS)),
    }
    with mmap.mmap(control, mmap.PAGESIZE) as page:
        for word, value in written.items():
            at = 8 * layout.find("control", word)[0]
            page[at : at + len(value)] = value


def _attach(
    candidate: Candidate,
    code_of: Callable[[str], bytes],
    btf_ids: Mapping[str, int],
    attached: Attached,
) -> bool:
    """Attach a probe point and return True, or note why the kernel refused it."""
    from rmapwatch.kernels import syscalls

    taken: list[tuple[int, int]] = []
    try:
        # The exit first: a call that is under way then has an exit without an entry, which is
        # known for what it is; an entry whose exit comes too early would never be over.
        for mechanism in reversed(candidate.mechanisms):
            taken.insert(0, _attach_one(candidate.source.symbol, mechanism, code_of, btf_ids))
    except syscalls.RefusedError as refused:
        for descriptor in (fd for pair in taken for fd in pair):
            os.close(descriptor)
        attached.failures.append({"probe": candidate.point.name, "reason": str(refused)})
        return False
    attached.rows.append(
        {
            "probe": candidate.point.name,
            "symbol": candidate.source.symbol,
            "mechanism": "+".join(candidate.mechanisms),
            "reason": candidate.reason,
            "programs": [attached.keep(program) for program, _ in taken],
            "links": [attached.keep(link) for _, link in taken],
        }
    )
    return True


def _attach_one(
    symbol: str, mechanism: str, code_of: Callable[[str], bytes], btf_ids: Mapping[str, int]
) -> tuple[int, int]:
    """Load and attach one program; return the descriptors of program and attachment."""
    from rmapwatch.kernels import syscalls
    from rmapwatch.probes.source import program_name

    name = program_name(mechanism, symbol)
    program = syscalls.load(code_of(name), mechanism, name, btf_ids.get(symbol, 0))
    try:
        return program, syscalls.attach(program, mechanism, symbol)
    except syscalls.RefusedError:
        os.close(program)
        raise


if __name__ == "__main__":
    _adopt_package()
    serve(socket.socket(fileno=int(sys.argv[1])), *sys.argv[2:])
