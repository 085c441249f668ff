"""A disk that is full: files cannot grow and a SQLite database cannot commit, with the errors that Linux gives."""

from __future__ import annotations

import builtins
import errno
import io
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, event

_open = io.open


class FullDisk:
    """Whether the disk is full; an empty one changes nothing.

    Args:
        spared: a folder on another disk.
    """

    def __init__(self, spared: Path) -> None:
        self.full = False
        self._spared = spared

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let all files that this process writes lie on this disk."""

        def connect(dialect: Any, _record: object, args: Any, options: dict[str, Any]) -> Any:
            if dialect.name != "sqlite":
                return None
            return sqlite3.connect(*args, **options, factory=_connection_on(self))

        event.listen(Engine, "do_connect", connect)
        try:
            with patch.object(builtins, "open", self._opened), patch.object(io, "open", self._opened):
                yield
        finally:
            event.remove(Engine, "do_connect", connect)

    def _opened(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        writes = bool(set(mode) & set("wxa+"))
        if not (self.full and writes and isinstance(file, str | Path)) or self._is_elsewhere(Path(file)):
            return _open(file, mode, *args, **options)
        raw = _FullFile(file, mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding=options.get("encoding"))

    def _is_elsewhere(self, path: Path) -> bool:
        # A lock is a file of no length.
        return path.suffix == ".lock" or str(path) == "/dev/null" or path.is_relative_to(self._spared)


class _FullFile(io.FileIO):
    def write(self, _data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self.name))

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")  # so that nothing writes past `write`


def _connection_on(disk: FullDisk) -> type[sqlite3.Connection]:
    class FullConnection(sqlite3.Connection):
        _committed = 0

        def commit(self) -> None:
            if disk.full and self.total_changes != self._committed:
                super().rollback()
                self._committed = self.total_changes
                raise sqlite3.OperationalError("database or disk is full")
            super().commit()
            self._committed = self.total_changes

    return FullConnection
