"""Follows the events of a session without keeping them, for those who look at sums alone."""

from __future__ import annotations

import signal
import threading

from ..probes.backend import Attached
from ..probes.consumer import Consumer
from ..probes.sample import Sample
from .hottest import Hottest
from .owners import Owners

_POLL_S = 0.05


class Following:
    """Takes events as they come, in a thread, and adds what they tell to each Sample."""

    def __init__(self, attached: Attached) -> None:
        """Follow `attached`, whose ring nobody else may read."""
        self._attached, self._hottest = attached, Hottest(Owners())
        self._consumer = Consumer(attached, self._hottest)
        self._turn = threading.Lock()
        threading.Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            self._drain()
            threading.Event().wait(_POLL_S)

    def _drain(self) -> None:
        with self._turn:
            self._consumer.drain()

    def sample(self) -> Sample:
        """Return a Sample of now, with the hottest maps and who pays for them."""
        taken = self._attached.sample()
        self._drain()
        with self._turn:
            return self._hottest.added_to(taken)
