"""Work ahead of its taker: in order, never more than asked for, and stopped when the taker stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from agir_cvtoolkit.stages._ahead import ahead, masks_at_once


class Meter:
    """Counts what is under way or waits to be taken."""

    def __init__(self) -> None:
        self.asked = self.taken = self.most = self.at_once = self._running = 0
        self._lock = threading.Lock()
        self._together = threading.Event()

    def work(self, count: int, slow: int = -1) -> Iterator[tuple[int, Callable[[], int]]]:
        for number in range(count):
            self.asked += 1
            self.most = max(self.most, self.asked - self.taken)
            yield number, lambda number=number: self._run(number, slow)  # type: ignore[misc]

    def _run(self, number: int, slow: int) -> int:
        with self._lock:
            self._running += 1
            self.at_once = max(self.at_once, self._running)
            if self._running > 1:
                self._together.set()
        if number == slow:
            self._together.wait(60)
        time.sleep(0.002)
        with self._lock:
            self._running -= 1
        return number * number


@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_outcomes_come_in_order_and_few_are_held(in_flight: int) -> None:
    meter = Meter()
    found = []
    for about, future in ahead(meter.work(20, slow=3 if in_flight > 1 else -1), in_flight):
        assert future is not None
        found.append((about, future.result()))
        meter.taken += 1
    assert found == [(number, number * number) for number in range(20)]
    # One more is asked for by the time that the first of the others is taken.
    assert meter.most <= in_flight + 1
    assert meter.at_once <= in_flight
    assert in_flight == 1 or meter.at_once > 1


def test_what_is_not_run_keeps_its_place() -> None:
    work: list[tuple[str, Callable[[], int] | None]] = [("a", None), ("b", lambda: 1), ("c", None)]
    found = [(about, future and future.result()) for about, future in ahead(work, 4)]
    assert found == [("a", None), ("b", 1), ("c", None)]


def test_a_failure_is_its_own_and_does_not_stop_the_others() -> None:
    def fail() -> int:
        raise ValueError("no")

    futures = [future for _, future in ahead([("a", fail), ("b", lambda: 2)], 2)]
    assert isinstance(futures[0] and futures[0].exception(), ValueError)
    assert futures[1] is not None
    assert futures[1].result() == 2


def test_whoever_stops_taking_stops_the_work() -> None:
    meter = Meter()
    taking = ahead(meter.work(100), 3)
    next(taking)
    taking.close()  # type: ignore[attr-defined]
    assert meter.asked <= 4


def test_large_masks_are_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert masks_at_once(2_000_000) == 4
    assert masks_at_once(24_000_000) == 2
    assert masks_at_once(61_000_000) == 1
    assert masks_at_once(0) == 4


def test_ctrl_c_ends_the_work_before_it_is_waited_for() -> None:
    stop = threading.Event()

    def press() -> Iterator[tuple[int, Callable[[], bool]]]:
        yield 1, partial(stop.wait, 600.0)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(ahead(press(), 3, stop.set))
    assert time.monotonic() - began < 300.0
