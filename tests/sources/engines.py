"""The same table in each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .tables import ROWS, SEMIF, make_database

KINDS = ("sqlite", "postgresql", "duckdb", "parquet", "csv")
"""A folder of pictures, the sixth kind, has columns of its own."""

Rows = Sequence[Sequence[object]]

_TYPES = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION"}


def make_table(
    kind: str, folder: Path, new_schema: Callable[[], str], columns: str = SEMIF, rows: Rows = ROWS
) -> str:
    """Make the table ``semif`` and return its address.

    Args:
        kind: of database.
        folder: for files.
        new_schema: makes one in PostgreSQL.
        columns: in SQLite's words: name and type of each.
        rows: of the table.
    """
    if kind == "sqlite":
        return str(make_database(folder / "semif.db", columns=columns, rows=rows))
    declared = [part.split() for part in columns.split(",")]
    typed = ", ".join(f"{name} {_TYPES.get(type_, type_)}" for name, type_ in declared)
    if kind == "postgresql":
        address = new_schema()
        _fill_postgres(address, typed, rows)
        return address
    return _with_duckdb(kind, folder, typed, rows)


def _fill_postgres(address: str, typed: str, rows: Rows) -> None:
    import psycopg

    with psycopg.connect(address) as connection:
        connection.execute(f"CREATE TABLE semif ({typed})".encode())
        with connection.cursor() as cursor, cursor.copy(b"COPY semif FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def _with_duckdb(kind: str, folder: Path, typed: str, rows: Rows) -> str:
    import duckdb

    path = folder / f"semif.{kind}"
    connection: Any = duckdb.connect(str(path) if kind == "duckdb" else ":memory:")
    try:
        connection.execute(f"CREATE TABLE semif ({typed})")
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO semif VALUES ({marks})", [list(row) for row in rows])
        if kind != "duckdb":
            options = "" if kind == "parquet" else " (HEADER, FORCE_QUOTE *)"
            connection.execute(f"COPY semif TO '{path}'{options}")
    finally:
        connection.close()
    return str(path)
