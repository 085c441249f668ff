"""SQLite databases, opened so that nothing in or beside them can change."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from agir_cvtoolkit.errors import DatabaseError, QueryError

from .database import Database, Table
from .dialects import TEXT_NUMBER, number_in
from .table import Kind, kind_of

log = logging.getLogger(__name__)

_WAIT_S = 5.0
_AT_ONCE = 1000
_KEEP = "agir_keep"
_HEADER = b"SQLite format 3\x00"
_TOO_COMPLEX = (
    "expression tree",
    "too many sql variables",
    "parser stack",
    "pattern too complex",
    "too many terms",
)
_BUILD = 'Make one from pictures with "agir-cvtoolkit build-db".'


class SqliteDatabase(Database):
    """A SQLite file.

    Raises:
        DatabaseError: no such file, no database, locked or damaged.
    """

    def __init__(self, path: Path, setting: str = "db.semif.db_path") -> None:
        self.path = path
        engine = sa.create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
        _check_file(path, setting)
        super().__init__(engine, str(path), setting)

    @property
    def address(self) -> str:
        """The file, from the root."""
        return str(self.path.resolve())

    @property
    def pictures_base(self) -> Path | None:
        """The folder of the file."""
        return self.path.resolve().parent

    def state(self, table: str) -> tuple[object, ...]:
        """Return size and time of the last change of the file."""
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns

    def stream(self, statement: sa.Select[Any]) -> Iterator[tuple[object, ...]]:
        """Yield the rows of a statement, holding a thousand at a time.

        They are the driver's own: a million of them are there sooner than as rows of SQLAlchemy.
        """
        with self.reading(), self.connection.execute(statement) as result:
            while rows := result.cursor.fetchmany(_AT_ONCE):
                yield from rows

    def sift(self, statement: sa.Select[Any], keep: Callable[..., bool]) -> Iterator[tuple[object, ...]]:
        """Yield the rows of which all values but the first are to be kept, and perhaps some twice.

        SQLite asks while it reads, so that a row which is not kept is never made.
        """
        raised: list[BaseException] = []

        def asked(*values: object) -> bool:
            try:
                return keep(*values)
            except BaseException as error:
                raised.append(error)
                raise

        driver: Any = self.connection.connection.driver_connection
        driver.create_function(_KEEP, -1, asked)
        try:
            yield from self.stream(statement.where(getattr(sa.func, _KEEP)(*statement.selected_columns[1:])))
        except DatabaseError:
            if raised:
                raise raised[0] from None
            # Text that is not UTF-8 cannot be given to a function.
            yield from super().sift(statement, keep)

    def tables(self) -> list[str]:
        """Return the names of all tables and views."""
        query = sa.text(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
        )
        with self.reading():
            return [str(name) for name in self.connection.execute(query).scalars()]

    def _table(self, name: str) -> Table:
        with self.reading():
            rows = self.connection.execute(
                sa.text("SELECT name, type FROM pragma_table_info(:table)"), {"table": name}
            ).all()
        kinds = {str(column): kind_of(str(declared)) for column, declared in rows}
        relation = sa.table(name, *(sa.column(column) for column in kinds))
        return Table(kinds, relation, self._address(name, kinds) if kinds else None)

    def _address(self, table: str, kinds: Mapping[str, Kind]) -> str | None:
        """Return a name of the hidden row number, None for a view and a table that has none."""
        taken = {name.lower() for name in kinds}
        free = next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)
        if free is None:
            return None
        # Some builds of SQLite give a view's rows numbers that mean nothing.
        of_table = sa.text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name COLLATE NOCASE")
        column: sa.ColumnClause[int] = sa.column(free)
        try:
            if self.connection.execute(of_table, {"name": table}).first() is None:
                return None
            self.connection.execute(sa.select(column).select_from(sa.table(table)).limit(1)).first()
        except DBAPIError:
            return None
        return free

    def _is_text(self, column: sa.ColumnElement[Any], kind: Kind) -> sa.ColumnElement[bool]:
        return sa.func.typeof(column) == sa.literal("text")

    def _explained(self, error: Exception) -> DatabaseError | QueryError:
        return _explained(self.path, error)


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
    connection.create_function(TEXT_NUMBER, 1, number_in, deterministic=True)
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
