"""A proxy before a storage server that adds a delay to every request, as a distant one has."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PIECE = 1 << 16


@contextmanager
def delayed(url: str, seconds: float) -> Iterator[str]:
    """Yield an address under which the server at `url` answers each request so many seconds later.

    What the client sends within one request is passed on at once; a pause of the server's side ends a request.
    """
    parts = urlsplit(url)
    inside = (parts.hostname or "127.0.0.1", parts.port or 80)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as door:

        def take_in() -> None:
            with suppress(OSError):
                while True:
                    outside, _ = door.accept()
                    threading.Thread(target=_talk, args=(outside, inside, seconds), daemon=True).start()

        threading.Thread(target=take_in, daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


def _talk(outside: socket.socket, inside: tuple[str, int], seconds: float) -> None:
    with suppress(OSError), outside, socket.create_connection(inside) as server:
        for one in (outside, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_back, args=(server, outside), daemon=True).start()
        while piece := outside.recv(_PIECE):
            if piece.startswith((b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ")):
                time.sleep(seconds)
            server.sendall(piece)


def _back(server: socket.socket, outside: socket.socket) -> None:
    with suppress(OSError):
        while piece := server.recv(_PIECE):
            outside.sendall(piece)
        outside.shutdown(socket.SHUT_WR)
