"""A watch: at once while there is work, else after a pause; failures recover; a stop is heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from agir_cvtoolkit.errors import (
    AgirError,
    ConfigError,
    InterruptedByUser,
    ServerUnreachableError,
    UsageError,
)
from agir_cvtoolkit.serving.watch import MAX_PAUSE_S, WallClock, watch


class Pauses:
    """A clock that lets no time pass and stops after so many pauses."""

    def __init__(self, most: int) -> None:
        self.pauses: list[float] = []
        self._most = most

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.pauses.append(seconds)
        if len(self.pauses) >= self._most:
            stop.set()
        return stop.is_set()


def steps(*outcomes: bool | AgirError) -> Callable[[], bool]:
    left = list(outcomes)

    def step() -> bool:
        found = left.pop(0) if left else False
        if isinstance(found, AgirError):
            raise found
        return found

    return step


def test_it_goes_on_at_once_while_there_is_work_and_pauses_when_there_is_none() -> None:
    clock = Pauses(2)
    done = watch(steps(True, True, False, True, False), 7.0, threading.Event(), clock)
    assert clock.pauses == [7.0, 7.0]
    assert (done.steps, done.worked, done.failures) == (5, 3, 0)


def test_pauses_double_with_failures_in_a_row_up_to_a_limit_and_start_anew_after_a_success() -> None:
    gone = ServerUnreachableError("the store does not answer", "Wait.")
    clock, told = Pauses(9), []
    outcomes: list[bool | AgirError] = [*[gone] * 6, True, gone]
    done = watch(steps(*outcomes), 20.0, threading.Event(), clock, failed=lambda e, s: told.append(s))
    assert clock.pauses == [20, 40, 80, 160, 320, MAX_PAUSE_S, 20, 20, 20]
    assert told == [20, 40, 80, 160, 320, MAX_PAUSE_S, 20]
    assert done.failures == 7


def test_a_pause_between_looks_that_is_longer_than_the_limit_stays() -> None:
    clock = Pauses(1)
    watch(
        steps(ServerUnreachableError("gone", "")), 3600.0, threading.Event(), clock, failed=lambda e, s: None
    )
    assert clock.pauses == [3600.0]


def test_a_wrong_call_ends_it_whoever_listens() -> None:
    with pytest.raises(ConfigError):
        watch(steps(ConfigError("no", "")), 1.0, threading.Event(), Pauses(1), failed=lambda e, s: None)


def test_what_was_right_once_is_not_called_wrong_later() -> None:
    clock, told = Pauses(3), []
    busy = UsageError("another process is at it", "Wait.")
    done = watch(steps(False, busy, False), 1.0, threading.Event(), clock, failed=lambda e, s: told.append(e))
    assert (told, done.failures) == ([busy], 1)


def test_without_a_listener_the_first_failure_ends_it() -> None:
    with pytest.raises(ServerUnreachableError):
        watch(steps(ServerUnreachableError("gone", "")), 1.0, threading.Event(), Pauses(1))


def test_a_step_that_ends_early_because_of_the_stop_is_no_failure() -> None:
    stop = threading.Event()

    def step() -> bool:
        stop.set()
        raise InterruptedByUser("training was stopped", "")

    done = watch(step, 1.0, stop, Pauses(1))
    assert (done.steps, done.failures) == (1, 0)


def test_real_time_hears_a_stop_at_once() -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    begun = time.monotonic()
    watch(steps(), 600.0, stop, WallClock())
    assert time.monotonic() - begun < 300
