"""The listening socket of a running server, which can be shut and opened again while the server stays."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

import uvicorn

from agir_cvtoolkit.errors import ConfigError

_SECONDS = 10.0


class Door:
    """Lets connections in, or refuses them.

    Args:
        server: whose door it is; it listens already when the door is first used.
        family: of the socket.
        address: host and port.
    """

    def __init__(
        self, server: uvicorn.Server, family: socket.AddressFamily, address: tuple[str, int]
    ) -> None:
        self._server = server
        self._family = family
        self._address = address
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_shut = threading.Event()

    async def shut(self, seconds: float | None = None) -> None:
        """Cut all connections and take no new ones, for some seconds or until `open` is called.

        To be called in the server's own loop.
        """
        self._loop = asyncio.get_running_loop()
        self._is_shut.set()
        servers, self._server.servers = self._server.servers, []
        for listener in [one for server in servers for one in server.sockets]:
            with suppress(NotImplementedError):  # a loop that is told of connections in another way
                self._loop.remove_reader(listener.fileno())
        # A connection that was taken a moment ago and has no protocol yet would be left open and unheard for ever.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in servers:
            server.close()
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        if seconds is not None:
            self._loop.call_later(seconds, lambda: asyncio.ensure_future(self._open()))

    def close(self) -> None:
        """Do as `shut` does, from any other thread."""
        servers = self._server.servers
        if servers:
            asyncio.run_coroutine_threadsafe(self.shut(), servers[0].get_loop()).result(_SECONDS)

    def open(self) -> None:
        """Take connections again, from any thread; an open door stays as it is.

        Raises:
            ConfigError: somebody else listens there now.
        """
        if self._loop is None or not self._is_shut.is_set():
            return
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(_SECONDS)

    async def _open(self) -> None:
        if not self._is_shut.is_set():
            return
        listener = listen(self._family, self._address)
        config = self._server.config

        def protocol() -> asyncio.Protocol:
            # As the server itself makes it for the socket that it is started with.
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config,
                server_state=self._server.server_state,
                app_state=self._server.lifespan.state,
            )
            return made

        self._server.servers.append(await asyncio.get_running_loop().create_server(protocol, sock=listener))
        self._is_shut.clear()


def listen(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: the address cannot be bound.
    """
    # Named as TCP, or asyncio leaves Nagle's delay on and every answer costs 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"sandbox cannot listen on {address[0]}:{address[1]}: {error.strerror}",
            "Choose another port, or 0 for a free one.",
        ) from error
    listener.listen(256)  # connections wait from here on, even before the loop runs
    return listener
