"""Imports run one way, and the layout stays what it is."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Each room and the rooms that it may import from (itself always).
MAY_IMPORT = {
    "errors": set(),
    "kernels": {"errors"},
    "probes": {"errors", "kernels"},
    "collectors": {"errors", "kernels", "probes"},
    "recordings": {"errors", "kernels", "probes", "collectors"},
    "exporters": {"errors", "kernels", "probes", "collectors", "check"},
    "model": {"kernels"},
    "check": {"errors", "kernels", "probes", "recordings", "model"},
    "views": {"errors", "kernels", "probes", "collectors", "recordings", "model"},
    "doctor": {"errors", "kernels", "probes"},
    "lab": {
        "errors",
        "kernels",
        "probes",
        "collectors",
        "recordings",
        "views",
        "model",
        "check",
    },
    "cli": {
        "errors",
        "kernels",
        "probes",
        "collectors",
        "recordings",
        "exporters",
        "views",
        "lab",
        "doctor",
        "check",
    },
    "__main__": {"cli"},
}
# The model knows kernels by their semantics alone.
MODEL_MODULES = {"kernels.semantics"}


def modules() -> list[Path]:
    folders = [ROOT.joinpath(*package.split(".")[1:]) for package in packages()]
    return sorted(f for folder in folders for f in folder.glob("*.py"))


def packages() -> list[str]:
    return list(PROJECT["tool"]["setuptools"]["packages"])


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, as dotted paths below the root."""
    package = name_of(path).split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - (node.level - 1)]
            elif node.module and node.module.split(".")[0] == "rmapwatch":
                base = []
            else:
                continue
            below = (node.module or "").removeprefix("rmapwatch").strip(".")
            prefix = [*base, *(below.split(".") if below else [])]
            found |= {".".join([*prefix, alias.name]) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("rmapwatch.")
                for alias in node.names
                if alias.name.split(".")[0] == "rmapwatch"
            }
    return found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    room = name_of(path).split(".")[0]
    if room == "__init__":
        assert not imported(path)
        return
    for module in imported(path):
        other = module.split(".")[0]
        if other in ("__version__", room):
            continue
        assert other in MAY_IMPORT[room], f"{name_of(path)} imports {module}"
        if room == "model":
            assert any(module.startswith(allowed) for allowed in MODEL_MODULES), module


# Folders of data that setuptools wants to see listed as packages.
DATA_FOLDERS = {"rmapwatch.probes.bpf"}


def test_packages_are_the_folders() -> None:
    found = {p.parent.relative_to(ROOT) for p in (*ROOT.glob("[a-z]*/**/__init__.py"),)}
    folders = {".".join(("rmapwatch", *p.parts)) for p in found if p.parts[0] != "tests"}
    assert set(packages()) == {"rmapwatch"} | folders | DATA_FOLDERS


def test_nothing_is_imported_by_its_bare_name() -> None:
    bare = {name_of(path).split(".")[0] for path in modules()} - {"__init__", "__main__"}
    loaded = {
        name
        for name in bare & sys.modules.keys()
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT))
    }
    assert not loaded


def test_the_loader_needs_the_standard_library_alone() -> None:
    """Whatever `probes/loader.py` reaches needs the standard library and bcc at most."""
    allowed = set(sys.stdlib_module_names) | {"bcc", "rmapwatch"}
    seen, todo = set(), [ROOT / "probes" / "loader.py"]
    while todo:
        path = todo.pop()
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    assert alias.name.split(".")[0] in allowed, f"{path.name}: {alias.name}"
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] in allowed, f"{path.name}: {node.module}"
        for module in imported(path):
            for depth in (module, module.rpartition(".")[0]):
                inner = ROOT / (depth.replace(".", "/") + ".py")
                if depth and inner.exists() and inner not in seen:
                    todo.append(inner)
    assert ROOT / "probes" / "source.py" in seen


def test_the_command_line_starts_without_what_is_slow_to_load() -> None:
    slow = {"numpy", "matplotlib", "psutil", "pyarrow", "textual"}
    code = f"import sys, rmapwatch.cli; sys.exit(bool({slow} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_table_of_changes_knows_versions() -> None:
    allowed = {"kernels/changes.py", "kernels/read.py", "kernels/semantics.py"}
    words = ("osrelease", "LINUX_VERSION_CODE", "KERNEL_VERSION", "uname().release <", "version_at")
    for path in modules():
        where = str(path.relative_to(ROOT))
        if where not in allowed and not where.startswith("lab/"):
            assert not any(word in path.read_text() for word in words), where
