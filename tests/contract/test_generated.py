"""What derives from a table is what the table says."""

from rmapwatch.tools import generate


def test_every_generated_file_is_up_to_date() -> None:
    assert generate.stale() == [], "run python tools/generate.py"


def test_check_says_what_is_out_of_date(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "docs/model-rules.md is out of date" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert generate.main(["--nonsense"]) == 2
