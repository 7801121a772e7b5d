"""The self-test's rules and its workload, as far as they need no probes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from rmapwatch import errors
from rmapwatch.doctor import selftest
from rmapwatch.probes import ring, rmap
from rmapwatch.probes.sample import Account
from samples import sample

MKCLEAN = [op.name for op in rmap.OPS].index("mkclean")
ACCOUNT = Account(31, 31, 0, 0, 0)
SAMPLE = replace(sample(1, 1), accounts={"rmap_walk_file": ACCOUNT}, events={})
MOUNTINFO = """\
22 1 0:20 / / rw - overlay overlay rw
23 22 254:1 / /var rw,relatime shared:1 - ext4 /dev/vda1 rw
24 23 0:5 / /var/a\\040b rw - tmpfs tmpfs rw
25 23 0:6 / /var/a\\040b rw - xfs /dev/vdb rw
"""


def walks(count: int, vmas: int, ptes: int, nr_pages: int = 1) -> np.ndarray:
    found = np.zeros(count, ring.dtype("walk"))
    found["op"], found["vmas"], found["ptes"], found["nr_pages"] = MKCLEAN, vmas, ptes, nr_pages
    return found


def test_what_must_be() -> None:
    rules = selftest.rules(walks(31, 7, 5), SAMPLE)
    assert [rule.agrees for rule in rules] == [True] * 5
    assert [rule.observed for rule in rules] == [31, 217, 155, 31, 0]


def test_folios_of_several_pages() -> None:
    found = np.concatenate([walks(1, 7, 80, 16), walks(3, 7, 25, 5)])
    assert all(rule.agrees for rule in selftest.rules(found, SAMPLE))


@pytest.mark.parametrize(
    ("found", "broken"),
    [
        (walks(30, 7, 5), [0, 2]),
        (walks(31, 6, 5), [1]),
        (walks(31, 7, 6), [2]),
        (walks(0, 0, 0), [0, 2]),
    ],
)  # fmt: skip
def test_what_must_not_be(found: np.ndarray, broken: list[int]) -> None:
    rules = selftest.rules(found, SAMPLE)
    assert [number for number, rule in enumerate(rules) if not rule.agrees] == broken


def test_walks_for_something_else_do_not_count() -> None:
    other = walks(3, 1, 1)
    other["op"] = MKCLEAN - 1
    assert all(r.agrees for r in selftest.rules(np.concatenate([walks(31, 7, 5), other]), SAMPLE))


def test_calls_that_are_nowhere() -> None:
    lost = replace(SAMPLE, accounts={"rmap_walk_file": Account(37, 31, 1, 3, 0)})
    assert [rule.agrees for rule in selftest.rules(walks(31, 7, 5), lost)][3] is False


def test_the_workload_leaves_nothing(tmp_path: Path) -> None:
    before = psutil.Process().children()
    selftest.sync(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert psutil.Process().children() == before


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "overlay"),
        ("/var/tmp", "ext4"),
        ("/var", "ext4"),
        ("/var/a b/c", "xfs"),
        ("/va", "overlay"),
    ],
)  # fmt: skip
def test_file_systems(path: str, kind: str) -> None:
    assert selftest.file_system(Path(path), MOUNTINFO) == kind


@pytest.mark.parametrize(
    ("folder", "why"), [("/dev/shm", "is on tmpfs"), ("/no/such", "no folder")]
)
def test_nothing_is_attached_where_it_cannot_run(
    folder: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest.session, "start", lambda _: pytest.fail("it attaches"))
    with pytest.raises(errors.RmapwatchError, match=why) as refused:
        selftest.run(Path(folder))
    assert "--folder" in refused.value.hint
