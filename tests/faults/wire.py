"""The client's end of the wire in a test: time is skipped, requests are counted, and one of them goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agir_cvtoolkit.cvat.transport import Body, Response, TransportFailure, Urllib3Transport

from .requests import Record, Row

Send = Callable[[], Response]


class SkippedTime:
    """A clock on which waiting takes no time, though work of others gets a moment to be done."""

    def __init__(self) -> None:
        self.on_wait: Callable[[], None] = lambda: None
        self._skipped = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return time.monotonic() + self._skipped

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._skipped += seconds
        self.on_wait()
        time.sleep(0.001)


@dataclass
class Day:
    """One call of a command, and what goes wrong at one of its requests.

    Attributes:
        at: the request; None for an undisturbed day.
        act: what happens instead of sending it.
        came: whether the request came.
        late: what is sent later, each with the number of requests that overtake it.
    """

    at: Row | None = None
    act: Callable[[Day, Sent], Response] | None = None
    record: Record = field(default_factory=Record)
    came: bool = False
    late: list[tuple[int, Send]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_it(self, row: Row) -> bool:
        at = self.at
        if at is None or (row.method, row.pattern, row.nth) != (at.method, at.pattern, at.nth):
            return False
        self.came = True
        return True

    def overtaken(self) -> None:
        """Say that a request was sent; those that it was the last to overtake arrive now."""
        with self._lock:
            due = [send for left, send in self.late if left <= 1]
            self.late = [(left - 1, send) for left, send in self.late if left > 1]
        self._arrive(due)

    def over(self) -> None:
        """Say that the call has ended: what is still under way arrives."""
        with self._lock:
            due, self.late = [send for _, send in self.late], []
        self._arrive(due)

    @staticmethod
    def _arrive(due: list[Send]) -> None:
        for send in due:
            try:
                send()
            except TransportFailure:
                continue  # the server may be down by then


@dataclass(frozen=True)
class Sent:
    """A request on its way.

    Attributes:
        send: sends it and brings the answer.
        send_blind: sends the same bytes, whatever has become of the files they came from, and keeps no answer.
        send_with: sends another body of the same length.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: Body | None
    send: Send
    send_blind: Send
    send_with: Callable[[Body], Response]


class Wire(Urllib3Transport):
    """The real transport, under a day."""

    def __init__(self, day: Day) -> None:
        super().__init__()
        self._day = day

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | None = None,
        timeout: float = 60.0,
        to_file: Path | None = None,
    ) -> Response:
        day = self._day
        row = day.record.note(method, url, headers, body=bool(body))
        real = super().send

        def send() -> Response:
            return real(method, url, headers=headers, body=body, timeout=timeout, to_file=to_file)

        if not day.is_it(row) or day.act is None:
            answer = send()
            day.overtaken()
            return answer
        whole = body if isinstance(body, bytes | None) else b"".join(body)

        def send_blind() -> Response:
            return real(method, url, headers=headers, body=whole, timeout=timeout)

        def send_with(other: Body) -> Response:
            return real(method, url, headers=headers, body=other, timeout=timeout)

        return day.act(day, Sent(method, url, headers, body, send, send_blind, send_with))
