"""How long to wait between Samples, changed and ended from another thread."""

import threading
import time

from rmapwatch.views.pace import Pace


def later(call, *arguments: float) -> None:
    threading.Timer(0.05, call, arguments).start()


def test_it_waits_an_interval() -> None:
    began = time.monotonic()
    assert Pace(0.1).rest()
    assert 0.09 < time.monotonic() - began < 5


def test_a_shorter_interval_holds_at_once() -> None:
    pace, began = Pace(60.0), time.monotonic()
    later(pace.set, 0.06)
    assert pace.rest()
    assert 0.05 < time.monotonic() - began < 5


def test_a_longer_interval_holds_at_once() -> None:
    pace, began = Pace(0.15), time.monotonic()
    later(pace.set, 0.4)
    assert pace.rest()
    assert time.monotonic() - began > 0.35


def test_an_end_ends_every_wait() -> None:
    pace, began = Pace(60.0), time.monotonic()
    later(pace.stop)
    assert not pace.rest()
    pace.sleep(60)
    assert not pace.rest()
    assert pace.stopped
    assert time.monotonic() - began < 5


def test_a_change_of_the_interval_is_no_end_of_a_sleep() -> None:
    pace, began = Pace(60.0), time.monotonic()
    later(pace.set, 0.01)
    pace.sleep(0.2)
    assert time.monotonic() - began > 0.19
