"""The ASGI application: from a request to the function that answers it."""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import time
from collections.abc import AsyncIterator, Mapping
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .access import Throttle, authenticate, find_context
from .answers import JSON_TYPE, PageRefusal, Refusal
from .calls import Call, Context, World
from .routes import ROUTES, Route
from .work import rest_of

_LOG = logging.getLogger(__name__)
_OLD_PREFIX = re.compile(r"^/api/v1/")
_WORTH_PACKING = 1000


class Application:
    """Answers like CVAT."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._throttle = Throttle(world.options.anonymous_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event of the server."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        begun = time.monotonic()
        try:
            response = await self.answer(request)
        except Refusal as refusal:
            await _drain(request)
            response = refusal.response()
        except ClientDisconnect:
            return
        except Exception:  # noqa: BLE001 - a failure of the server is an answer too: the HTML page
            _LOG.exception("%s %s failed", request.method, request.url.path)
            response = PageRefusal(500).response()
        await asyncio.sleep(rest_of(self._simulated(request, response), begun))
        _pack(request, response)
        await response(scope, receive, send)

    def _simulated(self, request: Request, response: Response) -> float:
        sent = int(request.headers.get("content-length") or 0)
        answered = len(getattr(response, "body", b""))
        return self._world.options.work.of_request(request.method, request.url.path, sent, answered)

    @property
    def version(self) -> str:
        """The version of CVAT that it plays."""
        return self._world.options.version

    async def answer(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            Refusal: the answer is another than success.
        """
        # The raw path keeps a quoted slash or '=' inside a request id apart from the path's own.
        raw = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1").partition("?")[0]
        path = _OLD_PREFIX.sub("/api/", raw)
        route, ids = _find(path)
        headers = dict(request.headers.items())
        query = dict(request.query_params)
        method = request.method
        if route.anonymous and path == "/api/auth/login":
            self._throttle.count()
        user = None
        if not route.anonymous or path == "/api/auth/logout":
            user = await run_in_threadpool(authenticate, self._world, method, path, headers)
        if user is None and not route.anonymous:
            text = "Authentication credentials were not provided."
            raise Refusal(401, {"detail": text}, {"WWW-Authenticate": "Token"})
        context = Context() if route.anonymous else find_context(self._world.store, headers, query)
        origin = f"{request.url.scheme}://{headers.get('host', request.url.netloc)}"
        call = Call(self._world, method, path, ids, query, headers, origin, user or {}, context)
        taker = route.takers.get(method)
        if taker is not None:
            return await taker(call, _pieces(request))
        handler = route.handlers.get(method)
        if handler is None:
            raise Refusal(405, {"detail": f'Method "{method}" not allowed.'})
        body = await request.body()
        return await run_in_threadpool(handler, Call(**{**vars(call), "body": body}))


def _find(path: str) -> tuple[Route, tuple[str, ...]]:
    for route in ROUTES:
        found = route.pattern.match(path)
        if found is not None:
            return route, tuple(unquote(part) for part in found.groups())
    raise PageRefusal(404)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        if piece:
            yield piece


async def _drain(request: Request) -> None:
    """Read what is left of a refused request, so that its sender gets the answer and not a broken pipe."""
    try:
        async for _ in request.stream():
            pass
    except (ClientDisconnect, RuntimeError):  # gone, or read to the end already
        return


def _pack(request: Request, response: Response) -> None:
    accepted = _accepted(request.headers)
    body = getattr(response, "body", b"")
    if "gzip" in accepted and response.media_type == JSON_TYPE and len(body) >= _WORTH_PACKING:
        response.body = gzip.compress(bytes(body), compresslevel=4)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
        response.headers["vary"] = "Accept-Encoding"


def _accepted(headers: Mapping[str, str]) -> set[str]:
    return {part.split(";")[0].strip() for part in headers.get("accept-encoding", "").split(",")}
