"""Migrations: applied once, in order, each named in a table; the file is backed up before any is applied."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, inspect, select
from sqlalchemy.schema import CreateColumn

from agir_cvtoolkit.errors import LedgerError

from . import _tables

Migration = Callable[[Connection], None]


def _m001_first_tables(connection: Connection) -> None:
    _tables.metadata.create_all(connection)


def _m002_what_was_left_and_what_came_back(connection: Connection) -> None:
    _tables.metadata.create_all(connection)
    _add_columns(connection, _tables.push_shapes, "geometry")
    _add_columns(connection, _tables.pulls, "assignee", "type")


def _m003_what_was_changed(connection: Connection) -> None:
    _add_columns(connection, _tables.corrections, "changed")


def _m004_models_of_two_kinds(connection: Connection) -> None:
    _tables.metadata.create_all(connection)
    _add_columns(connection, _tables.models, "kind", "metrics", "test_set")


def _add_columns(connection: Connection, table: Table, *names: str) -> None:
    """Add columns that a table of an earlier version lacks; a new ledger has them from its first migration."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for name in names:
        if name not in there:
            column = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column}")


MIGRATIONS: tuple[tuple[str, Migration], ...] = (
    ("001_first_tables", _m001_first_tables),
    ("002_what_was_left_and_what_came_back", _m002_what_was_left_and_what_came_back),
    ("003_what_was_changed", _m003_what_was_changed),
    ("004_models_of_two_kinds", _m004_models_of_two_kinds),
)


def is_current(engine: Engine) -> bool:
    """Whether a ledger has the migrations of this version and no others."""
    with engine.connect() as connection:
        return set(_applied(connection)) == {name for name, _ in MIGRATIONS}


def migrate(engine: Engine, file: Path | None) -> tuple[str, ...]:
    """Bring a ledger to this version.

    Args:
        engine: of the ledger.
        file: of a SQLite ledger, backed up beside itself before it is changed.

    Returns:
        The names of the migrations that were applied.

    Raises:
        LedgerError: a newer version of this package wrote it.
    """
    with engine.connect() as connection:
        applied = _applied(connection)
    known = [name for name, _ in MIGRATIONS]
    newer = sorted(set(applied) - set(known))
    if newer:
        raise LedgerError(
            f"the ledger was written by a newer version ({', '.join(newer)})", "Upgrade agir-cvtoolkit."
        )
    missing = [(name, step) for name, step in MIGRATIONS if name not in applied]
    if not missing:
        return ()
    if applied and file is not None and file.is_file():
        backup(file, file.with_name(f"{file.name}.before-{missing[0][0]}.bak"))
    for name, step in missing:
        with engine.begin() as connection:
            if name in _applied(connection):  # by another process, since the first look
                continue
            step(connection)
            now = datetime.now(UTC).isoformat()
            connection.execute(_tables.migrations.insert().values(name=name, applied=now))
    return tuple(name for name, _ in missing)


def backup(file: Path, target: Path) -> None:
    """Copy a live SQLite file consistently, through SQLite's own backup."""
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as destination:
        source.backup(destination)


def _applied(connection: Connection) -> list[str]:
    if not inspect(connection).has_table("migrations"):
        return []
    return list(connection.execute(select(_tables.migrations.c.name)).scalars())
