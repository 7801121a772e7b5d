"""The built wheel has everything: every module can be imported from it, every text is in it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.check_output(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], text=True
    )
    for name in tracked.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(folder), str(source)],
        check=True,
    )  # fmt: skip
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_every_module_comes_from_the_wheel(unpacked: Path) -> None:
    modules = [
        ".".join(path.relative_to(unpacked).with_suffix("").parts).removesuffix(".__init__")
        for path in unpacked.glob("rmapwatch/**/*.py")
        if path.name not in ("__main__.py", "loader.py")
    ]
    assert "rmapwatch.probes.session" in modules
    code = f"""
import importlib, sys
sys.path.insert(0, {str(unpacked)!r})
for name in {modules!r}:
    module = importlib.import_module(name)
    assert module.__file__.startswith({str(unpacked)!r}), module.__file__
from rmapwatch.probes import source
print(sorted(path.name for path in source.BPF_DIR.glob("*.bpf.c")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=unpacked
    )
    assert done.returncode == 0, done.stderr
    texts = sorted(path.name for path in (ROOT / "probes" / "bpf").glob("*.bpf.c"))
    assert done.stdout.strip() == str(texts)


def test_every_text_of_the_tree_is_in_it(unpacked: Path) -> None:
    for folder, pattern in (("probes/bpf", "*.bpf.c"), ("lab/workloads", "*.[ch]")):
        for path in (ROOT / folder).glob(pattern):
            assert (unpacked / "rmapwatch" / folder / path.name).read_bytes() == path.read_bytes()


def test_nothing_of_the_tests_is_in_it(unpacked: Path) -> None:
    assert not (unpacked / "rmapwatch" / "tests").exists()
