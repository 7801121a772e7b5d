from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from rmapwatch.errors import UsageError
from rmapwatch.lab import image, kernels

Tree = Callable[[Path, str], Path]
Bzimage = Callable[[str, bytes], bytes]


def test_cache_prefers_own_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("RMAPWATCH_CACHE", str(tmp_path / "own"))
    assert kernels.cache() == tmp_path / "own"
    monkeypatch.delenv("RMAPWATCH_CACHE")
    assert kernels.cache() == tmp_path / "xdg/rmapwatch"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kernels.cache() == tmp_path / ".cache/rmapwatch"


def test_nothing_installed(cache: Path) -> None:
    assert kernels.installed() == []


def test_installed_is_oldest_first(cache: Path, tree: Tree) -> None:
    tree(cache / "kernels/6.12", "6.12.1-amd64")
    tree(cache / "kernels/5.10", "5.10.0-9-amd64")
    assert [kernel.series for kernel in kernels.installed()] == ["5.10", "6.12"]


def test_a_fetch_under_way_is_not_installed(cache: Path, tree: Tree) -> None:
    tree(cache / "kernels/.fetching-x/root", "6.1.0-1-amd64")
    assert kernels.installed() == []


def test_find_series(cache: Path, tree: Tree) -> None:
    root = cache / "kernels/6.1"
    packed = tree(root, "6.1.0-1-amd64")
    found = kernels.find("6.1")
    assert found.release == "6.1.0-1-amd64"
    assert found.image == packed
    assert found.modules == root / "lib/modules/6.1.0-1-amd64"
    assert found.src == root / "usr/src"


def test_the_unpacked_image_is_booted_if_there_is_one(cache: Path, tree: Tree) -> None:
    packed = tree(cache / "kernels/6.1", "6.1.0-1-amd64")
    unpacked = packed.with_name("vmlinux-6.1.0-1-amd64")
    unpacked.touch()
    assert kernels.find("6.1").image == unpacked


def test_series_not_fetched_names_the_command(cache: Path) -> None:
    with pytest.raises(UsageError) as error:
        kernels.find("6.12")
    assert error.value.hint == "rmapwatch lab kernels --fetch 6.12"


def test_unknown_name_names_the_command(cache: Path) -> None:
    with pytest.raises(UsageError, match=r"none of 5\.10, 6\.1, 6\.12, 7\.3") as error:
        kernels.find("4.19")
    assert "rmapwatch lab kernels --fetch" in error.value.hint


def test_own_kernel_in_a_folder_tree(tmp_path: Path, tree: Tree) -> None:
    path = tree(tmp_path / "mine", "6.99.0-rc1+")
    found = kernels.find(str(path))
    assert found.release == "6.99.0-rc1+"
    assert found.modules == tmp_path / "mine/lib/modules/6.99.0-rc1+"
    assert found.src == tmp_path / "mine/usr/src"


def test_own_kernel_in_a_build_tree_without_modules(tmp_path: Path, tree: Tree) -> None:
    path = tmp_path / "linux/arch/x86/boot/bzImage"
    path.parent.mkdir(parents=True)
    path.write_bytes(tree(tmp_path / "other", "6.99.0").read_bytes())
    found = kernels.find(str(path))
    assert (found.modules, found.src) == (None, None)


def test_a_file_that_is_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(b"\x7fELF" * 1000)
    with pytest.raises(UsageError, match="not an x86 bzImage"):
        kernels.find(str(path))


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_unpacked(tmp_path: Path, bzimage: Bzimage, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "bzImage"
    path.write_bytes(bzimage("6.1", pack(b"\x7fELF and so on")))
    assert image.unpacked(path) == b"\x7fELF and so on"


def test_unpacked_of_an_unknown_compression(tmp_path: Path, bzimage: Bzimage) -> None:
    path = tmp_path / "bzImage"
    path.write_bytes(bzimage("6.1", b"LZ4 or what not"))
    assert image.unpacked(path) is None
