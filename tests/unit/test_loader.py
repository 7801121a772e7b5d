"""What the loader does with what the kernel refuses; nothing here gets as far as the kernel."""

import os
from pathlib import Path

import pytest
from rmapwatch import errors
from rmapwatch.kernels.facts import Function, KernelFacts
from rmapwatch.probes import loader
from rmapwatch.probes.loader import Attached, Running

WALK = (("folio", "struct folio *"), ("rwc", "struct rmap_walk_control *"), ("locked", "bool"))
MANY = tuple((f"p{number}", "long") for number in range(7))
FACTS = KernelFacts("1", "", "x86_64", functions={
    "rmap_walk_anon": Function(True, WALK, "void"),
    "rmap_walk_file": Function(True, WALK, "void"),
    "migrate_pages": Function(True, MANY, "int"),
})  # fmt: skip
REQUEST = {"probes": ["rmap_walk_anon", "rmap_walk_file", "migrate_pages"]}
ALL = ("rmap_walk_anon", "rmap_walk_file", "migrate_pages")
FDS = Path("/proc/self/fd")


class Kernel:
    """One that refuses `refused` attempts to attach all; notes what it is asked for, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.refused = refused
        monkeypatch.setattr(loader, "headers_present", lambda: None)
        monkeypatch.setattr(loader, "kernel", lambda: Running(None, FACTS, {}))
        monkeypatch.setattr(loader, "settle", self.settle)
        monkeypatch.setattr(loader, "attach", self.attach)

    def settle(self, points, running: Running) -> Running:
        self.asked.append(("try", *(point.name for point in points)))
        facts = running.facts
        for point in points:
            facts = facts.answered(point.name, {"fentry": "ok"})
        return running._replace(facts=facts)

    def attach(self, points, running: Running, request) -> Attached:
        self.asked.append(("attach", *(point.name for point in points)))
        self.known = {name for name in ALL if running.facts.answers(name)}
        attached = Attached(manifest={"attempt": len(self.asked)})
        attached.keep(os.open("/dev/null", os.O_RDONLY))
        if self.refused:
            self.refused -= 1
            attached.refused = True
            attached.failures = [{"probe": "rmap_walk_file", "reason": "EBUSY"}]
        if not self.refused:
            attached.rows = [{"probe": "rmap_walk_anon"}]
        return attached


def test_only_what_is_in_doubt_is_tried_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first, which stands for all, and what a kernel may well refuse."""
    kernel = Kernel(monkeypatch, refused=0)
    manifest, fds = loader.fulfil(REQUEST)
    assert kernel.asked == [("try", "rmap_walk_anon", "migrate_pages"), ("attach", *ALL)]
    assert kernel.known == {"rmap_walk_anon", "migrate_pages"}
    assert manifest == {"attempt": 2}
    assert len(fds) == 1
    os.close(fds[0])


def test_where_something_is_refused_all_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, refused=1)
    before = len(list(FDS.iterdir()))
    manifest, fds = loader.fulfil(REQUEST)
    assert kernel.asked[2:] == [("try", *ALL), ("attach", *ALL)]
    assert kernel.known == set(ALL)
    assert manifest == {"attempt": 4}
    assert len(list(FDS.iterdir())) == before + 1, "of the first attempt nothing is left"
    os.close(fds[0])


def test_what_is_refused_after_all_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, refused=3)
    with pytest.raises(errors.NothingAttachedError) as refused:
        loader.fulfil(REQUEST)
    assert refused.value.why == "EBUSY"
    assert len(kernel.asked) == 4
