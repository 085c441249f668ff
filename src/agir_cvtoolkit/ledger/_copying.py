"""A ledger copied as it is at one moment: into a file, or into another database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, create_engine, delete, func, insert, inspect, select

from agir_cvtoolkit.runs import atomic_path

from . import _tables as t
from ._opening import Place

_ROWS_AT_ONCE = 1000


def backup(file: Path, target: Path) -> None:
    """Copy a live SQLite file consistently, through SQLite's own backup."""
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as destination:
        source.backup(destination)


def copy_to_file(place: Place, target: Path) -> None:
    """Write a ledger into a new SQLite file, which is a ledger of the same version.

    Args:
        place: of the ledger, found to be read.
        target: of the file; what is there is overwritten.
    """
    # Several processes may migrate at once, and copy before.
    with atomic_path(target) as temporary:
        if place.file is not None:
            backup(place.file, temporary)
            return
        engine = create_engine(f"sqlite:///{temporary}")
        try:
            t.metadata.create_all(engine)
            with place.engine.begin() as source, engine.begin() as destination:
                copy_rows(source, destination)
        finally:
            engine.dispose()


def keep_copy(url: str | None, out_root: Path, migration: str) -> None:
    """Copy a ledger beside itself, one on a server beside the runs, before a migration changes it."""
    place = Place.find(url, out_root, to_read=True)
    try:
        copy_to_file(place, place.copies.with_name(f"{place.copies.name}.before-{migration}.bak"))
    finally:
        place.engine.dispose()


def is_empty(engine: Engine) -> bool:
    """Whether nothing was recorded yet in a ledger of this version."""
    with engine.begin() as connection:
        tables = [table for table in t.metadata.sorted_tables if table is not t.migrations]
        return not any(connection.execute(select(table).limit(1)).first() for table in tables)


def copy_rows(source: Connection, target: Connection) -> int:
    """Copy all rows of a ledger into the empty tables of another.

    Args:
        source: of any earlier version too; columns that it lacks stay empty.
        target: with the tables of this version; its list of migrations is replaced.

    Returns:
        The number of rows.
    """
    target.execute(delete(t.migrations))
    there = inspect(source)
    names = set(there.get_table_names())
    copied = 0
    for table in t.metadata.sorted_tables:
        if table.name in names:
            columns = {str(column["name"]) for column in there.get_columns(table.name)}
            copied += _copy_table(source, target, table, columns)
    return copied


def _copy_table(source: Connection, target: Connection, table: Table, there: set[str]) -> int:
    columns = [column for column in table.columns if column.name in there]
    copied = 0
    result = source.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(*columns))
    for rows in result.mappings().partitions(_ROWS_AT_ONCE):
        target.execute(insert(table), [dict(row) for row in rows])
        copied += len(rows)
    if copied and target.dialect.name == "postgresql" and "id" in table.columns:
        # The rows brought their numbers along; the next one begins above them.
        sequence = func.pg_get_serial_sequence(table.name, "id")
        target.execute(select(func.setval(sequence, select(func.max(table.c.id)).scalar_subquery())))
    return copied
