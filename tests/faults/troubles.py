"""What can go wrong at a request: the columns of the matrix, as data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from unittest.mock import patch

import urllib3.connection

from agir_cvtoolkit.cvat.transport import Response, TransportFailure
from agir_cvtoolkit.sandbox import Fault

from .requests import Row
from .wire import Day, Sent


class Place(Protocol):
    """What a trouble can do to the world around the client."""

    def stop_server(self) -> None: ...

    def forget_requests(self) -> None: ...

    def fill_disk(self) -> None: ...


Act = Callable[[Place, Day, Sent], Response]


@dataclass(frozen=True)
class Trouble:
    """One column.

    Attributes:
        name: for people.
        rules: of the sandbox, made for a request.
        act: what happens at the client's end instead of sending the request.
        back_after: waits of the client after which a server that is down comes back; None when the call is over.
        passes: whether a patient client gets over it without a second call, whatever the request.
        bodies_only: whether it makes sense only where a request carries a body.
        logged_in_only: whether it makes sense only after the login.
        kills: whether it kills the process, so that it needs one of its own.
        codes: exit codes that the call may end with.
    """

    name: str
    rules: Callable[[Row], tuple[Fault, ...]] = lambda row: ()
    act: Act | None = None
    back_after: int | None = 0
    passes: bool = False
    bodies_only: bool = False
    logged_in_only: bool = False
    kills: bool = False
    codes: frozenset[int] = frozenset({0, 1, 3})

    def fits(self, row: Row) -> bool:
        anonymous = row.name.endswith(("/api/server/about", "/api/auth/login"))
        return (row.body or not self.bodies_only) and not (anonymous and self.logged_in_only)


def _rule(**how: Any) -> Callable[[Row], tuple[Fault, ...]]:
    return lambda row: (Fault(row.pattern, method=row.method, nth=row.nth, **how),)


def _lost(place: Place, day: Day, sent: Sent) -> Response:
    raise TransportFailure("timeout", "Read timed out.", sent=True)


def _done(place: Place, day: Day, sent: Sent) -> Response:
    sent.send()
    day.overtaken()
    raise TransportFailure("timeout", "Read timed out.", sent=True)


def _late(overtaken_by: int) -> Act:
    def act(place: Place, day: Day, sent: Sent) -> Response:
        day.late.append((overtaken_by, sent.send_blind))
        raise TransportFailure("timeout", "Read timed out.", sent=True)

    return act


def _forget(place: Place, day: Day, sent: Sent) -> Response:
    place.forget_requests()
    return sent.send()


def _fill(place: Place, day: Day, sent: Sent) -> Response:
    place.fill_disk()
    return sent.send()


def _interrupt(place: Place, day: Day, sent: Sent) -> Response:
    signal.raise_signal(signal.SIGINT)
    return sent.send()


def _stop(place: Place, day: Day, sent: Sent) -> Response:
    place.stop_server()
    return sent.send()


def _stop_within(place: Place, day: Day, sent: Sent) -> Response:
    try:
        return sent.send()
    finally:
        place.stop_server()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_before(place: Place, day: Day, sent: Sent) -> Response:
    _die()
    raise AssertionError("dead")


def _kill_within(place: Place, day: Day, sent: Sent) -> Response:
    whole = sent.body if isinstance(sent.body, bytes) else b"".join(sent.body or ())

    class HalfABody:
        length = len(whole)

        def __iter__(self) -> Iterator[bytes]:
            yield whole[: len(whole) // 2]
            _die()

    return sent.send_with(HalfABody())


def _kill_sent(place: Place, day: Day, sent: Sent) -> Response:
    with patch.object(urllib3.connection.HTTPConnection, "getresponse", lambda self: _die()):
        return sent.send()


_NEVER: Literal[0] = 0
"""As `Fault.times`: all requests of the kind from then on."""

TROUBLES: tuple[Trouble, ...] = (
    Trouble("refused, back soon", _rule(action="refuse"), back_after=2),
    Trouble("refused until later", _rule(action="refuse"), back_after=None),
    Trouble("reset before", _rule(action="cut_before"), passes=True),
    Trouble("reset in mid-upload", _rule(action="cut_within_request"), passes=True),
    Trouble("answer lost", _rule(action="cut_after"), passes=True),
    Trouble("answer torn", _rule(action="cut_within"), passes=True),
    Trouble("reset for ever", _rule(action="cut_before", times=_NEVER)),
    Trouble("time-out, not done", act=_lost, passes=True),
    Trouble("time-out, done", act=_done, passes=True),
    Trouble("time-out, done 1 late", act=_late(1), passes=True),
    Trouble("time-out, done 2 late", act=_late(2)),
    Trouble("logged out", _rule(status=401, body="json"), passes=True, logged_in_only=True),
    Trouble("429 twice", _rule(status=429, times=2, body="json", retry_after=3), passes=True),
    Trouble("429 for ever", _rule(status=429, times=_NEVER, body="json", retry_after=30)),
    Trouble("500 once", _rule(status=500)),
    Trouble("500 for ever", _rule(status=500, times=_NEVER)),
    Trouble("502 twice", _rule(status=502, times=2), passes=True),
    Trouble("503 twice", _rule(status=503, times=2, body="json", retry_after=1), passes=True),
    Trouble("504, done", _rule(action="status_after", status=504), passes=True),
    Trouble("a page once", _rule(status=200, body="html")),
    Trouble("a page for ever", _rule(status=200, body="html", times=_NEVER)),
    Trouble("requests forgotten", act=_forget, passes=True),
    Trouble("slow", _rule(action="delay", delay=0.02), passes=True),
    Trouble("dribbling", _rule(action="dribble", delay=0.02), passes=True),
    Trouble("restarted", act=_stop, back_after=2),
    Trouble("restarted in the middle", act=_stop_within, back_after=2),
    Trouble("disk full here", act=_fill, codes=frozenset({0, 1, 3, 4})),
    Trouble("disk full there", _rule(status=507, times=_NEVER)),
    Trouble("Ctrl-C", act=_interrupt, codes=frozenset({130})),
    Trouble("killed before", act=_kill_before, kills=True, codes=frozenset({-signal.SIGKILL})),
    Trouble(
        "killed in mid-upload",
        act=_kill_within,
        kills=True,
        bodies_only=True,
        codes=frozenset({-signal.SIGKILL}),
    ),
    Trouble("killed, done", act=_kill_sent, kills=True, codes=frozenset({-signal.SIGKILL})),
)

BY_NAME = {trouble.name: trouble for trouble in TROUBLES}
