"""Files in Cloud Storage."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import NotFoundError, RefusedError

from ._calls import TIMEOUT_S, Calls
from ._connection import Connection
from ._media import download

_CONNECT_S = 10.0


class Bucket:
    """A bucket, for several threads.

    Args:
        connection: to Google; its bucket is meant.
    """

    def __init__(self, connection: Connection, calls: Calls) -> None:
        self._handle = connection.bucket
        self._http = connection.http
        self._guessed = connection.guessed_bucket
        self._calls = calls
        self._seen = False

    def put(self, key: str, content: bytes) -> None:
        """Put a file in, in the place of one of that name."""
        blob = self._handle.blob(key)
        kind = "image/jpeg" if key.lower().endswith((".jpg", ".jpeg")) else "application/octet-stream"
        self._run(
            f"write {key}",
            lambda: blob.upload_from_string(content, content_type=kind, timeout=_times(), retry=None),
        )

    def put_file(self, key: str, path: Path) -> str:
        """Put a file in from the disk; return its SHA-256."""
        blob = self._handle.blob(key)
        self._run(f"write {key}", lambda: blob.upload_from_filename(str(path), timeout=_times(), retry=None))
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def get(self, key: str, limit_bytes: int) -> bytes:
        """Return a file. No more than `limit_bytes` are ever held or asked for.

        Raises:
            NotFoundError: there is none.
            PictureError: it has more than `limit_bytes`.
        """
        found: bytes = self._run(
            f"read {key}", lambda: download(self._http, self._handle, key, limit_bytes, _times())
        )
        return found

    def delete(self, key: str) -> bool:
        """Remove a file; False where there is none."""
        blob = self._handle.blob(key)
        try:
            self._run(f"remove {key}", lambda: blob.delete(timeout=_times(), retry=None))
        except NotFoundError:
            return False
        return True

    def _run(self, what: str, call: Any) -> Any:
        try:
            found = self._calls.run(what, call)
        except NotFoundError as error:
            self._look_for_bucket(error)
            raise NotFoundError(
                f"{self._calls.place}: cannot {what}: there is no such file",
                "See that the device has sent it, and that firebase.image_path is right.",
                status=404,
            ) from error
        self._seen = True
        return found

    def _look_for_bucket(self, error: NotFoundError) -> None:
        """Raise where the bucket itself is what was not found: that is no fault of a capture."""
        if self._seen:
            return
        from google.api_core.exceptions import Forbidden

        try:
            self._seen = bool(
                self._calls.run("look for the bucket", lambda: _exists(self._handle, Forbidden))
            )
        except NotFoundError:
            self._seen = False
        if not self._seen:
            name = self._handle.name
            newer = (
                f" Newer projects have {name.removesuffix('.appspot.com')}.firebasestorage.app."
                if self._guessed
                else ""
            )
            raise RefusedError(
                f"there is no bucket {name}",
                f"Set firebase.storage_bucket to the name in the Firebase console, Storage, without gs://.{newer}",
                status=404,
            ) from error


def _exists(handle: Any, forbidden: type[Exception]) -> bool:
    try:
        return bool(handle.exists(timeout=_times(), retry=None))
    except forbidden:
        # An account that may read objects only: the bucket it was told to keep out of is there.
        return True


def _times() -> tuple[float, float]:
    return (_CONNECT_S, TIMEOUT_S)
