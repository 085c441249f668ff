"""Files as one multipart request body (RFC 7578), read from disk piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from agir_cvtoolkit.errors import PictureError

from .transport import SENT_PIECE_BYTES


@dataclass(frozen=True)
class FilePart:
    """One file of a multipart body."""

    field: str
    name: str
    path: Path


class MultipartBody:
    """A body whose memory does not grow with the files and whose length is known before it is sent.

    Args:
        fields: plain form fields, sent first.
        files: sent in this order.
        stop: once set, the body breaks off, so that an interrupted upload ends at once.

    Raises:
        PictureError: a file has vanished.
    """

    def __init__(
        self, fields: Mapping[str, str], files: Sequence[FilePart], stop: Event | None = None
    ) -> None:
        boundary = f"agir-{secrets.token_hex(16)}"
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._stop = stop
        self._went_out = False
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        self._head = head.encode()
        self._files = [(_part_head(boundary, part), part, _size(part)) for part in files]
        self._tail = f"--{boundary}--\r\n".encode()

    @property
    def length(self) -> int:
        """Number of bytes."""
        return len(self._head) + sum(len(head) + size + 2 for head, _, size in self._files) + len(self._tail)

    @property
    def went_out(self) -> bool:
        """Whether the last sending came to the end; before that no server can have taken any of the files."""
        return self._went_out

    def __iter__(self) -> Iterator[bytes]:
        self._went_out = False
        yield self._head
        for head, part, size in self._files:
            yield head
            yield from self._content(part, size)
            yield b"\r\n"
        yield self._tail
        self._went_out = True

    def _content(self, part: FilePart, size: int) -> Iterator[bytes]:
        left = size
        with part.path.open("rb") as stream:
            while left > 0:
                if self._stop is not None and self._stop.is_set():
                    raise InterruptedError("upload stopped")
                piece = stream.read(min(SENT_PIECE_BYTES, left))
                if not piece:
                    raise PictureError(f"picture {part.path} became shorter while it was sent", "Try again.")
                left -= len(piece)
                yield piece


def _part_head(boundary: str, part: FilePart) -> bytes:
    name = part.name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    return (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{part.field}"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode("utf-8", "surrogatepass")


def _size(part: FilePart) -> int:
    try:
        return part.path.stat().st_size
    except OSError as error:
        raise PictureError(
            f"picture {part.path} cannot be read: {error.strerror}", "Run the stage again."
        ) from error
