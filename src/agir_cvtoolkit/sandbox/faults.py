"""The fault mode: chosen requests are delayed, refused or cut, to test clients against bad days."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from .answers import html_page, reply

Action = Literal["status", "cut_before", "cut_after", "cut_within", "delay"]

_REMEMBERED = 20_000

TRANSPORT = "agir.transport"
"""Key of the ASGI scope under which the connection's transport lies."""


@dataclass(frozen=True)
class Fault:
    """One rule.

    Attributes:
        path: regular expression, searched in the path with its query.
        action: ``status`` answers `status` and does nothing; ``cut_before`` closes the connection before the
            work, ``cut_after`` after it (the effect happens, the answer is lost), ``cut_within`` within the
            answer; ``delay`` answers rightly, `delay` seconds late.
        method: an HTTP method, or ``*``.
        nth: the first matching request that is hit, counted from 1.
        times: how many matching requests are hit from there on; 0 means all.
        status: of the answer.
        body: ``json`` or ``html``.
        retry_after: seconds, sent as a header.
        delay: seconds to wait before the action.
    """

    path: str
    action: Action = "status"
    method: str = "*"
    nth: int = 1
    times: int = 1
    status: int = 500
    body: Literal["json", "html"] = "html"
    retry_after: int | None = None
    delay: float = 0.0

    def __post_init__(self) -> None:
        """Check the rule.

        Raises:
            ConfigError: the path is no regular expression, or the action or body is unknown.
        """
        try:
            re.compile(self.path)
        except re.error as error:
            raise ConfigError(f"fault path '{self.path}' is no regular expression: {error}") from error
        if self.action not in get_args(Action):
            raise ConfigError(
                f"unknown fault action '{self.action}'", did_you_mean(self.action, get_args(Action))
            )
        if self.body not in {"json", "html"}:
            raise ConfigError(f"unknown fault body '{self.body}'", "Use json or html.")

    def matches(self, method: str, target: str) -> bool:
        """Whether a request is one that the rule counts."""
        return self.method in {"*", method} and re.search(self.path, target) is not None

    def hits(self, count: int) -> bool:
        """Whether the `count`-th matching request, counted from 1, is hit."""
        return count >= self.nth and (self.times == 0 or count < self.nth + self.times)


def fault_from_json(data: object) -> Fault:
    """Read one rule.

    Raises:
        ConfigError: no object, an unknown key, or a wrong value.
    """
    if not isinstance(data, Mapping):
        raise ConfigError("a fault is a JSON object", 'Write {"path": "...", "action": "..."}.')
    known = [f.name for f in fields(Fault)]
    for key in data:
        if key not in known:
            raise ConfigError(f"unknown key '{key}' in a fault", did_you_mean(str(key), known))
    try:
        return Fault(**{str(key): value for key, value in data.items()})
    except TypeError as error:
        raise ConfigError(f"a fault cannot be read: {error}") from error


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Read a JSON list of rules; a missing file holds none.

    Raises:
        ConfigError: the file is no JSON list, or a rule is wrong.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"fault file {path} cannot be read: {error}") from error
    if not isinstance(content, list):
        raise ConfigError(f"fault file {path} holds no JSON list")
    return tuple(fault_from_json(item) for item in content)


class FaultPlan:
    """The rules in force and how often each has matched."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._rules: list[tuple[Fault, list[int]]] = [(fault, [0]) for fault in faults]

    def replace(self, faults: Iterable[Fault]) -> None:
        """Put other rules in force; counting starts anew."""
        with self._lock:
            self._rules = [(fault, [0]) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Put one more rule in force."""
        with self._lock:
            self._rules.append((fault, [0]))

    def hit(self, method: str, target: str) -> Fault | None:
        """Count a request and return the first rule that hits it."""
        found: Fault | None = None
        with self._lock:
            for fault, count in self._rules:
                if fault.matches(method, target):
                    count[0] += 1
                    if found is None and fault.hits(count[0]):
                        found = fault
        return found

    def describe(self) -> list[dict[str, Any]]:
        """Return the rules with their counts, for the control endpoint."""
        with self._lock:
            return [asdict(fault) | {"matched": count[0]} for fault, count in self._rules]


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
    """

    def __init__(self, app: ASGIApp, plan: FaultPlan) -> None:
        self._app = app
        self._plan = plan
        self._seen: dict[int, Seen] = {}
        self._number = 0
        self._lock = threading.Lock()

    def seen(self) -> Sequence[Seen]:
        """Return the requests that came, oldest first."""
        with self._lock:
            return tuple(self._seen.values())

    def forget(self) -> None:
        """Start the list of requests anew."""
        with self._lock:
            self._seen.clear()

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

        fault = self._plan.hit(scope["method"], target)
        await self._handle(fault, scope, receive, remembering)

    async def _handle(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.action == "status":
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            await _drained(receive)
            response = html_page(fault.status, headers)
            if fault.body == "json":
                response = reply({"detail": f"Fault {fault.status}."}, fault.status, headers)
            await response(scope, receive, send)
        elif fault.action == "delay":
            await self._app(scope, receive, send)
        elif fault.action == "cut_before":
            await _cut(scope)
        elif fault.action == "cut_after":
            await self._app(scope, receive, _swallow)
            await _cut(scope)
        else:
            await self._app(scope, receive, _HalfSender(send).send)
            await _cut(scope)

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


async def _cut(scope: Scope) -> None:
    scope[TRANSPORT].abort()
    for _ in range(3):  # the server learns of the loss in a later turn of the loop
        await asyncio.sleep(0)
