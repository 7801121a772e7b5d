"""
Probes of rmapwatch, held by a process that does nothing until it is asked what they counted.

Started in a guest as a module, with the backend and the set of probes; says when they are attached.
Each line on stdin is then answered by one: the walks that were counted, and what asking took.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping

from ...probes import backend as backends
from ...probes import catalogue, events
from ...probes.backend import Attached, Backend
from ...probes.consumer import Consumer
from ...probes.session import Request
from ...recordings.recorder import RING_PAGES, Memory

SETS: Mapping[str, Request] = {
    "default": Request(catalogue.names()),
    "full": Request(catalogue.names(steps=True), tuple(events.EVENTS), RING_PAGES),
}
"""What an exporter attaches; and VMAs looked at, too, with every event told, as for a recorder."""

_OPS = ("migrate", "restore")


def told(attached: Attached, consumer: Consumer) -> dict[str, int | None]:
    """Return the walks that move pages, their steps, events, and what a Sample took in ns."""
    consumer.drain()
    attached.sample()
    begin = time.monotonic_ns()
    sample = attached.sample()
    took = time.monotonic_ns() - begin
    found = [counts for (op, _), counts in sample.walks.items() if op in _OPS]
    steps = [counts.vmas for counts in found if counts.vmas is not None]
    return {
        "walks": sum(counts.walks for counts in found),
        "steps": sum(steps) if len(steps) == len(found) else None,
        "produced": sum(counts.produced for counts in sample.events.values()),
        "lost": sum(counts.lost for counts in sample.events.values()),
        "missed": sum(account.missed or 0 for account in sample.accounts.values()),
        "sample_ns": took,
    }


def main(backend: str, chosen: str) -> None:
    """Attach, and answer until stdin ends."""
    attached = backends.start(SETS[chosen], Backend(backend), print)
    consumer = Consumer(attached, Memory())
    told(attached, consumer)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(told(attached, consumer)), flush=True)
    attached.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
