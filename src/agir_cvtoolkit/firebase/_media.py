"""A file's content from Cloud Storage, with little work for each file.

Google's library takes milliseconds of processor time for each download, since it prepares for what a picture never
needs: parts, ranges, keys of one's own. The request is the one that it would send (JSON API, ``alt=media``).
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any
from urllib.parse import quote

from agir_cvtoolkit.errors import PictureError

from ._calls import CorruptedError

_WITH_HEADER = 16 + zlib.MAX_WBITS


def download(bucket: Any, key: str, limit_bytes: int, timeout: tuple[float, float]) -> bytes:
    """Return a file as it was put in; its checksum is checked where the server says one.

    Args:
        bucket: Google's.
        key: name of the file.
        limit_bytes: no more is ever held.
        timeout: for connecting, and for each wait for bytes, in seconds.

    Raises:
        PictureError: it has more than `limit_bytes`.
        CorruptedError: what came is not what lies there.
        ConnectionError: it came in part only.
        google.api_core.exceptions.GoogleAPICallError: the server refuses.
    """
    import urllib3.exceptions
    from google.api_core.exceptions import from_http_response

    url = _address(bucket, key)
    # As it is stored: only of that are checksums known.
    asked = {"Accept-Encoding": "gzip"}
    with bucket.client._http.get(url, headers=asked, stream=True, timeout=timeout) as response:
        if response.status_code != 200:
            raise from_http_response(response)
        headers = response.headers
        length = int(headers.get("Content-Length") or -1)
        _bound(key, length, limit_bytes)
        try:
            content: bytes = response.raw.read(limit_bytes + 1, decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(f"{key} came in part only: {error}") from error
    _bound(key, len(content), limit_bytes)
    if 0 <= length != len(content):
        raise ConnectionError(f"{key} came in part only: {len(content)} of {length} bytes")
    _check(key, content, headers.get("X-Goog-Hash", ""))
    if headers.get("Content-Encoding", "").lower() == "gzip":
        return _unpacked(key, content, limit_bytes)
    return content


def _address(bucket: Any, key: str) -> str:
    place = bucket.client._connection.get_api_base_url_for_mtls()
    return f"{place}/download/storage/v1/b/{quote(bucket.name, safe='')}/o/{quote(key, safe='')}?alt=media"


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
