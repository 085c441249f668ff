from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agir_cvtoolkit.cvat import transport
from agir_cvtoolkit.cvat.transport import TransportFailure, Urllib3Transport


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> list[ssl.SSLContext]:
    made: list[ssl.SSLContext] = []
    real = transport._tls_context

    def counted(ca_file: Path | None) -> ssl.SSLContext:
        made.append(real(ca_file))
        return made[-1]

    monkeypatch.setattr(transport, "_tls_context", counted)
    return made


def test_authorities_are_read_for_encrypted_connections_only_and_once(
    port: int, contexts: list[ssl.SSLContext]
) -> None:
    wire = Urllib3Transport()
    assert wire.send("GET", f"http://127.0.0.1:{port}/", headers={}).body == b"ok"
    assert contexts == []
    for _ in range(2):
        with pytest.raises(TransportFailure) as failure:
            wire.send("GET", f"https://127.0.0.1:{port}/", headers={}, timeout=60)
        assert failure.value.kind == "certificate"
    assert len(contexts) == 1
    assert contexts[0].verify_mode == ssl.CERT_REQUIRED
    assert contexts[0].check_hostname
