"""The governor as a pure machine: what it does about which estimates, and what these are of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rmapwatch import errors
from rmapwatch.probes.cost import Conditions, Cost, Estimate, Runs, estimate
from rmapwatch.probes.governed import bound
from rmapwatch.probes.governor import LOOKS, ONE_IN, Governor, State

COST = Cost(call_ns=500, step_ns=100, skipped_ns=80)
QUIET, BUSY, BETWEEN = Estimate(0.001, 0.001), Estimate(0.02, 0.02), Estimate(0.007, 0.007)


def looks(governor: Governor, *seen: Estimate) -> Governor:
    for each in seen:
        governor = governor.look(each)
    return governor


def test_it_samples_and_then_sheds_what_stays_above_the_bound() -> None:
    started = Governor(0.01, returns=False)
    assert looks(started, *[BUSY] * (LOOKS - 1)).state == State.FULL
    sampled = looks(started, *[BUSY] * LOOKS)
    assert (sampled.state, sampled.over) == (State.SAMPLED, 0)
    assert looks(sampled, *[BUSY] * (LOOKS - 1)).state == State.SAMPLED
    assert looks(sampled, *[BUSY] * LOOKS).state == State.SHED


def test_bursts_change_nothing() -> None:
    started = Governor(0.01, returns=False)
    bursts = ([BUSY] * (LOOKS - 1) + [QUIET]) * 5
    assert looks(started, *bursts).state == State.FULL


def test_the_gate_opens_where_everything_would_fit_into_half_of_the_bound() -> None:
    sampled = Governor(0.01, returns=False, state=State.SAMPLED)
    assert looks(sampled, *[BETWEEN] * 100).state == State.SAMPLED
    assert looks(sampled, *[Estimate(0.001, 0.006)] * 100).state == State.SAMPLED
    assert looks(sampled, *[QUIET] * LOOKS).state == State.FULL


@pytest.mark.parametrize(("returns", "state"), [(True, State.FULL), (False, State.SHED)])
def test_what_was_shed_comes_back_where_somebody_can_attach_it(returns: bool, state: State) -> None:
    shed = Governor(0.01, returns, State.SHED)
    assert looks(shed, *[BUSY] * 100).state == State.SHED
    assert looks(shed, *[QUIET] * LOOKS).state == state


shares = st.floats(0, 1)


@given(st.lists(st.tuples(shares, shares)), st.booleans())
def test_it_goes_one_step_at_a_time(seen: list[tuple[float, float]], returns: bool) -> None:
    allowed = {
        (State.FULL, State.SAMPLED),
        (State.SAMPLED, State.SHED),
        (State.SAMPLED, State.FULL),
        (State.SHED, State.FULL),
    }
    governor, calm = Governor(0.01, returns), LOOKS
    for each in seen:
        after = governor.look(Estimate(*each))
        calm = calm + 1
        if after.state != governor.state:
            assert (governor.state, after.state) in allowed
            assert calm >= LOOKS
            calm = 0
        governor = after


def test_every_walk_counted() -> None:
    """A second of two CPUs: 1,000 calls and 4,000 VMAs."""
    seen = estimate(COST, Runs(10**9, 2000, 4000, 1000), Conditions(2, 1, 4))
    assert seen.now == seen.whole == pytest.approx((1000 * 500 + 4000 * 100) / 2e9)


def test_sampled_walks_stand_for_all() -> None:
    seen = estimate(COST, Runs(10**9, 2000, 250, 1000), Conditions(2, ONE_IN, 4))
    assert seen.whole == pytest.approx((1000 * 500 + 4000 * 100) / 2e9)
    assert seen.now == pytest.approx((1000 * 500 + 250 * 100 + 3750 * 80) / 2e9)


def test_of_what_was_shed_only_the_calls_are_left() -> None:
    seen = estimate(COST, Runs(10**9, 2000, 0, 1000), Conditions(2, 0, 4))
    assert seen.now == pytest.approx(1000 * 500 / 2e9)
    assert seen.whole == pytest.approx((1000 * 500 + 4000 * 100) / 2e9)


def test_nothing_takes_nothing() -> None:
    assert estimate(COST, Runs(0, 0, 0, 0), Conditions(2, 0, 4)) == Estimate(0, 0)


@pytest.mark.parametrize(
    ("text", "share"),
    [("1%", 0.01), ("0.5%", 0.005), ("0.02", 0.02), ("100%", 1), ("0", None), ("0%", None),
     ("off", None)],
)  # fmt: skip
def test_bounds(text: str, share: float | None) -> None:
    assert bound(text) == share


@pytest.mark.parametrize("text", ["", "%", "much", "-1%", "101%", "2", "nan"])
def test_what_is_no_bound(text: str) -> None:
    with pytest.raises(errors.UsageError, match="is no share of the CPUs"):
        bound(text)


@pytest.mark.parametrize("text", ["1", "[]", '{"a": 1}', '{"call_ns": "x"}', "", '{"call_ns": []}'])
def test_what_is_no_cost(text: str) -> None:
    with pytest.raises(ValueError):
        Cost.from_json(text)


def test_costs_survive_being_written() -> None:
    assert Cost.from_json(COST.to_json()) == COST
