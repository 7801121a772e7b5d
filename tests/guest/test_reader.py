"""What the reader costs, against its peers in the same guest: docs/reader.md has the figures."""

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from rmapwatch.probes import events, ring, session
from rmapwatch.probes.ring import Ring

EVENTS, RING_PAGES, RING_BYTES = 30_000, 1024, 1024 << 12
DISTRIBUTION_PACKAGES = "/usr/lib/python3/dist-packages"

PRODUCER = """
struct event { u64 words[15]; };
BPF_RINGBUF_OUTPUT(events, %d);
int produce(void *ctx)
{
	struct event *e;

	if (bpf_get_current_pid_tgid() >> 32 != %d)
		return 0;
	e = events.ringbuf_reserve(sizeof(*e));
	if (!e)
		return 0;
	((u8 *)e)[%d] = %d;
	events.ringbuf_submit(e, 0);
	return 0;
}
"""


@pytest.fixture
def bcc(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The distribution's bcc, whose Python part goes with any Python 3."""
    monkeypatch.syspath_prepend(DISTRIBUTION_PACKAGES)
    return pytest.importorskip("bcc")


def test_the_ring_is_read_ten_times_as_fast_as_by_callbacks(bcc: Any) -> None:
    kind = (events.offsets("walk")["type"], events.type_number("walk"))
    text = PRODUCER % (RING_PAGES, os.getpid(), *kind)
    module = bcc.BPF(text=text, cflags=["-Wno-everything"])
    module.attach_kprobe(event=module.get_syscall_fnname("getppid"), fn_name="produce")
    called = 0

    def callback(_context: object, _data: object, _size: int) -> None:
        nonlocal called
        called += 1

    def produced(take: Callable[[], object]) -> float:
        """CPU seconds that it takes to take that many events."""
        for _ in range(EVENTS):
            os.getppid()
        began = time.process_time()
        take()
        return time.process_time() - began

    table = module["events"]
    table.open_ring_buffer(callback)
    by_callback = min(produced(module.ring_buffer_consume) for _ in range(3))
    assert called == 3 * EVENTS
    consumer = Ring(table.map_fd, RING_BYTES)
    taken = 0

    def drain() -> None:
        nonlocal taken
        _, batch = consumer.drain()
        taken += len(ring.decode(batch)["walk"])

    by_ring = min(produced(drain) for _ in range(3))
    module.cleanup()
    assert taken == 3 * EVENTS
    print(f"ring: {EVENTS / by_ring:,.0f} events/s, by callbacks {EVENTS / by_callback:,.0f}")
    print(f"ring: {by_callback / by_ring:.0f} times as fast")
    assert by_callback > 10 * by_ring


def test_what_a_ring_that_is_too_small_loses_is_counted(storm_program: str) -> None:
    """Nobody reads while a storm goes on, and then there is what the ring could hold."""
    names = ("walk", "reference", "batch", "cow", "fork")
    probes = session.start(session.Request(events=names, ring_pages=16))
    consumer = probes.ring()
    storm = [storm_program, "--children", "7", "--pages", "101", "--rounds", "2"]
    for _ in range(2):
        subprocess.run(storm, stdout=subprocess.DEVNULL, check=True)
        _, batch = consumer.drain()
        for name, records in ring.decode(batch).items():
            probes.received(name, len(records))
    probes.want_events(())
    time.sleep(0.5)
    while len(batch := consumer.drain()[1]):
        for name, records in ring.decode(batch).items():
            probes.received(name, len(records))
    told = probes.sample().events
    probes.close()
    print({name: told[name] for name in names})
    assert sum(each.lost for each in told.values()) > 100
    assert all(each.produced == each.received + each.lost for each in told.values())
