"""An HTTP server that takes what webhooks deliver, answers at once, and wakes whoever waits.

A delivery only says that it is time to look: what is read afterwards comes from CVAT itself. So one that is lost,
doubled or replayed can change nothing but the moment of the next look.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from agir_cvtoolkit.errors import ConfigError, UsageError

from .deliveries import Deliveries

_log = logging.getLogger("agir_cvtoolkit.serving")

MAX_BYTES = 1 << 20
"""Longest body that is read; CVAT's are a few kilobytes."""
_BODY_S = 5.0
_AT_ONE_TIME = 64
_STOP_S = 5.0


class Receiver:
    """Takes deliveries in a background thread; a context manager.

    Args:
        host, port: where to listen; port 0 takes a free one.
        secret: that CVAT signs with.

    Attributes:
        woken: set with every delivery that matters; cleared by whoever waits for it.
        deliveries: what came.
        url: where it listens; known once it runs.
    """

    def __init__(self, host: str, port: int, secret: str) -> None:
        if not secret:
            raise ConfigError("a receiver needs a secret", "Make one with: agir-cvtoolkit webhook add URL.")
        self.deliveries = Deliveries(secret)
        self.woken = threading.Event()
        self.url = ""
        self._host, self._port = host, port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Receiver:
        """Listen.

        Raises:
            ConfigError: the address cannot be bound.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            raise ConfigError(
                f"{self._host}:{self._port} cannot be listened at: {error}",
                "Give another address: --listen HOST:PORT.",
            ) from error
        host = f"[{self._host}]" if family == socket.AF_INET6 else self._host
        self.url = f"http://{host}:{listener.getsockname()[1]}/"
        config = uvicorn.Config(
            Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])]),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            limit_concurrency=_AT_ONE_TIME,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="webhooks", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_STOP_S)

    async def _take(self, request: Request) -> Response:
        try:
            body = await asyncio.wait_for(_body(request), _BODY_S)
        except (TimeoutError, ClientDisconnect):
            self.deliveries.count("refused")
            return PlainTextResponse("too slow", 408)
        if body is None:
            self.deliveries.count("refused")
            return PlainTextResponse("too large", 413)
        verdict = self.deliveries.judge(body, request.headers.get("x-signature-256", ""))
        if verdict == "forged":
            if self.deliveries.counted.forged == 1:  # once: a flood must not fill the log
                _log.warning(
                    "a delivery with a wrong signature was refused; is the webhook's secret another one?"
                )
            return PlainTextResponse("wrong signature", 403)
        if verdict == "garbled":
            return PlainTextResponse("no event", 400)
        if verdict == "news":
            self.woken.set()
        return PlainTextResponse(verdict)


class WakingClock:
    """Waits for the time to pass, for a stop, or for a delivery that matters; see `watch.Clock`."""

    def __init__(self, woken: threading.Event, *, pause_s: float = 1.0) -> None:
        self._woken = woken
        self._pause_s = pause_s

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait; deliveries that come close together wake once, `pause_s` after the first."""
        waited = 0.0
        while waited < seconds:
            if stop.is_set():
                return True
            step = min(0.2, seconds - waited)
            if self._woken.wait(step):
                stop.wait(self._pause_s)
                self._woken.clear()
                break
            waited += step
        return stop.is_set()


def listening_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``[IPv6]:PORT`` or ``PORT``, which is one of this machine only.

    Raises:
        UsageError: it is none of these.
    """
    try:
        parts = urlsplit(f"//{text}" if ":" in text else f"//127.0.0.1:{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.path or parts.query or parts.username is not None:
        raise UsageError(f"'{text}' is no address to listen at", "Give HOST:PORT, such as 127.0.0.1:8086.")
    return host, port


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            return None
    return bytes(body)
