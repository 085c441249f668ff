"""``firebase run`` in the background of the demonstration: nobody tells the stages when it is their turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from agir_cvtoolkit.errors import DeadlineError
from agir_cvtoolkit.serving.stopping import StoppableProgress
from agir_cvtoolkit.serving.together import WatchedTogether, watch_together
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.firebase_run import loop_steps

_LOOK_S = 0.3
_PATIENCE_S = 3600.0
_TRIES = 5
"""On one machine nothing comes and goes: what fails so often in a row will go on failing."""


class Watchers:
    """Transfer, return and retrain, each watching in a thread of its own, until the ``with`` block ends.

    Args:
        call: common options of all three.
        poll_s: seconds between two looks of each.
        tell: is given what they do, one line each; from any thread.
    """

    def __init__(self, call: Call, poll_s: float, tell: Callable[[str], None]) -> None:
        self._stop = threading.Event()
        self._call = replace(call, progress=StoppableProgress(self._stop))
        self._poll_s, self._tell = poll_s, tell
        self._ended: WatchedTogether | None = None
        self._failures: dict[str, int] = {}
        self._given_up = ""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._watch, name="firebase-run", daemon=True)

    def __enter__(self) -> Watchers:
        """Start watching."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; work under way ends at its next step."""
        self._stop.set()
        self._thread.join()

    def wait(self, done: Callable[[], bool], what: str, patience_s: float = _PATIENCE_S) -> None:
        """Wait until something has happened.

        Args:
            done: whether it has.
            what: it is, in words.
            patience_s: longest time to wait in seconds.

        Raises:
            Exception: what has ended the three, where that was no error of theirs.
            DeadlineError: it has not in time, one of the three fails again and again, or nobody is left who would do it.
        """
        until = time.monotonic() + patience_s
        while not done():
            if not self._thread.is_alive():
                if self._error is not None:
                    raise self._error
                ended = ", ".join(f"{name}: {why}" for name, why in self._reasons().items())
                raise DeadlineError(f"{what} did not happen: firebase run ended", ended or "See its log.")
            if self._given_up:
                raise DeadlineError(f"{what} did not happen", self._given_up)
            if time.monotonic() > until:
                raise DeadlineError(f"{what} did not happen in {patience_s:g} s", "See what was said above.")
            time.sleep(_LOOK_S)

    def _watch(self) -> None:
        try:
            steps = loop_steps(self._call, self._say, priority=1)
            self._ended = watch_together(steps, self._poll_s, self._stop, self._say)
        except Exception as error:  # noqa: BLE001 - raised again to who waits
            self._error = error

    def _say(self, name: str, words: str) -> None:
        self._failures[name] = self._failures.get(name, 0) + 1 if words.startswith("failed") else 0
        if self._failures[name] >= _TRIES:
            self._given_up = f"{name} {words.rpartition(';')[0] or words}"
        if not words.startswith("no ") and words != "stopped":
            self._tell(f"  {name}: {words}")

    def _reasons(self) -> dict[str, str]:
        return dict(self._ended.ended) if self._ended is not None else {}
