"""The sandbox as a running server: in a thread beside a test or a demonstration, or by itself."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from agir_cvtoolkit.errors import ConfigError

from .access import ensure_user
from .app import Application
from .breaking import TRANSPORT, FaultMiddleware, Seen
from .calls import World
from .creation import task_creator
from .door import Door, listen
from .exports import exporter
from .faults import Fault, FaultPlan, load_faults
from .imports import importer
from .options import SandboxOptions
from .store import Store
from .workers import Workers

_STOP_SECONDS = 10.0


class _OpenProtocol(H11Protocol):
    """HTTP/1.1 that shows the application its connection, so that a fault can close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, TRANSPORT: transport}, receive, send)

        self.app = with_transport


class Sandbox:
    """The embedded server in a background thread.

    Use it as a context manager::

        with Sandbox(SandboxOptions(root)) as sandbox:
            client = connect(sandbox.url)

    Attributes:
        url: scheme, host and port; known once it runs.
        faults: the rules in force; may be changed at any time.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.faults = FaultPlan((*options.faults, *load_faults(options.root / "faults.json")))
        self.url = ""
        self._store = Store(options.root)
        self._workers = Workers(self._store)
        self._workers.learn("create", task_creator(self._store, options.work))
        self._workers.learn("export", exporter(self._store, options.work))
        self._workers.learn("import", importer(self._store, options.generation))
        for username, password in ((options.username, options.password), *options.users):
            ensure_user(self._store, username, password)
        world = World(options, self._store, self._workers)
        self._middleware = FaultMiddleware(Application(world), self.faults)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Sandbox:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Bind, take up unfinished work, and answer from a background thread.

        Raises:
            ConfigError: the address cannot be bound.
        """
        server, listener = self._prepare()
        self._thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
        self._thread.start()

    def run(self, on_ready: Callable[[str], None] | None = None) -> None:
        """Bind and answer in this thread until Ctrl-C.

        Args:
            on_ready: is told the URL as soon as connections are taken.

        Raises:
            ConfigError: the address cannot be bound.
        """
        server, listener = self._prepare()
        try:
            if on_ready is not None:
                on_ready(self.url)
            server.run([listener])
        except KeyboardInterrupt:
            return
        finally:
            listener.close()
            self._workers.stop()
            self._store.close()

    def stop(self) -> None:
        """Stop answering, finish the work under way, and close the state; a second call does nothing."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server, self._thread = None, None
        server.should_exit = True
        thread.join(_STOP_SECONDS)
        self._workers.stop()
        self._store.close()

    def add_fault(self, fault: Fault) -> None:
        """Put one more rule in force."""
        self.faults.add(fault)

    def refuse(self) -> None:
        """Cut all connections and take no new ones until `accept` is called."""
        if self._middleware.door is not None:
            self._middleware.door.close()

    def accept(self) -> None:
        """Take connections again that `refuse`, or a rule of that name without end, turns away."""
        if self._middleware.door is not None:
            self._middleware.door.open()

    @property
    def under_way(self) -> int:
        """How many requests are being answered now, those included whose sender has gone."""
        return self._middleware.under_way

    def requests(self) -> Sequence[Seen]:
        """Return the requests that came since the start or the last `forget_requests`, oldest first."""
        return self._middleware.seen()

    def forget_requests(self) -> None:
        """Start the list of requests anew."""
        self._middleware.forget()

    def _prepare(self) -> tuple[uvicorn.Server, socket.socket]:
        host = "127.0.0.1" if self.options.host == "localhost" else self.options.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = listen(family, (host, self.options.port))
        except ConfigError:
            self._workers.stop()
            self._store.close()
            raise
        port = listener.getsockname()[1]
        self.url = f"http://[{host}]:{port}" if family == socket.AF_INET6 else f"http://{host}:{port}"
        config = uvicorn.Config(
            self._middleware,
            http=_OpenProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=65,
        )
        self._server = uvicorn.Server(config)
        self._middleware.door = Door(self._server, family, (host, port))
        self._workers.resume()
        return self._server, listener


def serve(options: SandboxOptions, on_ready: Callable[[str], None] | None = None) -> None:
    """Run a sandbox in this thread until Ctrl-C.

    Args:
        on_ready: is told the URL as soon as connections are taken.

    Raises:
        ConfigError: the host is no loopback address, or the address cannot be bound.
        DatabaseError: the state cannot be opened.
    """
    Sandbox(options).run(on_ready)
