"""The check beside an exporter: events that are part of no recording, and what adds up of them."""

import numpy as np
import pytest
from handmade import POINTS, START_NS, Made, made
from rmapwatch.check.context import Context, known
from rmapwatch.check.run import RULES
from rmapwatch.check.sampled import judged


def context(of: Made, **lost: int) -> Context:
    return known(of.facts, POINTS).context(START_NS, lost, {})


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12", "7.3"])
def test_nothing_is_wrong(kernel: str) -> None:
    seen = made(kernel)
    found = judged(context(seen), seen.records)
    assert tuple(found) == RULES
    assert [each for each in found.values() if each.wrong] == []
    held = {rule.name: each.held for rule, each in found.items()}
    assert held["reference check: keep"] > 10
    assert held["walks: counted = told by events"] == 0


def test_a_mismatch_is_counted_and_named() -> None:
    false = made("6.1")
    checks = false.records["reference"]
    at = np.flatnonzero((checks["decision"] == 2) & (checks["result"] == 1))[0]
    checks["decision"][at] = 0
    found = judged(context(false), false.records)
    wrong = {rule.name: each for rule, each in found.items() if each.wrong}
    assert wrong["reference check: keep"].wrong == 1
    assert wrong["reference check: keep"].examples[0].seq == int(checks["seq"][at])


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.85])
def test_what_began_before_is_no_mismatch(share: float) -> None:
    """Whatever moment the events begin at, what they refer to may lie before it."""
    seen = made("6.12")
    cut = int(sum(map(len, seen.records.values())) * share)
    part = {event: found[found["seq"] >= cut] for event, found in seen.records.items()}
    before = [found["time"][found["seq"] < cut] for found in seen.records.values()]
    later = known(seen.facts, POINTS).context(int(np.concatenate(before).max()) + 1, {}, {})
    found = judged(later, part)
    assert [each.examples for each in found.values() if each.wrong] == []
    assert sum(each.held for each in found.values()) > 0
