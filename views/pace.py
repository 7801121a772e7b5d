"""How long to wait between Samples: a screen may change it, and end it, from another thread."""

from __future__ import annotations

import threading
import time


class Pace:
    """``interval`` in seconds; ``stopped`` once nobody wants any more."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.stopped = False
        self._changed = threading.Condition()

    def set(self, interval: float) -> None:
        """Wait ``interval`` seconds from now on; a wait that is under way goes by it too."""
        with self._changed:
            self.interval = interval
            self._changed.notify_all()

    def stop(self) -> None:
        """End every wait, now and later."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait ``seconds``, whatever the interval is."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped, seconds)

    def rest(self) -> bool:
        """Wait one interval; return whether there is a next one."""
        began = time.monotonic()
        with self._changed:
            while not self.stopped and (left := began + self.interval - time.monotonic()) > 0:
                self._changed.wait(left)
        return not self.stopped
