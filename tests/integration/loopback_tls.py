"""The sandbox behind TLS on loopback, with the certificates in ``tls/``: made for these tests, trusted by nobody."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

CERTIFICATES = Path(__file__).parent / "tls"
AUTHORITY = CERTIFICATES / "ca.pem"


@contextmanager
def behind_tls(url: str, certificate: str = "loopback") -> Iterator[str]:
    """Yield an https address under which the server at `url` answers."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
    with closing(socket.create_server(("127.0.0.1", 0))) as door:

        def take_in() -> None:
            with suppress(OSError):
                while True:
                    outside, _ = door.accept()
                    inside = (parts.hostname or "", parts.port or 80)
                    threading.Thread(target=_talk, args=(context, outside, inside), daemon=True).start()

        threading.Thread(target=take_in, daemon=True).start()
        yield f"https://127.0.0.1:{door.getsockname()[1]}"


def _talk(context: ssl.SSLContext, outside: socket.socket, inside: tuple[str, int]) -> None:
    with suppress(OSError), closing(outside):
        outside.settimeout(120)
        with (
            context.wrap_socket(outside, server_side=True) as safe,
            socket.create_connection(inside) as plain,
        ):
            safe.settimeout(0.01)  # one thread for both ways: TLS must not be read and written at once
            while True:
                with suppress(TimeoutError, ssl.SSLWantReadError):
                    request = safe.recv(65536)
                    if not request:
                        return
                    plain.sendall(request)
                while select.select([plain], [], [], 0)[0]:
                    answer = plain.recv(65536)
                    if not answer:
                        return
                    safe.settimeout(120)
                    safe.sendall(answer)
                    safe.settimeout(0.01)
