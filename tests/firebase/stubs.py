"""Servers on loopback that answer like Google's, and wrongly where a test wants it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = tuple[int, bytes] | tuple[int, bytes, dict[str, str]]
"""Status, body and headers; a body shorter than its Content-Length is cut off on the way."""


@contextmanager
def http_server(answer: Callable[[str, str, bytes], Answer]) -> Iterator[str]:
    """Serve answers to (method, path, body); give the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content, *more = answer(self.command, self.path, body)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            headers |= more[0] if more else {}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = int(headers["Content-Length"]) != len(content)

        do_GET = do_POST = do_DELETE = do_PUT = _answer

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def failing_firestore(
    codes: str | Sequence[str], message: str, calls: list[str] | None = None
) -> Iterator[str]:
    """Serve gRPC, answering everything with one error, or with one after the other; give host and port."""
    import grpc

    left = [codes] if isinstance(codes, str) else list(codes)

    class Failing(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            if calls is not None:
                calls.append(details.method.rpartition("/")[2])

            def fail(request: bytes, context: Any) -> Any:
                del request
                code = left.pop(0) if len(left) > 1 else left[0]
                context.abort(getattr(grpc.StatusCode, code), message)

            return grpc.unary_unary_rpc_method_handler(fail)

    server = grpc.server(ThreadPoolExecutor(2), handlers=(Failing(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def key_file(path: Path, token_uri: str, project: str = "demo-key") -> Path:
    """Write a service account's key that nobody knows, with a token endpoint of one's own."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "k1",
        "private_key": pem.decode(),
        "client_email": f"robot@{project}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path
