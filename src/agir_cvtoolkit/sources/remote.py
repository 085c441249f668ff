"""Storage that is named by an address such as ``s3://bucket/key``, through fsspec."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agir_cvtoolkit.errors import ConfigError, MissingExtraError

_CHUNK = 1 << 20
_VERSIONS = ("ETag", "etag", "generation", "mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True)
class Description:
    """What a storage tells of a file without sending it.

    Attributes:
        size: bytes.
        version: changes with the content, as far as the storage can tell; empty where it tells nothing.
        md5: of the content, hexadecimal; None where the storage does not know it.
    """

    size: int
    version: str
    md5: str | None


class Remote:
    """A storage of one protocol; its methods may be called from several threads.

    Raises:
        MissingExtraError: the library for it is not installed.
        ConfigError: there is no such protocol.
    """

    def __init__(self, protocol: str) -> None:
        try:
            import fsspec  # type: ignore[import-untyped]

            self._files: Any = fsspec.filesystem(protocol)
        except ImportError as error:
            raise MissingExtraError(f"pictures in {protocol}://", "cloud") from error
        except ValueError as error:
            known = "s3, gs, file and what else fsspec knows"
            raise ConfigError(
                f"io.roots names a storage '{protocol}://' that nobody knows", f"Known: {known}."
            ) from error

    def describe(self, address: str) -> Description:
        """Ask for the state of a file, past what was remembered.

        Raises:
            FileNotFoundError: there is none.
            OSError: the storage fails.
        """
        self._files.invalidate_cache(self._files._parent(address))
        found: Mapping[str, Any] = self._files.info(address)
        if found.get("type") == "directory":
            raise FileNotFoundError(address)
        version = next((str(found[name]) for name in _VERSIONS if found.get(name)), "")
        return Description(int(found["size"]), version, _md5(found))

    def read(self, address: str, start: int) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` on.

        Raises:
            OSError: the storage fails.
        """
        with self._files.open(address, "rb", block_size=_CHUNK, cache_type="readahead") as stream:
            stream.seek(start)
            read: Callable[[int], bytes] = stream.read
            while chunk := read(_CHUNK):
                yield chunk


def protocol_of(address: str) -> str:
    """Return what stands before ``://``."""
    return address.partition("://")[0]


def _md5(found: Mapping[str, Any]) -> str | None:
    encoded = found.get("md5Hash")
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True).hex()
        except binascii.Error:
            return None
    return None
