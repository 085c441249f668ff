"""A session that is told to stop: no more attempts, no more pauses, and little time for what tidies up."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from agir_cvtoolkit.errors import ServerUnreachableError

from .clock import Clock, SystemClock

SECONDS_TO_STOP = 2.5
"""How long a session goes on after Ctrl-C, to take back what is half-made."""


class Stopping:
    """A clock that stops waiting when its session is to stop; usable from several threads.

    Args:
        clock: that counts.
        on_stop: called once, when it begins; ends requests that are under way.
    """

    def __init__(self, clock: Clock, on_stop: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._on_stop = on_stop
        self._begun = Event()
        self._end = 0.0

    def begin(self) -> None:
        """Let every request be its last attempt, and all end within `SECONDS_TO_STOP`; a second call does nothing."""
        if self._begun.is_set():
            return
        self._end = self._clock.now() + SECONDS_TO_STOP
        self._begun.set()
        self._on_stop()

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Wait, in threads no longer than until the session stops.

        Raises:
            ServerUnreachableError: the session stops, and its time is over.
        """
        try:
            if isinstance(self._clock, SystemClock) and not self._begun.is_set():
                self._begun.wait(seconds)
                stopped = self._begun.is_set()
            else:
                left = self._end - self._clock.now() if self._begun.is_set() else seconds
                stopped = left <= 0 < seconds
                if not stopped:
                    self._clock.sleep(min(seconds, left))
        except KeyboardInterrupt:
            self.begin()
            raise
        if stopped:
            raise stopped_error("wait for the server")

    def time_for(self, timeout: float, subject: str) -> float:
        """Return the seconds that a request may take.

        Raises:
            ServerUnreachableError: the time to stop is over.
        """
        if not self._begun.is_set():
            return timeout
        left = self._end - self._clock.now()
        if left <= 0:
            raise stopped_error(subject)
        return min(timeout, max(0.05, left))

    @property
    def begun(self) -> bool:
        """Whether the session stops."""
        return self._begun.is_set()


def stopped_error(subject: str) -> ServerUnreachableError:
    """Return the error for what was left undone because the session stops."""
    return ServerUnreachableError(
        f"Interrupted, could not {subject}", "Run the same command again; it goes on where it stopped."
    )
