"""SQLite databases, opened so that nothing in or beside them can change."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from agir_cvtoolkit.errors import DatabaseError, QueryError

from .dates import DateStyle, looks_like_date, style_of
from .sampling import draw_key
from .table import Kind, Source, kind_of

log = logging.getLogger(__name__)

DRAW_KEY = "agir_draw_key"
"""SQL name of `sampling.draw_key`."""

_WAIT_S = 5.0
_HEADER = b"SQLite format 3\x00"
_TOO_COMPLEX = (
    "expression tree",
    "too many sql variables",
    "parser stack",
    "pattern too complex",
    "too many terms",
)
_BUILD = 'Make one from pictures with "agir-cvtoolkit build-db".'


class Database:
    """A database for reading; a context manager.

    Raises:
        DatabaseError: no such file, no database, locked or damaged.
    """

    def __init__(self, path: Path, setting: str = "db.semif.db_path") -> None:
        self.path = path
        self._engine = sa.create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
        _check_file(path, setting)
        with self.reading():
            self.connection = self._engine.connect()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what the driver raises inside the block into this package's errors."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            raise _explained(self.path, error) from error

    def tables(self) -> list[str]:
        """Return the names of all tables and views."""
        query = sa.text(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
        )
        with self.reading():
            return [str(name) for name in self.connection.execute(query).scalars()]

    def source(self, table: str, id_columns: tuple[str, ...], setting: str = "db.semif.table") -> Source:
        """Return a table for querying.

        Args:
            table: its name.
            id_columns: the first of them that the table has is the key of a row.
            setting: the key of the configuration that names the table, for messages.

        Raises:
            DatabaseError: there is no such table, or it has none of the id columns.
        """
        kinds = self._kinds(table)
        if not kinds:
            there = ", ".join(self.tables()) or "none"
            raise DatabaseError(f"{self.path} has no table '{table}'; its tables: {there}", f"Set {setting}.")
        key = next((name for name in id_columns if name in kinds), None)
        if key is None:
            raise DatabaseError(
                f"table '{table}' of {self.path} has no id column ({' or '.join(dict.fromkeys(id_columns))})",
                f"Set data.{setting.split('.')[1]}.cutout_id_column to one of: {', '.join(kinds)}.",
            )
        return Source(
            table,
            kinds,
            key,
            date_style=cache(lambda name: self._date_style(table, name)),
            holds_text=cache(lambda name: self._holds_text(table, name)),
        )

    def _kinds(self, table: str) -> dict[str, Kind]:
        with self.reading():
            rows = self.connection.execute(
                sa.text("SELECT name, type FROM pragma_table_info(:table)"), {"table": table}
            ).all()
        return {str(name): kind_of(str(declared)) for name, declared in rows}

    def _date_style(self, table: str, name: str) -> DateStyle | None:
        column: sa.ColumnClause[str] = sa.column(name)
        query = (
            sa.select(column).select_from(sa.table(table)).where(sa.func.typeof(column) == sa.literal("text"))
        )
        with self.reading():
            values = self.connection.execute(query.limit(200)).scalars().all()
        return next((style for value in values if (style := _style(value)) is not None), None)

    def _holds_text(self, table: str, name: str) -> bool:
        column: sa.ColumnClause[str] = sa.column(name)
        query = sa.select(sa.literal(1)).select_from(sa.table(table))
        query = query.where(sa.func.typeof(column) == sa.literal("text"))
        with self.reading():
            return self.connection.execute(query.limit(1)).first() is not None


def _style(value: object) -> DateStyle | None:
    return style_of(value) if isinstance(value, str) and looks_like_date(value[:10]) else None


def _check_file(path: Path, setting: str) -> None:
    if not path.exists():
        raise DatabaseError(f"database {path} does not exist", f"Set {setting}. {_BUILD}")
    if not path.is_file():
        raise DatabaseError(f"{path} is a folder, not a database", f"Set {setting} to the file.")
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise DatabaseError(
            f"database {path} cannot be read: {error.strerror}", "Check its permissions."
        ) from error
    if start not in {b"", _HEADER}:
        raise DatabaseError(f"{path} is not an SQLite database", f"Set {setting}.")


def _connect(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    if _is_at_rest(path):
        connection = _opened(address + "&immutable=1")
    else:
        try:
            connection = _opened(address)
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise
            log.warning("%s can only be read without looking for other writers: %s", path, error)
            connection = _opened(address + "&immutable=1")
    connection.text_factory = _decoded
    connection.create_function(DRAW_KEY, 2, draw_key, deterministic=True)
    return connection


def _opened(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=_WAIT_S, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _is_at_rest(path: Path) -> bool:
    """Whether this is a database in WAL mode that no one has open.

    Even a reader of such a database writes ``-wal`` and ``-shm`` files beside it, unless it is opened as
    immutable.
    """
    with path.open("rb") as stream:
        header = stream.read(20)
    if header[18:20] != b"\x02\x02":
        return False
    log_file = path.with_name(path.name + "-wal")
    return not log_file.exists() or log_file.stat().st_size == 0


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _explained(path: Path, error: Exception) -> DatabaseError | QueryError:
    reason = str(getattr(error, "orig", None) or error)
    lower = reason.lower()
    if any(part in lower for part in _TOO_COMPLEX):
        return QueryError(
            f"the filters are too complex for the database: {reason}", "Use lists: key in [a, b, c]."
        )
    if "locked" in lower or "busy" in lower:
        return DatabaseError(
            f"database {path} is locked by another program", "Wait until it is done, or copy the file."
        )
    if "not a database" in lower or "malformed" in lower or "encrypted" in lower:
        return DatabaseError(f"database {path} is damaged: {reason}", "Restore it from a backup.")
    return DatabaseError(f"database {path} cannot be read: {reason}", "Check the file and its permissions.")
