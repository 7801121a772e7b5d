"""Counting from zero again: what a session subtracts, and what it must not."""

from rmapwatch.probes.session import _Reading


def test_what_was_there_at_the_start_is_taken_off() -> None:
    start = _Reading((5, 7), {"walk": 1}, {"walk": 2}, {"walk": [3, None], "step": [4]})
    now = _Reading((9, 7), {"walk": 3}, {"walk": 2}, {"walk": [10, None], "step": [4]})
    assert now.since(start) == _Reading(
        words=(4, 0),
        in_flight={"walk": 3},
        orphaned={"walk": 0},
        skipped={"walk": [7, None], "step": [0]},
    )


def test_what_a_kernel_begins_to_tell_counts_from_zero() -> None:
    start = _Reading((), {}, {}, {"walk": [None]})
    assert _Reading((), {}, {}, {"walk": [6]}).since(start).skipped == {"walk": [6]}
