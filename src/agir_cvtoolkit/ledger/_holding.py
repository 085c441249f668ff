"""Work that one process does at a time, on whatever machine: held through the ledger that they share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import SQLAlchemyError

from agir_cvtoolkit.errors import LedgerError, UsageError

from ._failures import failed
from ._part import LedgerPart

_HOLDER = """
    SELECT activity.application_name, activity.client_addr
    FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND (pg_locks.classid::bigint << 32) | pg_locks.objid::bigint = %s
"""


class Holding(LedgerPart):
    """Locks that all who share a ledger see."""

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Keep a piece of work from everybody else who uses this ledger, until the end of the block.

        On PostgreSQL by an advisory lock of a connection of its own, which ends with the process or its machine. Who
        shares a SQLite ledger shares the folder beside it, whose lock files hold already; nothing is done there.

        While it is held, no change is made to the ledger once the lock is lost (the server was started anew).

        Args:
            name: of the work.

        Raises:
            UsageError: another process holds it; it is named.
            LedgerError: the server cannot be reached.
        """
        if self._engine.dialect.name == "sqlite":
            yield
            return
        key = _key(name)
        try:
            connection = self._engine.raw_connection()
        except SQLAlchemyError as error:
            raise failed(self._where, error) from error
        try:
            _no_transactions(connection)
            if not _ask(connection, "SELECT pg_try_advisory_lock(%s)", key)[0]:
                raise UsageError(
                    f"{name} is held by {_holder(connection, key)}",
                    "Wait until it has ended, then run it again.",
                )

            def still_held() -> None:
                self._ensure(connection, name)

            self._before_changes.append(still_held)
            try:
                yield
            finally:
                self._before_changes.remove(still_held)
        finally:
            connection.invalidate()

    def _ensure(self, connection: PoolProxiedConnection, name: str) -> None:
        try:
            _ask(connection, "SELECT %s", 1)
        except self._engine.dialect.dbapi.Error as error:  # type: ignore[union-attr]  # an engine has a driver
            raise LedgerError(
                f"the connection to the ledger {self._where} that kept others from {name} is lost",
                "Run the same command again: it goes on where it stopped.",
            ) from error


def _no_transactions(connection: PoolProxiedConnection) -> None:
    connection.driver_connection.autocommit = True  # type: ignore[union-attr]  # it is open


def _key(name: str) -> int:
    """Return the number of a lock: 64 bits with a sign."""
    digest = hashlib.sha256(f"agir-cvtoolkit\x00{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _ask(connection: PoolProxiedConnection, statement: str, value: int) -> tuple[object, ...]:
    cursor = connection.cursor()
    try:
        cursor.execute(statement, (value,))
        return tuple(cursor.fetchone() or ("another process", None))
    finally:
        cursor.close()


def _holder(connection: PoolProxiedConnection, key: int) -> str:
    name, address = _ask(connection, _HOLDER, key)
    return f"{name or 'another process'}" + (f" ({address})" if address else "")
