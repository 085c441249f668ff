"""The parts of the transfer's benchmark."""

from __future__ import annotations

import http.server
import threading
import time

import urllib3
from benchmarks._slow_storage import delayed
from benchmarks.transfer import BYTES, _pictures


def test_the_pictures_have_the_size_that_is_said() -> None:
    assert all(BYTES <= len(picture) < 1.2 * BYTES for picture in _pictures())


def test_each_request_is_answered_later_and_whole() -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "300000")
            self.end_headers()
            self.wfile.write(b"x" * 300000)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with delayed(f"http://127.0.0.1:{server.server_port}", 0.05) as far:
        pool = urllib3.PoolManager()
        started = time.monotonic()
        for _ in range(3):
            assert pool.request("GET", far).data == b"x" * 300000
        assert time.monotonic() - started >= 0.15
        pool.clear()
    server.shutdown()
    server.server_close()
