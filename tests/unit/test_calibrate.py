"""What programs cost: from times that make sense, and once per boot."""

import json
from pathlib import Path

import pytest
from rmapwatch.probes import calibrate, compiled
from rmapwatch.probes.compiled import Compiled
from rmapwatch.probes.cost import Cost

COST = Cost(call_ns=600, step_ns=100, skipped_ns=80)
NOTHING = Compiled({}, {})


def test_costs_are_differences_of_times() -> None:
    assert calibrate._cost([1000, 1600, 2000, 1920]) == COST


@pytest.mark.parametrize(
    "times", [(1000, 1000, 2000, 2000), (1000, 1600, 1500, 1500), (9, 8, 7, 6)]
)
def test_times_that_make_no_sense_are_none(times: tuple[float, ...]) -> None:
    assert calibrate._cost(times) is None


def test_what_is_skipped_costs_no_more_than_what_is_not() -> None:
    assert calibrate._cost([1000, 1600, 2000, 2400]) == Cost(600, 100, 100)
    assert calibrate._cost([1000, 1600, 2000, 1500]) == Cost(600, 100, 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(compiled, "FOLDER", tmp_path)
    boot = tmp_path / "boot_id"
    boot.write_text("this one\n")
    monkeypatch.setattr(calibrate, "_BOOT_ID", boot)
    return tmp_path


def no_maps() -> dict[str, int]:
    raise AssertionError("nothing is to be measured")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (json.dumps(["this one", COST.to_json()]), COST),
        (json.dumps(["the one before", COST.to_json()]), None),
        ("[]", None),
        ("null", None),
        ('["this one", 3]', None),
        ("{", None),
    ],
)
def test_it_is_kept_for_one_boot(folder: Path, text: str, found: Cost | None) -> None:
    (folder / "cost.json").write_text(text)
    assert calibrate.cost(NOTHING, {}, no_maps) == found


def test_what_others_could_have_written_is_not_believed(folder: Path) -> None:
    path = folder / "cost.json"
    path.write_text(json.dumps(["this one", COST.to_json()]))
    path.chmod(0o666)
    assert calibrate.cost(NOTHING, {}, no_maps) is None


def test_what_was_measured_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "_measured", lambda *_: COST)
    ids = dict.fromkeys(calibrate.TEST_FUNCTIONS, 1)
    assert calibrate.cost(NOTHING, ids, no_maps) == COST
    assert calibrate.cost(NOTHING, {}, no_maps) == COST


def test_without_test_functions_nothing_is_known(folder: Path) -> None:
    assert calibrate.cost(NOTHING, {"bpf_fentry_test1": 1}, no_maps) is None
    assert not (folder / "cost.json").exists()
