"""How a process that stays is stopped: SIGTERM or Ctrl-C ends a pause at once and work at its next step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from agir_cvtoolkit.errors import InterruptedByUser
from agir_cvtoolkit.progress import Bar, Progress, Silent

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """Give an event that the first SIGTERM or Ctrl-C sets; the second one interrupts whatever is under way.

    Outside the main thread, where Python lets nobody listen for signals, the event is set by nobody but the caller.
    """
    stop = threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, asked) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StoppableProgress:
    """A `Progress` whose bars end the work that they belong to once it is to be stopped."""

    def __init__(self, stop: threading.Event, shown: Progress | None = None) -> None:
        self._stop = stop
        self._shown = shown or Silent()

    def bar(self, description: str, total: int) -> AbstractContextManager[Bar]:
        """Open a bar; its `advance` raises `InterruptedByUser` once the event is set."""
        return self._bar(description, total)

    @contextmanager
    def _bar(self, description: str, total: int) -> Iterator[Bar]:
        with self._shown.bar(description, total) as bar:
            yield _StoppableBar(bar, self._stop, description)


class _StoppableBar:
    def __init__(self, bar: Bar, stop: threading.Event, what: str) -> None:
        self._bar, self._stop, self._what = bar, stop, what

    def advance(self, steps: int = 1) -> None:
        self._bar.advance(steps)
        if self._stop.is_set():
            raise InterruptedByUser(f"{self._what} was stopped", "Start it again to go on.")
