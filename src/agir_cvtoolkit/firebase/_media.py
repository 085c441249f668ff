"""A file's content from Cloud Storage, with little work for each file.

Google's library takes milliseconds of processor time for each download, since it prepares for what a picture never
needs: parts, ranges, keys of one's own. The request is the one that it would send (JSON API, ``alt=media``), with
its credentials, by the HTTP library below the one that it uses.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import certifi

from agir_cvtoolkit.errors import PictureError

from ._calls import CorruptedError

_LONGEST_ERROR = 64 * 1024
_WITH_HEADER = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class _Answer:
    """What Google's errors want to know of an answer."""

    status_code: int
    headers: Mapping[str, str]


def connections(client: Any, parallel: int) -> Any:
    """Return what sends requests with the credentials of Google's storage client, by kept connections.

    What the environment says of proxies and certificates is read once, not with each picture.

    Args:
        client: Google's, whose session knows the environment already.
        parallel: how many requests are under way at a time.
    """
    import urllib3
    from google.auth.transport.urllib3 import AuthorizedHttp

    session = client._http
    options: dict[str, Any] = {"num_pools": 4, "maxsize": parallel + 2, "retries": False}
    options["cert_reqs"] = "CERT_REQUIRED" if session.verify else "CERT_NONE"
    if isinstance(session.verify, str):
        found = Path(session.verify)
        options["ca_cert_dir" if found.is_dir() else "ca_certs"] = str(found)
    else:
        options["ca_certs"] = certifi.where()
    scheme = urlsplit(_place(client)).scheme
    proxy = session.proxies.get(scheme) or session.proxies.get("all")
    pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    http = AuthorizedHttp(client._credentials, http=pool)
    if session.is_mtls:
        http.configure_mtls_channel()
    return http


def download(http: Any, bucket: Any, key: str, limit_bytes: int, timeout: tuple[float, float]) -> bytes:
    """Return a file as it was put in; its checksum is checked where the server says one.

    Args:
        http: from `connections`.
        bucket: Google's.
        key: name of the file.
        limit_bytes: no more is ever held.
        timeout: for connecting, and for each wait for bytes, in seconds.

    Raises:
        PictureError: it has more than `limit_bytes`.
        CorruptedError: what came is not what lies there.
        ConnectionError: it came in part only, or not at all.
        google.api_core.exceptions.GoogleAPICallError: the server refuses.
    """
    import urllib3

    # As it is stored: only of that are checksums known.
    asked = {"Accept-Encoding": "gzip"}
    url = _address(bucket, key)
    waits = urllib3.Timeout(connect=timeout[0], read=timeout[1])
    try:
        response = http.urlopen("GET", url, headers=asked, timeout=waits, preload_content=False)
        try:
            return _content(response, key, url, limit_bytes)
        finally:
            # What was not read to its end cannot be used again.
            response.drain_conn() if response.length_remaining == 0 else response.close()
            response.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionError(f"{key} did not come whole: {error}") from error


def _content(response: Any, key: str, url: str, limit_bytes: int) -> bytes:
    headers = response.headers
    if response.status != 200:
        raise _refusal(response, url)
    length = int(headers.get("Content-Length") or -1)
    _bound(key, length, limit_bytes)
    content: bytes = response.read(limit_bytes + 1, decode_content=False)
    _bound(key, len(content), limit_bytes)
    if 0 <= length != len(content):
        raise ConnectionError(f"{key} came in part only: {len(content)} of {length} bytes")
    _check(key, content, headers.get("X-Goog-Hash", ""))
    if headers.get("Content-Encoding", "").lower() == "gzip":
        return _unpacked(key, content, limit_bytes)
    return content


def _refusal(response: Any, url: str) -> Exception:
    from google.api_core.exceptions import format_http_response_error

    text = response.read(_LONGEST_ERROR, decode_content=True).decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        said = {"error": {"message": text or "unknown error"}}
    answer = _Answer(response.status, response.headers)
    refusal: Exception = format_http_response_error(answer, "GET", url, said)
    return refusal


def _place(client: Any) -> str:
    return str(client._connection.get_api_base_url_for_mtls())


def _address(bucket: Any, key: str) -> str:
    name = quote(bucket.name, safe="")
    return f"{_place(bucket.client)}/download/storage/v1/b/{name}/o/{quote(key, safe='')}?alt=media"


def _bound(key: str, size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise PictureError(f"{key} has more than {limit_bytes} bytes")


def _check(key: str, content: bytes, said: str) -> None:
    """Compare with the cheapest checksum that the server says; both are base64, CRC32C in big-endian order."""
    import google_crc32c

    sums = dict(part.strip().partition("=")[::2] for part in said.split(",") if "=" in part)
    if "crc32c" in sums and google_crc32c.implementation == "c":
        found = google_crc32c.value(content).to_bytes(4, "big")
        expected = sums["crc32c"]
    elif "md5" in sums:
        found = hashlib.md5(content, usedforsecurity=False).digest()
        expected = sums["md5"]
    else:
        return
    if base64.b64encode(found).decode() != expected:
        raise CorruptedError(f"{key} has another checksum than in the storage")


def _unpacked(key: str, content: bytes, limit_bytes: int) -> bytes:
    inside = zlib.decompressobj(_WITH_HEADER)
    try:
        found = inside.decompress(content, limit_bytes + 1)
    except zlib.error as error:
        raise PictureError(f"{key} is damaged: {error}", "Send it again.") from error
    _bound(key, len(found), limit_bytes)
    return found
