"""A ledger as a database: copied, moved to another one, and whether it is sound."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from agir_cvtoolkit.errors import LedgerError, UsageError

from . import _tables as t
from ._copying import copy_rows, copy_to_file, is_empty
from ._failures import failed
from ._findings import Finding
from ._ledger import Ledger
from ._migrations import is_current
from ._opening import Place

_MOST_NAMED = 100


def backup_ledger(url: str | None, out_root: Path, target: Path) -> None:
    """Copy a ledger, as it is at one moment, into a SQLite file, while others may write to it; it is not migrated.

    The file is a ledger itself: name it in io.ledger_url, or copy it back with `copy_ledger`.

    Raises:
        ConfigError: the URL cannot be understood.
        UsageError: there is no ledger, or the target is there.
        LedgerError: it cannot be read or the copy cannot be written.
    """
    place = _taken(url, out_root)
    if target.exists():
        raise UsageError(f"{target} is there already", "Name another file.")
    part = target.with_name(f".{target.name}.part")
    try:
        copy_to_file(place, part)
        with closing(sqlite3.connect(part)) as connection:
            # Without a log beside it the copy is one file.
            connection.execute("PRAGMA journal_mode=DELETE")
        problems = _integrity(part)
        if problems:
            raise LedgerError(
                f"the ledger {place.name} is damaged: {problems[0]}", "See: agir-cvtoolkit ledger check"
            )
        part.replace(target)
    except SQLAlchemyError as error:
        raise failed(place.name, error) from error
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"{place.name} cannot be copied to {target}: {error}", "Check the disk.") from error
    finally:
        place.engine.dispose()
        for end in ("", "-wal", "-shm"):
            part.with_name(part.name + end).unlink(missing_ok=True)


def copy_ledger(url: str | None, out_root: Path, target_url: str) -> int:
    """Copy a ledger into an empty one elsewhere, whole or not at all.

    Args:
        url: of the ledger; one of an earlier version is migrated first.
        out_root: the folder of all runs.
        target_url: of another database; its tables are made where there are none.

    Returns:
        The number of rows.

    Raises:
        ConfigError: a URL cannot be understood.
        UsageError: there is no ledger, or the target has rows already.
        LedgerError: one of them cannot be used.
    """
    _taken(url, out_root).engine.dispose()
    with Ledger.open_to_read(url, out_root), Ledger.open(target_url, out_root):
        source = Place.find(url, out_root, to_read=True)
        target = Place.find(target_url, out_root)
    try:
        if not is_empty(target.engine):
            raise UsageError(f"the ledger {target.name} has rows already", "Name an empty database.")
        with source.engine.begin() as reading, target.engine.begin() as writing:
            return copy_rows(reading, writing)
    except SQLAlchemyError as error:
        raise failed(f"{source.name} or {target.name}", error) from error
    finally:
        source.engine.dispose()
        target.engine.dispose()


def check_database(url: str | None, out_root: Path) -> list[Finding]:
    """Let SQLite check its file, every page and every reference; look for missing tables and columns in any database.

    Raises:
        ConfigError: the URL cannot be understood.
        LedgerError: the server cannot be reached.
    """
    place = Place.find(url, out_root, to_read=True)
    try:
        if not place.is_taken():
            return []
        restore = "Move it away and copy a backup in its place."
        if place.file is not None:
            try:
                problems = _integrity(place.file)
            except sqlite3.Error as error:
                problems = [f"cannot be read: {error}"]
            if problems:
                return [Finding(place.name, problem, restore) for problem in problems]
        return [Finding(place.name, problem, restore) for problem in _missing_parts(place.engine)]
    except SQLAlchemyError as error:
        raise failed(place.name, error) from error
    finally:
        place.engine.dispose()


def describe_database(url: str | None, out_root: Path) -> str:
    """Return in words which database a URL names, and of which version it is; nothing is made there.

    Raises:
        ConfigError: the URL cannot be understood.
        LedgerError: the server cannot be reached.
    """
    place = Place.find(url, out_root, to_read=True)
    if place.engine.dialect.name == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}, {place.name}"
    try:
        with place.engine.connect() as connection:
            version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
    except SQLAlchemyError as error:
        raise failed(place.name, error) from error
    finally:
        place.engine.dispose()
    return f"PostgreSQL {version}, {place.name}"


def _taken(url: str | None, out_root: Path) -> Place:
    place = Place.find(url, out_root, to_read=True)
    if place.is_taken():
        return place
    place.engine.dispose()
    raise UsageError(f"there is no ledger {place.name}", "Nothing was predicted, pushed or pulled here yet.")


def _missing_parts(engine: Engine) -> list[str]:
    """Return the tables and columns that a ledger of this version lacks; an earlier one may lack some."""
    if not is_current(engine):
        return []
    with engine.connect() as connection:
        there = inspect(connection)
        tables = set(there.get_table_names())
        found = []
        for table in t.metadata.sorted_tables:
            if table.name not in tables:
                found.append(f"has no table {table.name}")
                continue
            columns = {str(column["name"]) for column in there.get_columns(table.name)}
            found += [
                f"its table {table.name} has no column {column.name}"
                for column in table.columns
                if column.name not in columns
            ]
    return found


def _integrity(file: Path) -> list[str]:
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(f"PRAGMA integrity_check({_MOST_NAMED})").fetchall()
        problems = [str(row[0]) for row in rows if row[0] != "ok"]
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_NAMED):
            problems.append(f"row {row} of table {table} refers to nothing in {parent}")
    return problems
