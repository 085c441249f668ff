"""Do a step again and again: at once while it finds work, else after a pause, until somebody says stop.

A step that fails is tried again after a pause that doubles with every failure in a row. One that is called or
configured wrongly would fail for ever and ends the watch; after its first success it is known not to be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agir_cvtoolkit.errors import AgirError, InterruptedByUser, UsageError

MAX_PAUSE_S = 600.0
"""The longest pause after failures, in seconds; a longer `poll_s` stays."""


class Clock(Protocol):
    """What a watch waits by."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until `stop` is set or the time is over; whether it is set."""
        ...


class WallClock:
    """Real time."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until `stop` is set or the time is over; whether it is set."""
        return stop.wait(seconds)


@dataclass(frozen=True)
class Watched:
    """What a watch has done until it was stopped.

    Attributes:
        steps: how often the step was called.
        worked: how often it had something to do.
        failures: how often it failed.
    """

    steps: int = 0
    worked: int = 0
    failures: int = 0


def watch(
    step: Callable[[], bool],
    poll_s: float,
    stop: threading.Event,
    clock: Clock | None = None,
    *,
    failed: Callable[[AgirError, float], None] | None = None,
) -> Watched:
    """Call `step` until `stop` is set.

    Args:
        step: returns whether it had something to do; then it is called again at once, else after `poll_s`.
        poll_s: seconds between two looks.
        stop: set it from anywhere; a pause ends at once, a step that is under way is not cut off.
        clock: what to wait by; None is real time.
        failed: told of a failure and of the seconds until the next try. None lets the first failure end the watch.

    Returns:
        What was done.

    Raises:
        UsageError: the step is called or configured wrongly; trying again would not help.
        AgirError: the step failed and `failed` is None.
    """
    clock = clock or WallClock()
    steps = worked = failures = in_a_row = 0
    right = False
    while not stop.is_set():
        steps += 1
        try:
            busy = step()
        except AgirError as error:
            if stop.is_set():
                break
            wrong = isinstance(error, UsageError) and not right
            if failed is None or wrong or isinstance(error, InterruptedByUser):
                raise
            failures += 1
            pause = max(poll_s, min(MAX_PAUSE_S, poll_s * 2**in_a_row))
            in_a_row += 1
            failed(error, pause)
            clock.wait(stop, pause)
            continue
        in_a_row, right = 0, True
        worked += busy
        if not busy:
            clock.wait(stop, poll_s)
    return Watched(steps, worked, failures)
