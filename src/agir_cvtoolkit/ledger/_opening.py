"""Where a ledger lies, and a connection to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from agir_cvtoolkit.errors import ConfigError, LedgerError


@dataclass(frozen=True, eq=False)
class Place:
    """A database that may hold a ledger; nothing is made or opened yet.

    Attributes:
        file: of a SQLite ledger; None in memory and on a server.
        name: for people, without a password.
    """

    engine: Engine
    file: Path | None
    name: str

    @classmethod
    def find(cls, url: str | None, out_root: Path, *, to_read: bool = False) -> Place:
        """Find the place that a URL names.

        Args:
            url: of a database, in SQLAlchemy's form; None is the SQLite file ``ledger.db`` beside `out_root`.
            out_root: the folder of all runs.
            to_read: nothing will be changed, so that nobody who writes has to be waited for.

        Raises:
            ConfigError: the URL cannot be understood.
        """
        file = out_root.parent / "ledger.db" if url is None else None
        try:
            parsed = make_url(url if url is not None else f"sqlite:///{file}")
            is_sqlite = parsed.get_backend_name() == "sqlite"
            if is_sqlite and parsed.database not in {None, "", ":memory:"}:
                file = Path(str(parsed.database))
            engine = create_engine(parsed)
        except (ArgumentError, ValueError) as error:
            hint = "For example: sqlite:///outputs/ledger.db"
            raise ConfigError("io.ledger_url cannot be understood", hint) from error
        except ImportError as error:
            hint = f"Install it with: pip install {error.name}"
            raise ConfigError(f"io.ledger_url needs {error.name}, which is not installed", hint) from error
        if is_sqlite:
            event.listen(engine, "connect", _sqlite_pragmas)
            event.listen(engine, "begin", _look if to_read else _take_the_pen)
        return cls(engine, file, str(file) if file else parsed.render_as_string(hide_password=True))

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


def failed(where: str, error: SQLAlchemyError) -> LedgerError:
    """Return the error that names a ledger and what is wrong with it."""
    reason = str(error.orig) if isinstance(error, DBAPIError) and error.orig else type(error).__name__
    if "disk is full" in reason:
        return LedgerError(
            f"the ledger {where} cannot grow: {reason}", "Make room there, then run the same command again."
        )
    next_step = "Restore a backup or move the file away."
    if "locked" in reason:
        next_step = (
            "Another program writes to it; wait until that has ended, then run the same command again."
        )
    elif "readonly" in reason or "unable to open" in reason:
        next_step = "Check the permissions of the file and of its folder, and whether it is a file."
    return LedgerError(f"the ledger {where} cannot be used: {reason}", next_step)


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, schema changes among them
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _take_the_pen(connection: Any) -> None:
    # At once, not at the first change: what was read to decide on a change must not be overtaken by another
    # process.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _look(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")
