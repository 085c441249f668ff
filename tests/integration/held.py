"""A request that the server holds until the test lets it go, however long that takes."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agir_cvtoolkit.sandbox import Sandbox

PATIENCE_S = 300.0


class Held:
    """The request; it is carried out once it is let go, also when its sender has gone."""

    def __init__(self) -> None:
        self.came, self.free = threading.Event(), threading.Event()
        self.under_way = 0

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Wait until a process has sent it."""
        end = time.monotonic() + PATIENCE_S
        while not self.came.wait(0.01):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "the request does not come"

    def let_go(self) -> None:
        """Carry it out, and wait until it and all others that came since it was asked for are answered."""
        self.free.set()
        end = time.monotonic() + PATIENCE_S
        # Not the server's own count: the server is shared, and an earlier test may have left it a slow answer.
        while self.under_way:
            assert time.monotonic() < end, "the server does not come to rest"
            time.sleep(0.002)


@contextmanager
def held(sandbox: Sandbox, path: str, method: str = "", nth: int = 1) -> Iterator[Held]:
    """Hold the `nth` request whose path and method fit."""
    request, middleware, seen = Held(), sandbox._middleware, 0
    app = middleware._app

    async def gate(scope: Any, receive: Any, send: Any) -> None:
        nonlocal seen
        request.under_way += 1
        try:
            if scope["method"].startswith(method) and re.search(path, scope["path"]):
                seen += 1
                if seen == nth:
                    request.came.set()
                    while not request.free.is_set():
                        await asyncio.sleep(0.01)
            await app(scope, receive, send)
        finally:
            request.under_way -= 1

    middleware._app = gate
    try:
        yield request
    finally:
        middleware._app = app
        request.free.set()
