"""One request over HTTP: the only place that knows the HTTP library."""

from __future__ import annotations

import os
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread, get_ident
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.exceptions import (
    TimeoutError as Urllib3Timeout,
)

from agir_cvtoolkit.errors import DataError

from .connections import POOLS, cut

PIECE_BYTES = 1024 * 1024
SENT_PIECE_BYTES = 256 * 1024
CONNECT_SECONDS = 15.0
_CUTS = 200

FailureKind = Literal["refused", "name", "timeout", "certificate", "cut", "proxy"]


class StreamBody(Protocol):
    """A request body of known length that can be sent again from its beginning."""

    @property
    def length(self) -> int:
        """Number of bytes."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...


Body = bytes | StreamBody


@dataclass(frozen=True)
class Response:
    """An answer.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name; of a repeated header the last value.
        body: all of it; empty where it was written to a file.
        cookies: those that the answer sets.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cookies: Mapping[str, str] = field(default_factory=dict)


class TransportFailure(Exception):  # noqa: N818 - no answer at all is not yet anybody's error
    """No answer came.

    Attributes:
        kind: what happened.
        sent: whether the server may have received the request.
        detail: in the library's words.
    """

    def __init__(self, kind: FailureKind, detail: str, *, sent: bool) -> None:
        super().__init__(kind, detail)
        self.kind: FailureKind = kind
        self.detail = detail
        self.sent = sent


class Transport(Protocol):
    """Something that sends a request and brings the answer; callable from several threads."""

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | None = None,
        timeout: float = 60.0,
        to_file: Path | None = None,
    ) -> Response:
        """Send one request.

        Args:
            method: upper case.
            url: absolute.
            headers: all of them but ``Content-Length``.
            body: bytes, or a body streamed in pieces.
            timeout: seconds that the server may stay silent.
            to_file: where the body of a 200 answer is written piece by piece.

        Raises:
            TransportFailure: no answer came.
            DataError: `to_file` cannot be written.
        """
        ...


class Urllib3Transport:
    """Requests through urllib3: pooled connections, verified certificates, always a time limit.

    Args:
        connections: how many connections to one server are kept open.
        ca_file: a file of further certificate authorities, for servers with an own one.
    """

    def __init__(self, connections: int = 8, ca_file: Path | None = None) -> None:
        self._connections = connections
        self._ca_file = ca_file
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._users: set[int] = set()

    def cut(self) -> None:
        """End the requests of all other threads, also those that are just about to begin."""
        caller = get_ident()

        def end() -> None:
            for _ in range(_CUTS):
                cut(self._users - {caller})
                time.sleep(0.1)

        cut(self._users - {caller})
        Thread(target=end, name="cvat-cut", daemon=True).start()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body | None = None,
        timeout: float = 60.0,
        to_file: Path | None = None,
    ) -> Response:
        """Send one request; only GET and HEAD follow redirects, without credentials to another host."""
        all_headers = dict(headers)
        if body is not None:
            all_headers["Content-Length"] = str(len(body) if isinstance(body, bytes) else body.length)
        follows = method in {"GET", "HEAD"}
        retries = urllib3.Retry(
            total=5,
            connect=0,
            read=0,
            status=0,
            other=0,
            redirect=5 if follows else 0,
            raise_on_redirect=False,
        )
        self._users.add(get_ident())
        try:
            answer = self._pool(url).request(
                method,
                url,
                headers=all_headers,
                body=_pieces(body) if isinstance(body, bytes) else body,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=timeout),
                retries=retries,
                redirect=follows,
                preload_content=False,
            )
            try:
                if to_file is not None and answer.status == 200:
                    _save(answer, to_file)
                    content = b""
                else:
                    content = answer.read(decode_content=True) or b""
            except BaseException:
                answer.close()
                raise
            answer.release_conn()
        except (HTTPError, OSError) as error:
            raise _failure(error) from error
        finally:
            self._users.discard(get_ident())
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status, named, content, _cookies(answer.headers.getlist("set-cookie")))

    def _pool(self, url: str) -> urllib3.PoolManager:
        proxy = _proxy_for(url)
        if proxy not in self._pools:
            if proxy:
                context = _tls_context(self._ca_file)
                made: urllib3.PoolManager = urllib3.ProxyManager(
                    proxy, maxsize=self._connections, ssl_context=context
                )
                made.pool_classes_by_scheme = POOLS
            else:
                made = _LazyPools(self._connections, self._ca_file)
            self._pools[proxy] = made
        return self._pools[proxy]


class _LazyPools(urllib3.PoolManager):
    """Pools that read the certificate authorities only when a connection is to be encrypted."""

    def __init__(self, connections: int, ca_file: Path | None) -> None:
        super().__init__(maxsize=connections)
        self.pool_classes_by_scheme = POOLS
        self._ca_file = ca_file
        self._lock = Lock()
        self._context: ssl.SSLContext | None = None

    def connection_from_context(self, request_context: dict[str, Any]) -> urllib3.HTTPConnectionPool:
        if request_context.get("scheme") == "https":
            with self._lock:
                self._context = self._context or _tls_context(self._ca_file)
            request_context = request_context | {"ssl_context": self._context}
        return super().connection_from_context(request_context)


def _pieces(content: bytes) -> Iterator[bytes]:
    """Yield bytes in pieces, each of which has its own time to go out."""
    view = memoryview(content)
    for start in range(0, len(view), SENT_PIECE_BYTES):
        yield bytes(view[start : start + SENT_PIECE_BYTES])


def _save(answer: urllib3.BaseHTTPResponse, path: Path) -> None:
    pieces = answer.stream(PIECE_BYTES, decode_content=True)
    with _writing(path):
        stream = path.open("wb")
    try:
        for piece in pieces:
            with _writing(path):
                stream.write(piece)
    except BaseException:
        with suppress(OSError):
            stream.close()
        raise
    with _writing(path):  # what did not fit is often told only now
        stream.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell a failure of this machine's disk from one of the connection."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}", "Make room or check the folder's rights."
        ) from error


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # Pythons that find no system store (python.org on macOS) would trust nobody without it.
    context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _proxy_for(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in {"localhost", "127.0.0.1", "::1"} or not any("proxy" in name.lower() for name in os.environ):
        return ""
    if urllib.request.proxy_bypass(host):
        return ""
    return urllib.request.getproxies().get(parts.scheme, "")


def _cookies(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, equals, value = line.partition(";")[0].partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


def _failure(error: Exception) -> TransportFailure:
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason is not None else error
    detail = str(reason.args[-1] if reason.args else reason) or type(reason).__name__
    kinds: list[tuple[type[BaseException], FailureKind, bool]] = [
        (NameResolutionError, "name", False),
        (NewConnectionError, "refused", False),
        (ConnectTimeoutError, "timeout", False),
        (SSLError, "certificate", False),
        (ssl.SSLError, "certificate", False),
        (ProxyError, "proxy", False),
        (LocationParseError, "name", False),
        (Urllib3Timeout, "timeout", True),
        (TimeoutError, "timeout", True),
    ]
    if reason.args and isinstance(reason.args[-1], TimeoutError):  # while the body was sent
        return TransportFailure("timeout", detail, sent=True)
    for kind_of_error, kind, sent in kinds:
        if isinstance(reason, kind_of_error):
            return TransportFailure(kind, detail, sent=sent)
    return TransportFailure("cut", detail, sent=True)
