"""The one error door: what, why, a hint that can be pasted, an exit code, and no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rmapwatch import cli

FACTS = Path(__file__).parents[1] / "data" / "facts"


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "rmapwatch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["lab", "run", "rain"], "no scenario rain"),
        (["lab", "top", "rain"], "no scenario rain"),
        (["lab", "run", "fork-storm", "--kernel", "9.9"], "no kernel 9.9"),
        (["lab", "facts", "--kernel", "9.9"], "no kernel 9.9"),
        (["probes", "--facts", "/no/such/file"], "cannot be read as kernel facts"),
        (["probes", "--facts", __file__], "cannot be read as kernel facts"),
    ],
)
def test_what_is_asked_for_does_not_exist(arguments: list[str], what: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    first, hint = done.stderr.splitlines()
    assert first.startswith("rmapwatch: ")
    assert what in first
    assert hint.startswith("hint: ")
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [["top", "--interval", "0"], ["probes", "--no-such"], ["x"]])
def test_bad_usage(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("wrong", ["{}", '{"release": 1}', "[]", "null", '{"functions": 3}'])
def test_facts_that_are_not_facts(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(wrong)
    done = run("probes", "--facts", str(path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_probes_of_saved_facts_as_json() -> None:
    done = run("probes", "--facts", str(FACTS / "7.3.json"), "--json")
    rows = {row["probe"]: row for row in json.loads(done.stdout)}
    assert rows["rmap_walk_file"]["symbol"] == "__rmap_walk_file"
    assert rows["rmap_walk_file"]["mechanism"] == "fentry+fexit"


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], ["rmapwatch.lab", "rmapwatch.model", "numpy", "pyarrow"]),
        (["doctor"], ["rmapwatch.lab", "rmapwatch.model", "numpy", "pyarrow"]),
        (["lab", "--help"], ["rmapwatch.model", "pyarrow"]),
    ],
)
def test_a_command_loads_what_it_needs(arguments: list[str], unneeded: list[str]) -> None:
    """A start is what most of a short command takes."""
    code = (
        "import sys; from rmapwatch import cli; sys.argv[1:] = {!r}\n"
        "try: cli.main()\n"
        "finally: print(*(name for name in {!r} if name in sys.modules), file=sys.stderr)"
    ).format(arguments, [*unneeded, "rmapwatch.cli"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "rmapwatch.cli"


def test_output_that_nobody_reads_is_no_error() -> None:
    shell = f"{sys.executable} -m rmapwatch probes --facts {FACTS / '6.1.json'} --json | true"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_what_needs_root_is_offered_under_sudo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", ["rmapwatch", "record", "-o", "a folder"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert capsys.readouterr().err.splitlines()[1] == "hint: sudo rmapwatch record -o 'a folder'"
