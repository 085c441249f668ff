"""Small pictures that were made once: a bounded folder of files named by what is in them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from agir_cvtoolkit.runs import write_bytes

_BETWEEN = 64
"""So many are written before the folder is measured again."""
_MOST_AT_ONCE = 2


class Thumbnails:
    """A cache that several threads use; what is looked at stays longest.

    Args:
        folder: made when something is put into it.
        most_bytes: beyond them the oldest go.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._written = 0
        self._lock = threading.Lock()
        self._rooms = threading.Semaphore(_MOST_AT_ONCE)

    def get(self, key: str, make: Callable[[], bytes | None]) -> bytes | None:
        """Return the file of a key, making it where it is missing.

        Args:
            key: hexadecimal digits.
            make: gives its content; None is not kept.
        """
        path = self._folder / key[:2] / f"{key}.jpg"
        try:
            content = path.read_bytes()
            path.touch()
        except OSError:
            pass
        else:
            return content
        with self._rooms:
            made = make()
        if made is not None:
            write_bytes(path, made)
            self._tidy()
        return made

    def _tidy(self) -> None:
        with self._lock:
            self._written += 1
            if self._written % _BETWEEN != 1:
                return
            found = []
            for path in self._folder.glob("*/*.jpg"):
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
            room = self._most - sum(size for _, size, _ in found)
            for _, size, path in sorted(found):
                if room >= 0:
                    break
                path.unlink(missing_ok=True)
                room += size
