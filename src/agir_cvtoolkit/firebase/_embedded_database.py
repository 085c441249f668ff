"""The SQLite database of the embedded store: documents as JSON, with columns for what is asked for."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import DatabaseError, ServerUnreachableError

from ._values import written_time

_PATIENCE_S = 30.0
STRAY = """(status IS NULL OR status NOT IN ('pending', 'in_progress', 'completed', 'failed')
 OR (status = 'pending' AND (priority IS NULL OR taken IS NULL))
 OR (status IN ('pending', 'in_progress') AND until IS NULL AND instr(document, '"claimedUntil"')))"""
"""A capture that no queue would offer as it is; word for word in an index, so that none of the others is looked at."""
_TABLES = f"""
CREATE TABLE IF NOT EXISTS captures (
  id TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL, made REAL NOT NULL,
  status TEXT, priority REAL, taken TEXT, device TEXT, until REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS captures_queue ON captures (status, priority DESC, taken, id);
CREATE INDEX IF NOT EXISTS captures_leases ON captures (until) WHERE until IS NOT NULL;
DROP INDEX IF EXISTS captures_strays;
CREATE INDEX IF NOT EXISTS captures_odd ON captures (id) WHERE {STRAY};
CREATE TABLE IF NOT EXISTS labeled (
  id TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL,
  capture TEXT NOT NULL, trigger_id TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS labeled_captures ON labeled (capture);
CREATE INDEX IF NOT EXISTS labeled_triggers ON labeled (trigger_id);
CREATE TABLE IF NOT EXISTS triggers (
  id TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL,
  status TEXT NOT NULL, made TEXT NOT NULL, until REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS triggers_queue ON triggers (status, made);
CREATE TABLE IF NOT EXISTS models (
  id TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT NOT NULL,
  current INTEGER NOT NULL, made TEXT NOT NULL) WITHOUT ROWID;
"""


class Database:
    """One database file, one connection for each thread and process that uses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._all: weakref.WeakSet[_Connection] = weakref.WeakSet()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(
                f"the folder {path.parent} cannot be made: {error.strerror}",
                "Set firebase.embedded_dir to a folder that may be written to.",
            ) from error
        with self.write() as connection:
            for statement in _TABLES.split(";"):
                connection.execute(statement)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read from; all within the block see one state.

        Raises:
            DatabaseError: the file is no database or is damaged.
            ServerUnreachableError: another held it for too long.
        """
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to write to; nobody else writes meanwhile, and an error undoes the block.

        Raises:
            DatabaseError: the file is no database, is damaged, or the disk is full.
            ServerUnreachableError: another held it for too long.
        """
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        for connection in list(self._all):
            with suppress(sqlite3.Error):
                connection.close()
        self._local = threading.local()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connection()
            connection.execute(begin)
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise ServerUnreachableError(
                    f"the store {self._path} is held by another process", "Try again when it has finished."
                ) from error
            raise self._damaged(error) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: sqlite3.Error) -> DatabaseError:
        return DatabaseError(
            f"the store {self._path} cannot be used: {error}",
            "See that the disk is not full and the folder may be written to; else move the file away.",
        )

    def _connection(self) -> sqlite3.Connection:
        # A connection must not cross a fork: SQLite's locks belong to the process that opened it.
        if getattr(self._local, "process", None) != os.getpid():
            connection = sqlite3.connect(
                self._path,
                timeout=_PATIENCE_S,
                isolation_level=None,
                check_same_thread=False,
                factory=_Connection,
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._local.connection, self._local.process = connection, os.getpid()
            self._all.add(connection)
        found: sqlite3.Connection = self._local.connection
        return found


class _Connection(sqlite3.Connection):
    """A connection that closes itself when its thread is gone."""

    def __del__(self) -> None:
        with suppress(sqlite3.Error):
            self.close()


def encode(document: dict[str, Any]) -> str:
    """Return a document as JSON."""
    return json.dumps(document, ensure_ascii=True, default=_as_text)


def decode(content: str) -> dict[str, Any]:
    """Return a document from JSON."""
    found = json.loads(content)
    return found if isinstance(found, dict) else {}


def _as_text(value: object) -> str:
    return written_time(value) if isinstance(value, datetime) else str(value)
