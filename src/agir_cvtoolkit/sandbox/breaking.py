"""The layer in front of the application that breaks the requests which the fault plan hits."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agir_cvtoolkit.errors import ConfigError

from .answers import html_page, reply
from .door import Door
from .faults import Fault, FaultPlan, fault_from_json

_REMEMBERED = 20_000
_PIECES = 8

TRANSPORT = "agir.transport"
"""Key of the ASGI scope under which the connection's transport lies."""


@dataclass(frozen=True)
class Seen:
    """One request that reached the server; `status` is None where the answer was lost."""

    method: str
    target: str
    status: int | None


class FaultMiddleware:
    """Breaks the requests that the plan hits, and remembers the last thousands that came.

    ``/sandbox/faults`` controls it and is never hit: GET lists the rules, PUT replaces them by a JSON list,
    POST adds one, DELETE removes all.

    Attributes:
        door: what ``refuse`` shuts; None while no server runs.
    """

    def __init__(self, app: ASGIApp, plan: FaultPlan) -> None:
        self.door: Door | None = None
        self._app = app
        self._plan = plan
        self._seen: dict[int, Seen] = {}
        self._number = 0
        self._under_way = 0
        self._lock = threading.Lock()

    def seen(self) -> Sequence[Seen]:
        """Return the requests that came, oldest first."""
        with self._lock:
            return tuple(self._seen.values())

    def forget(self) -> None:
        """Start the list of requests anew."""
        with self._lock:
            self._seen.clear()

    @property
    def under_way(self) -> int:
        """How many requests are being answered, those included whose sender has gone."""
        with self._lock:
            return self._under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == "/sandbox/faults":
            await self._control(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
        seen = Seen(scope["method"], target, None)
        with self._lock:
            self._under_way += 1
            self._number += 1
            number = self._number
            self._seen[number] = seen
            self._seen.pop(number - _REMEMBERED, None)

        async def remembering(message: Message) -> None:
            if message["type"] == "http.response.start":
                with self._lock:
                    if number in self._seen:
                        self._seen[number] = replace(seen, status=message["status"])
            await send(message)

        try:
            await self._handle(self._plan.hit(scope["method"], target), scope, receive, remembering)
        finally:
            with self._lock:
                self._under_way -= 1

    async def _handle(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if fault is None:
            await self._app(scope, receive, send)
            return
        action = fault.action
        if fault.delay and action not in {"refuse", "dribble"}:
            await asyncio.sleep(fault.delay)
        if action in {"status", "forget"}:
            await _drained(receive)
            await _answer_of(fault)(scope, receive, send)
        elif action == "status_after":
            await self._app(scope, receive, _swallow)
            await _answer_of(fault)(scope, receive, send)
        elif action == "delay":
            await self._app(scope, receive, send)
        elif action == "dribble":
            await self._app(scope, receive, _Dribbler(send, fault.delay).send)
        elif action == "refuse":
            await self._refuse(fault, scope)
        else:
            await self._break_off(action, scope, receive, send)

    async def _break_off(self, action: str, scope: Scope, receive: Receive, send: Send) -> None:
        if action == "cut_within_request":
            await self._app(scope, _HalfReceiver(scope, receive).receive, _swallow)
            await _cut(scope, reset=True)
            return
        if action == "cut_after":
            await self._app(scope, receive, _swallow)
        elif action == "cut_within":
            await self._app(scope, receive, _HalfSender(send).send)
        await _cut(scope)

    async def _refuse(self, fault: Fault, scope: Scope) -> None:
        if self.door is None:
            await _cut(scope)
        else:
            await self.door.shut(fault.delay or None)
            await _turns()

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 200
        body: object = None
        try:
            if scope["method"] in {"PUT", "POST"}:
                content: object = json.loads(await _drained(receive))
                rules = [fault_from_json(item) for item in content] if isinstance(content, list) else None
                if scope["method"] == "PUT" and rules is not None:
                    self._plan.replace(rules)
                elif scope["method"] == "POST" and rules is None:
                    self._plan.add(fault_from_json(content))
                else:
                    raise ConfigError("PUT takes a list of faults, POST a single one")
            elif scope["method"] == "DELETE":
                self._plan.replace(())
            body = self._plan.describe()
        except (ConfigError, ValueError) as error:
            status, body = 400, {"detail": str(error)}
        await reply(body, status)(scope, receive, send)


class _HalfReceiver:
    """Hands on the first half of a request's body and then says that the sender has gone."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        self._left = int(lengths[0]) // 2 if lengths and lengths[0].isdigit() else 0
        self._receive = receive

    async def receive(self) -> Message:
        if self._left <= 0:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        piece = bytes(message.get("body", b""))[: self._left]
        self._left -= len(piece)
        if not message.get("more_body", False):
            self._left = 0
        return {"type": "http.request", "body": piece, "more_body": True}


class _HalfSender:
    """Sends the head and the first half of the first piece of the body, and then nothing."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._done = False

    async def send(self, message: Message) -> None:
        if self._done:
            return
        if message["type"] == "http.response.body":
            piece = message.get("body", b"")
            self._done = True
            message = {"type": "http.response.body", "body": piece[: len(piece) // 2], "more_body": True}
        await self._send(message)


class _Dribbler:
    """Sends a body in small pieces, with pauses between them that last `seconds` in all."""

    def __init__(self, send: Send, seconds: float) -> None:
        self._send = send
        self._pause = seconds / _PIECES

    async def send(self, message: Message) -> None:
        body = bytes(message.get("body", b"")) if message["type"] == "http.response.body" else b""
        if not body:
            await self._send(message)
            return
        step = -(-len(body) // _PIECES)
        for start in range(0, len(body), step):
            await asyncio.sleep(self._pause)
            more = start + step < len(body) or bool(message.get("more_body", False))
            piece = body[start : start + step]
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})


def _answer_of(fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.action == "forget":
        return Response("There is no request with specified id", 404, headers, media_type="text/html")
    if fault.body == "json":
        return reply({"detail": f"Fault {fault.status}."}, fault.status, headers)
    return html_page(fault.status, headers)


async def _drained(receive: Receive) -> bytes:
    """Read a request to its end: an answer before that would look like a cut connection to the sender."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return body


async def _swallow(message: Message) -> None:
    del message


async def _cut(scope: Scope, *, reset: bool = False) -> None:
    transport: asyncio.Transport = scope[TRANSPORT]
    if reset and (connection := transport.get_extra_info("socket")) is not None:
        # Without lingering the other side sees a reset, not an end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _turns()


async def _turns() -> None:
    for _ in range(3):  # the server learns of the loss in a later turn of the loop
        await asyncio.sleep(0)
