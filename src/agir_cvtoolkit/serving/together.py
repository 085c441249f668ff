"""Several watches in one process, each failing and recovering alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agir_cvtoolkit.errors import AgirError

from .watch import Clock, WallClock, Watched, watch

_log = logging.getLogger("agir_cvtoolkit.serving")

Say = Callable[[str, str], None]
"""Told of the name of a watch and of what it does now, in words; from any thread."""


@dataclass(frozen=True)
class WatchedTogether:
    """What several watches have done until they were stopped.

    Attributes:
        watches: by name; those that ended by themselves are in `ended` too.
        ended: by name, why a watch ended before it was stopped.
        unfinished: names of those whose step was still under way when the patience was over.
    """

    watches: Mapping[str, Watched]
    ended: Mapping[str, str]
    unfinished: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 1 where a watch ended by itself or had to be left in the middle of its step."""
        return 1 if self.ended or self.unfinished else 0


class _Watches:
    """What the threads write and the caller reads."""

    def __init__(self) -> None:
        self.done: dict[str, Watched] = {}
        self.ended: dict[str, str] = {}
        self.lock = threading.Lock()


def watch_together(
    steps: Mapping[str, Callable[[], bool]],
    poll_s: float,
    stop: threading.Event,
    say: Say,
    *,
    clock: Clock | None = None,
    patience_s: float = 30.0,
) -> WatchedTogether:
    """Watch several steps, each in a thread of its own, until `stop` is set or all of them have ended.

    A step that fails is tried again after a pause while the others go on; one that is called or configured
    wrongly ends, and the others go on.

    Args:
        steps: by name, as for `watch`.
        poll_s: seconds between two looks.
        stop: set it from anywhere.
        say: told when a watch waits, fails, ends or is stopped; the steps say themselves what they did.
        clock: what to wait by; None is real time.
        patience_s: how long to wait for steps that are under way once `stop` is set.
    """
    clock = clock or WallClock()
    found = _Watches()
    threads = [
        threading.Thread(
            target=_one, args=(name, step, poll_s, stop, say, clock, found), name=name, daemon=True
        )
        for name, step in steps.items()
    ]
    for thread in threads:
        thread.start()
    # Short waits, so that a signal is answered: a thread that is joined without end hears none.
    while not stop.is_set() and any(thread.is_alive() for thread in threads):
        stop.wait(0.2)
    for thread in threads:
        thread.join(patience_s / len(threads))
    with found.lock:
        left = tuple(thread.name for thread in threads if thread.is_alive())
        return WatchedTogether(dict(found.done), dict(found.ended), left)


def _one(
    name: str,
    step: Callable[[], bool],
    poll_s: float,
    stop: threading.Event,
    say: Say,
    clock: Clock,
    found: _Watches,
) -> None:
    def failed(error: AgirError, pause: float) -> None:
        _log.warning("%s failed: %s", name, error)
        say(name, f"failed: {error.problem}; again in {pause:.0f} s")

    def guarded() -> bool:
        try:
            return step()
        except AgirError:
            raise
        except Exception as error:
            _log.exception("%s failed unexpectedly", name)
            raise AgirError(
                f"unexpected {type(error).__name__}: {error}", "This is a bug; report the log."
            ) from error

    try:
        done = watch(guarded, poll_s, stop, clock, failed=failed)
    except AgirError as error:
        _log.error("%s ended: %s", name, error)
        say(name, f"ended: {error}")
        with found.lock:
            found.ended[name] = str(error)
        return
    say(name, "stopped")
    with found.lock:
        found.done[name] = done
