"""What is read off the running kernel, from files made by hand."""

from pathlib import Path

import pytest
from rmapwatch.kernels import read, syscalls
from rmapwatch.kernels.facts import Wanted
from rmapwatch.kernels.read import kernel_thread

SYMBOLS = """\
ffffffff81000000 T _stext
ffffffff81234560 T rmap_walk
ffffffff81234570 t migrate_pages
ffffffff81234580 t try_to_unmap
ffffffff81234590 t try_to_unmap
ffffffffc0000000 t page_idle\t[page_idle]
"""


def test_where_symbols_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one of a name that several share, nor one of a module."""
    monkeypatch.setattr(read, "KALLSYMS", tmp_path / "kallsyms")
    read.KALLSYMS.write_text(SYMBOLS)
    names = ("rmap_walk", "migrate_pages", "try_to_unmap", "page_idle", "absent")
    assert read.addresses(names) == {
        "rmap_walk": 0xFFFFFFFF81234560,
        "migrate_pages": 0xFFFFFFFF81234570,
    }


def test_which_functions_can_be_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "tracefs", lambda: tmp_path)
    listed = tmp_path / "available_filter_functions"
    listed.write_text("rmap_walk\nrmap_walk_anon\npage_idle [page_idle]\n")
    names = frozenset({"rmap_walk", "rmap", "page_idle"})
    facts = read.read_facts(Wanted(functions=names), None, {"rmap": 1})
    assert {name: each.traceable for name, each in facts.functions.items()} == {
        "rmap_walk": True,
        "rmap": False,
    }


def test_a_kernel_thread_is_no_process_of_that_name(tmp_path: Path) -> None:
    """Anybody may be called so; the kernel's own are the children of kthreadd."""
    others = [(number, "ksmd", 1) for number in range(50, 80)]
    for number, name, parent in ((42, "ksmd", 2), (43, "a) S 2 (ksmd", 7), *others):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "stat").write_text(f"{number} ({name}) S {parent} 0 0\n")
    (tmp_path / "uptime").write_text("1 1")
    assert kernel_thread("ksmd", tmp_path) == 42
    assert kernel_thread("khugepaged", tmp_path) is None
