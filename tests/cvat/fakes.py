"""A transport that answers by script, and a clock that does not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from agir_cvtoolkit.cvat import Credentials, CvatSession, Response, TransportFailure
from agir_cvtoolkit.cvat.session import UNSET, Organization
from agir_cvtoolkit.cvat.transport import Body

URL = "http://cvat.test:8080"


@dataclass
class Call:
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


Answer = Response | TransportFailure
Script = Answer | list[Answer] | Callable[[Call], Answer]


def ok(content: object, status: int = 200, **headers: str) -> Response:
    return Response(status, {"content-type": "application/vnd.cvat+json", **headers}, orjson.dumps(content))


def page(status: int, text: str = "<html><title>Oops</title></html>") -> Response:
    return Response(status, {"content-type": "text/html"}, text.encode())


def cut(*, sent: bool = True) -> TransportFailure:
    return TransportFailure("cut" if sent else "refused", "connection reset", sent=sent)


@dataclass
class FakeClock:
    time: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class FakeTransport:
    """Answers ``"METHOD /path"`` by its script; of a list every answer once, the last one for ever."""

    def __init__(self, scripts: dict[str, Script] | None = None, version: str = "2.42.0") -> None:
        self.calls: list[Call] = []
        self.scripts: dict[str, Script] = {
            "GET /api/server/about": ok({"name": "CVAT", "version": version}),
            "POST /api/auth/login": ok({"key": "k1"}),
            "GET /api/users/self": ok({"username": "ann"}),
        }
        self.scripts.update(scripts or {})
        self._lock = threading.Lock()

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
        assert timeout > 0
        parts = urlsplit(url)
        content = body if isinstance(body, bytes) else b"".join(body) if body is not None else b""
        params = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        call = Call(method, parts.path, params, dict(headers), content)
        with self._lock:
            self.calls.append(call)
            script = self.scripts.get(f"{method} {parts.path}", page(404))
            if isinstance(script, list):
                script = script.pop(0) if len(script) > 1 else script[0]
            answer = script(call) if callable(script) else script
        if isinstance(answer, TransportFailure):
            raise answer
        if to_file is not None and answer.status == 200:
            to_file.write_bytes(answer.body)
            return Response(answer.status, answer.headers)
        return answer

    def of(self, text: str) -> list[Call]:
        """Return the calls ``"METHOD /path"`` in order."""
        return [call for call in self.calls if f"{call.method} {call.path}" == text]


def opened(
    transport: FakeTransport,
    *,
    clock: FakeClock | None = None,
    organization: Organization = UNSET,
    credentials: Credentials | None = None,
) -> CvatSession:
    return CvatSession.open(
        credentials or Credentials(URL, "ann", "secret"),
        organization,
        transport=transport,
        clock=clock or FakeClock(),
    )


class FastClock:
    """The real time, in which waiting for a server takes a thousandth and waiting between polls a tenth."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds / 10, 0.02))
