"""Where a ledger lies, and a connection to it."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from agir_cvtoolkit.errors import ConfigError, LedgerError, MissingExtraError

from . import _postgres
from ._failures import failed

_PATIENCE_S = 30
_EXAMPLES = "For example: sqlite:///outputs/ledger.db or postgresql://user@host/database"


@dataclass(frozen=True, eq=False)
class Place:
    """A database that may hold a ledger; nothing is made or opened yet.

    Attributes:
        file: of a SQLite ledger; None in memory and on a server.
        name: for people, without a password.
        copies: the name of its file without an ending, or what a file beside the runs would be called; copies made
            before a migration lie there.
    """

    engine: Engine
    file: Path | None
    name: str
    copies: Path

    @classmethod
    def find(cls, url: str | None, out_root: Path, *, to_read: bool = False) -> Place:
        """Find the place that a URL names.

        Args:
            url: of a database, in SQLAlchemy's form; None is the SQLite file ``ledger.db`` beside `out_root`.
            out_root: the folder of all runs.
            to_read: nothing will be changed, so that nobody who writes has to be waited for.

        Raises:
            ConfigError: the URL cannot be understood, or names a database that holds no ledgers.
            MissingExtraError: PostgreSQL without the library for it.
        """
        usual = out_root.parent / "ledger.db"
        try:
            parsed = make_url(url if url is not None else f"sqlite:///{usual}")
            backend = parsed.get_backend_name()
            if backend == "sqlite":
                return cls._in_sqlite(parsed, usual, to_read=to_read)
            if backend not in {"postgresql", "postgres"}:
                raise ConfigError(
                    f"io.ledger_url names a database of the kind {backend}, which holds no ledgers", _EXAMPLES
                )
            engine = _postgres.engine_of(parsed, to_read=to_read)
        except (ArgumentError, ValueError) as error:
            raise ConfigError("io.ledger_url cannot be understood", _EXAMPLES) from error
        except ImportError as error:
            raise MissingExtraError("a ledger on PostgreSQL (io.ledger_url)", "postgres") from error
        return cls(engine, None, _named(parsed), usual)

    @classmethod
    def _in_sqlite(cls, url: URL, usual: Path, *, to_read: bool) -> Place:
        engine = create_engine(url)
        event.listen(engine, "connect", _sqlite_pragmas)
        event.listen(engine, "begin", _look if to_read else _take_the_pen)
        event.listen(engine, "close", _end_before_closing)
        in_memory = url.database in {None, "", ":memory:"}
        file = None if in_memory else Path(str(url.database))
        return cls(engine, file, str(file) if file else "in memory", file or usual)

    def make_folder(self) -> None:
        """Make the folder of a SQLite file.

        Raises:
            LedgerError: it cannot be made.
        """
        try:
            if self.file is not None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            hint = "Correct io.ledger_url or io.out_root."
            raise LedgerError(f"the ledger {self.file} cannot be made: {error.strerror}", hint) from error

    def is_taken(self) -> bool:
        """Whether a ledger is there; a SQLite file that is missing is not made by the question.

        Raises:
            LedgerError: the database cannot be reached.
        """
        if self.engine.dialect.name == "sqlite":
            return self.file is not None and self.file.exists()
        try:
            return inspect(self.engine).has_table("migrations")
        except SQLAlchemyError as error:
            raise failed(self.name, error) from error


def _named(url: URL) -> str:
    """Return an address as people know it: without driver, password and options."""
    return url.set(drivername="postgresql", password=None, query={}).render_as_string()


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, schema changes among them
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_PATIENCE_S * 1000}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    # Of several processes that open a new file at once, one changes its mode; SQLite lets none of the others wait.
    end = time.monotonic() + _PATIENCE_S
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] not in {"wal", "memory"}:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _end_before_closing(connection: Any, _record: object) -> None:
    # Ctrl-C within a statement makes SQLAlchemy close the connection at once. SQLite keeps it open, with its lock,
    # as long as anything still refers to that statement, such as the trace of the error.
    connection.rollback()


def _take_the_pen(connection: Any) -> None:
    # At once, not at the first change: what was read to decide on a change must not be overtaken by another
    # process.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _look(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")
