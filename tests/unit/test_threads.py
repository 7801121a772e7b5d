"""CPU of the kernel's own threads: those of kthreadd, by name; absent where there is none."""

from types import SimpleNamespace

import psutil
import pytest
from rmapwatch.collectors import threads
from rmapwatch.collectors.threads import CpuTimes, KernelThreads, shares


class Thread:
    def __init__(self, name: str, ppid: int, seconds: float = 1.0) -> None:
        self.info = {"name": name, "ppid": ppid}
        self.seconds: float | None = seconds

    def cpu_times(self) -> SimpleNamespace:
        if self.seconds is None:
            raise psutil.NoSuchProcess(1)
        return SimpleNamespace(user=0.25, system=self.seconds)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Thread]:
    running = [
        Thread("kswapd0", 2), Thread("kswapd12", 2), Thread("ksmd", 2), Thread("ksoftirqd/0", 2),
        Thread("kswapd0", 1, 500.0), Thread("kswapd", 2),
    ]  # fmt: skip
    monkeypatch.setattr(threads.psutil, "process_iter", lambda _: iter(running))
    return running


def test_those_of_the_kernel_alone(found: list[Thread]) -> None:
    assert KernelThreads().read().seconds == {"kswapd0": 1.25, "kswapd12": 1.25, "ksmd": 1.25}


def test_a_thread_that_is_gone_is_absent(found: list[Thread]) -> None:
    kernel = KernelThreads()
    found[1].seconds = None
    assert set(kernel.read().seconds) == {"kswapd0", "ksmd"}


def test_shares_of_one_cpu() -> None:
    before, now = CpuTimes(10.0, {"ksmd": 1.0}), CpuTimes(14.0, {"ksmd": 3.0, "kswapd0": 1.0})
    assert shares(now, before) == {"ksmd": 0.5}
    assert shares(now, None) is None
    assert shares(None, before) is None
    assert shares(now, now) is None
