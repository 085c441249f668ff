"""Who is told of batches and rounds: a command, a URL; in the background, so that a loop never waits for them."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agir_cvtoolkit.errors import AgirError
from agir_cvtoolkit.ledger import Ledger, RoundEvent

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Hook, Settings

COMMAND, URL = "command", "url"
_log = logging.getLogger("agir_cvtoolkit.stages.loop")
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True)
class Outcome:
    """What became of telling once.

    Attributes:
        delivered: nothing more is to be done.
        words: what was answered.
    """

    delivered: bool
    words: str


def channels_of(hook: Hook) -> tuple[str, ...]:
    """Return which ways there are to tell."""
    return tuple(
        name for name, there in ((COMMAND, hook.command is not None), (URL, hook.url is not None)) if there
    )


def message_of(event: RoundEvent) -> bytes:
    """Return what is told of an event, as JSON."""
    content = {"event": event.kind, "id": event.event_id, "at": event.at, **event.detail}
    return json.dumps(content, default=str, ensure_ascii=False).encode()


def run_command(command: tuple[str, ...], message: bytes, timeout_s: float) -> Outcome:
    """Start a program with the message on its standard input; it was told once it ran, whatever it made of it."""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command, without a shell
            command, input=message, timeout=timeout_s, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return Outcome(True, f"was ended after {timeout_s:g} s")
    except OSError as error:
        return Outcome(False, f"cannot be started: {error.strerror or error}")
    return Outcome(True, f"exit code {done.returncode}")


def post(url: str, message: bytes, secret: str, timeout_s: float) -> Outcome:
    """Send a message, signed as CVAT signs its webhooks (HMAC-SHA256, RFC 2104)."""
    signature = "sha256=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Signature-256": signature}
    try:
        request = urllib.request.Request(url, message, headers, method="POST")  # noqa: S310 - http(s), checked
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return Outcome(True, f"status {answer.status}")
    except urllib.error.HTTPError as error:
        with error:
            return Outcome(False, f"status {error.code}")
    except (OSError, HTTPException, ValueError) as error:
        return Outcome(False, str(getattr(error, "reason", error)))


class Hooks:
    """Tells of the events of a loop in a thread of its own, until the end of the ``with`` block.

    Each event is told at least once: what a killed call has not told, or could not, is told by the next one.

    Args:
        settings: with the ledger, the hook and the secret.
        loop: name of the loop.
        secret: that messages to a URL are signed with.
        pause_s: before the second try; it doubles with each.
    """

    def __init__(
        self, settings: Settings, loop: str, secret: Callable[[], str], pause_s: float = 1.0
    ) -> None:
        self._settings, self._loop, self._pause_s = settings, loop, pause_s
        self._hook = settings.loop.hook
        self.channels = channels_of(self._hook)
        self._secret = secret() if URL in self.channels else ""
        self._news, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="loop-hooks", daemon=True)

    def __enter__(self) -> Self:
        if self.channels:
            self._news.set()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.channels:
            self._stop.set()
            self._news.set()
            self._thread.join(self._hook.timeout_s * 2)

    def wake(self) -> None:
        """Say that there is something to tell."""
        self._news.set()

    def _work(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            last = self._stop.is_set()
            try:
                self._tell_all()
            except AgirError as error:
                _log.warning("hooks of loop %s were not told: %s", self._loop, error)
            if last:
                return

    def _tell_all(self) -> None:
        url, out_root = self._settings.io.ledger_url, self._settings.io.out_root
        with Ledger.open(url, out_root) as ledger:
            for event in ledger.untold_events(self._loop):
                for channel in event.pending:
                    if channel in self.channels:
                        outcome = self._told(event, channel)
                        ledger.record_delivery(
                            event.event_id, channel, outcome.words, delivered=outcome.delivered
                        )
                        said = "told of" if outcome.delivered else "not told of"
                        _log.info(
                            "hook %s %s %s of round %d: %s",
                            channel, said, event.kind, event.number, outcome.words,
                        )  # fmt: skip

    def _told(self, event: RoundEvent, channel: str) -> Outcome:
        message = message_of(event)
        if channel == COMMAND:
            return run_command(self._hook.command or (), message, self._hook.timeout_s)
        pause = self._pause_s
        outcome = Outcome(False, "")
        for number in range(self._hook.tries):
            outcome = post(self._hook.url or "", message, self._secret, self._hook.timeout_s)
            # Who is leaving tries once: the next start goes on.
            if outcome.delivered or number + 1 == self._hook.tries or self._stop.wait(pause):
                break
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        return outcome
