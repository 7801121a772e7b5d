"""Two observers: the same calls, the same figures, or one of them says that it missed some."""

import io
from dataclasses import asdict, replace

import pytest
from rich.console import Console, RenderableType
from rmapwatch.lab import report
from rmapwatch.lab.comparison import Comparison, Window, cells, compare
from rmapwatch.probes.sample import Sample
from samples import sample

BEFORE, AFTER = sample(1_000_000_000, 1), sample(3_000_000_000, 3)


def printed(shown: RenderableType) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(shown)
    return console.export_text()


def missing(told: Sample, missed: int | None) -> Sample:
    """A Sample whose every account says so."""
    accounts = {name: replace(a, missed=missed) for name, a in told.accounts.items()}
    return replace(told, accounts=accounts)


def another(told: Sample, **changed: object) -> Sample:
    return replace(told, **changed)


def compared(theirs: Sample, missed: int | None = 0, before: int | None = 0) -> Comparison:
    ours = Window(missing(BEFORE, before), missing(AFTER, missed))
    return compare(ours, Window(missing(BEFORE, 0), missing(theirs, 0)))


def test_the_same_is_the_same() -> None:
    found = compared(AFTER)
    assert len(found.figures) > 30
    assert {row.agrees for row in found.figures} == {True}
    assert found.missed == {"bcc": {}, "ftrace": {}}
    assert all(row.bcc or row.ftrace for row in found.figures)


def test_figures_are_of_the_window() -> None:
    table = {row.figure: row.bcc for row in compared(AFTER).figures}
    key = next(key for key, walk in AFTER.walks.items() if walk.walks)
    assert table[" ".join(("walks", *key))] == AFTER.walks[key].walks - BEFORE.walks[key].walks


@pytest.mark.parametrize(
    ("field", "figure"),
    [
        ("ksm", "KSM pages shared"),
        ("failures", "calls of memory_failure"),
        ("forks", "calls of copy_process"),
        ("cow", "writes to protected pages"),
        ("migrations", "calls to migrate"),
        ("lock_waits", "waits for anon_vma read walk"),
        ("walks", "walks "),
        ("batches", "batches "),
    ],
)
def test_each_difference_is_seen(field: str, figure: str) -> None:
    """Of a backend that stopped counting this after the first moment."""
    found = compared(another(AFTER, **{field: getattr(BEFORE, field)}))
    assert any(row.figure.startswith(figure) for row in found.figures if row.agrees is False)
    assert {row.ftrace for row in found.figures if row.agrees is False} == {0}


def test_what_one_does_not_know_is_not_compared() -> None:
    assert AFTER.ksm is not None
    blind = another(AFTER, ksm=None)
    assert not [row for row in compared(blind).figures if "KSM" in row.figure]
    pages = {name: n for name, n in AFTER.ksm.pages.items() if name != "cow"}
    less = another(AFTER, ksm=replace(AFTER.ksm, pages=pages))
    told = [row.figure for row in compared(less).figures]
    assert "KSM pages shared" in told
    assert "KSM pages cow" not in told
    assert None not in cells(AFTER).values()


@pytest.mark.parametrize(("missed", "before"), [(1, 0), (None, 0)])
def test_a_difference_where_calls_were_missed_proves_nothing(
    missed: int | None, before: int | None
) -> None:
    found = compared(another(AFTER, walks=BEFORE.walks), missed, before)
    assert {row.agrees for row in found.figures} == {True, None}
    assert set(found.missed["bcc"].values()) == {missed}
    assert compared(AFTER, None, None).missed["bcc"] == {}, "a kernel that never says"


def test_the_screen_shows_both_and_fails_on_a_difference() -> None:
    told = {"scenario": "fork-storm", "kernel": "6.1", "lru": "classic"}
    right = told | asdict(compared(AFTER))
    wrong = told | asdict(compared(another(AFTER, walks=BEFORE.walks)))
    missed = told | asdict(compared(another(AFTER, walks=BEFORE.walks), missed=31))
    broken = told | {"error": {"what": "it broke", "why": "who knows"}}
    verdicts = [report.backends_agree(result) for result in (right, wrong, broken)]
    assert verdicts == [True, False, False]
    text = printed(report.comparison(wrong))
    assert "fork-storm on 6.1, classic LRU" in text
    assert "calls missed" not in text
    assert "calls missed, rmap_walk_anon 31 0" in " ".join(
        printed(report.comparison(missed)).split()
    )
    assert "NO" in text
    assert "it broke: who knows" in printed(report.comparison(broken))
