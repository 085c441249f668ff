"""Embeddings on disk, by what they are of: a picture is embedded once, whatever run it comes in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.runs import waiting_lock

_KEY_BYTES = 32
_ROWS, _KEYS, _LOCK = "rows.f16", "keys.bin", "lock"


class EmbeddingStore:
    """A growing table of embeddings of one model: float16 rows, each under a key.

    Rows are appended under a lock, and their keys behind them: of an append that was cut off nothing is seen, and the
    next one begins at what is whole.
    """

    def __init__(self, folder: Path, dimensions: int) -> None:
        """Open the table, which need not be there.

        Args:
            folder: of this model and version alone.
            dimensions: of a row.
        """
        self._folder = folder
        self._dimensions = dimensions
        self._row_bytes = 2 * dimensions
        self._places: dict[bytes, int] = {}
        self._read = 0

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Return the places of the keys that have no row."""
        known = self._known()
        return [place for place, key in enumerate(keys) if _digest(key) not in known]

    def rows(self, keys: Sequence[str]) -> NDArray[np.float16]:
        """Return the rows of keys, float16 of shape (keys, dimensions).

        Raises:
            KeyError: one of them has none.
        """
        known = self._known()
        wanted = np.array([known[_digest(key)] for key in keys], dtype=np.int64)
        if not len(wanted):
            return np.zeros((0, self._dimensions), dtype=np.float16)
        table = np.memmap(self._folder / _ROWS, np.float16, "r", shape=(self._read, self._dimensions))
        return np.asarray(table[wanted])

    def append(self, keys: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Add rows; a key that another process has added meanwhile keeps its row.

        Args:
            keys: of the rows.
            rows: of shape (keys, dimensions).

        Raises:
            OSError: the disk is full.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with waiting_lock(self._folder / _LOCK):
            known = self._known()
            count = self._whole()
            new = [place for place, key in enumerate(keys) if _digest(key) not in known]
            _write(self._folder / _ROWS, count * self._row_bytes, rows[new].astype(np.float16).tobytes())
            _write(self._folder / _KEYS, count * _KEY_BYTES, b"".join(_digest(keys[place]) for place in new))

    def _whole(self) -> int:
        """Return how many rows are there with their keys."""
        sizes = [
            (self._folder / name).stat().st_size if (self._folder / name).exists() else 0
            for name in (_ROWS, _KEYS)
        ]
        return min(sizes[0] // self._row_bytes, sizes[1] // _KEY_BYTES)

    def _known(self) -> dict[bytes, int]:
        count = self._whole()
        if count > self._read:
            with (self._folder / _KEYS).open("rb") as stream:
                stream.seek(self._read * _KEY_BYTES)
                keys = stream.read((count - self._read) * _KEY_BYTES)
            for place in range(count - self._read):
                own = keys[place * _KEY_BYTES : (place + 1) * _KEY_BYTES]
                self._places.setdefault(own, self._read + place)
            self._read = count
        return self._places


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _write(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b" if path.exists() else "w+b") as stream:
        stream.truncate(at)
        stream.seek(at)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
