"""The dashboard over HTTP: read-only, nothing loaded from elsewhere, open to this machine unless a token protects it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.reporting.dashboard_pages import POLICY, login_html, script

from .dashboard_door import COOKIE, Door
from .listening import listen

TOKEN_VARIABLE = "AGIR_DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable
_MONTH_S = 30 * 86_400


class DashboardSource(Protocol):
    """What the pages show; callable from several threads."""

    def state(self) -> str:
        """Return what differs once there is something new."""
        ...

    def overview(self) -> str:
        """Return the report as a page."""
        ...

    def pictures(self, wanted: Mapping[str, str], page: int) -> str:
        """Return one page of the list of pictures."""
        ...

    def life(self, run_id: str, record_id: str) -> str | None:
        """Return the life of a record as a page; None where it is not known."""
        ...

    def thumbnail(self, run_id: str, record_id: str, of: str) -> bytes | None:
        """Return a small picture as JPEG; None where there is none."""
        ...


def serve_dashboard(
    source: DashboardSource,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a dashboard until Ctrl-C or SIGTERM.

    Args:
        source: what it shows, as `open_dashboard` returns it.
        host, port: where to listen; port 0 takes a free one.
        token: that is asked for; without one only this machine may look.
        ready: told the address once it is listened at.

    Raises:
        UsageError: another address than this machine's own without a token, or a token that can be guessed.
        ConfigError: the address cannot be bound.
    """
    app = dashboard_app(source, host, token)
    with listen(host, port) as (listener, url):
        ready(url)
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=64,
            timeout_graceful_shutdown=2,
        )
        uvicorn.Server(config).run(sockets=[listener])


def dashboard_app(source: DashboardSource, host: str = "127.0.0.1", token: str | None = None) -> Starlette:
    """Return the application; see `serve_dashboard`.

    Raises:
        UsageError: another address than this machine's own without a token, or a token that can be guessed.
    """
    is_local = is_loopback(host)
    if not is_local and not token:
        raise UsageError(
            f"--host {host} would open the dashboard to others, and there is no token",
            f"Put one of at least 16 characters into {TOKEN_VARIABLE}, or leave --host away.",
        )
    door = Door(token, local_only=is_local)
    pages = _Pages(source, door)
    routes = [
        Route("/", pages.overview),
        Route("/pictures", pages.pictures),
        Route("/picture", pages.life),
        Route("/thumb", pages.thumbnail),
        Route("/state", pages.state),
        Route("/dashboard.js", pages.script),
        Route("/login", pages.log_in, methods=["GET", "POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Guarded, door=door)])


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class _Guarded:
    """Asks the door before anything is done, and gives every answer its headers."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the application's own start; there are no WebSockets
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        if not self._door.knows_host(request.headers.get("host", "")):
            return PlainTextResponse("this address is not served here", 421)
        path = PurePosixPath(request.url.path)
        if path == PurePosixPath("/login"):
            return None
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._door.opens(bearer, request.cookies.get(COOKIE, "")):
            return None
        if (
            path.suffix
            or path == PurePosixPath("/state")
            or "text/html" not in request.headers.get("accept", "")
        ):
            return PlainTextResponse("a token is needed", 401, {"www-authenticate": "Bearer"})
        return RedirectResponse("/login", 303)


_HEADERS = {
    "content-security-policy": f"{POLICY}; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class _Pages:
    """Handlers; those that are not asynchronous run in threads."""

    def __init__(self, source: DashboardSource, door: Door) -> None:
        self._source = source
        self._door = door

    def overview(self, _request: Request) -> Response:
        return HTMLResponse(self._source.overview())

    def pictures(self, request: Request) -> Response:
        wanted = dict(request.query_params)
        page = wanted.pop("page", "1")
        number = int(page) if page.isascii() and page.isdecimal() and len(page) < 10 else 1
        return HTMLResponse(self._source.pictures(wanted, number))

    def life(self, request: Request) -> Response:
        found = self._source.life(*_named(request))
        return HTMLResponse(found) if found is not None else PlainTextResponse("no such picture", 404)

    def thumbnail(self, request: Request) -> Response:
        found = self._source.thumbnail(*_named(request), request.query_params.get("of", "overlay"))
        if found is None:
            return PlainTextResponse("no such picture", 404)
        return Response(found, media_type="image/jpeg", headers={"cache-control": "private, max-age=60"})

    def state(self, _request: Request) -> Response:
        return JSONResponse({"state": self._source.state()})

    def script(self, _request: Request) -> Response:
        return Response(script(), media_type="text/javascript")

    async def log_in(self, request: Request) -> Response:
        if request.method == "GET":
            return HTMLResponse(login_html(wrong=False))
        async with request.form(max_files=0, max_fields=4) as form:
            given = str(form.get("token", ""))
        if not await self._door.lets_in(given):
            return HTMLResponse(login_html(wrong=True), 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            self._door.cookie,
            max_age=_MONTH_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer


def _named(request: Request) -> tuple[str, str]:
    return request.query_params.get("run", ""), request.query_params.get("record", "")
