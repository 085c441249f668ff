"""A database made from rows: column types inferred, moved to its place when complete."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from agir_cvtoolkit.errors import DatabaseError, UsageError
from agir_cvtoolkit.runs import atomic_path

MARK = "agir_build"
"""Table that says that a database was built here, and from what."""

_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})", re.ASCII)
_REAL = re.compile(r"[+-]?(?:0|[1-9]\d*)?(?:\.\d*)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_ALWAYS_TEXT = frozenset({"cutout_id", "image_id", "batch_id", "season", "state", "datetime"})
_SIDECARS = ("-wal", "-shm", "-journal")

TextRow = Mapping[str, str | None]


def check_replaceable(path: Path, *, force: bool) -> None:
    """Make sure that a database may be written to a path.

    Raises:
        UsageError: something else is there, and `force` is not given; or it is a folder.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "Name the database file, for example semif.db.")
    if path.exists() and not force and built_from(path) is None:
        raise UsageError(
            f"{path} is there and was not made by build-db",
            "Choose another path, or replace it with --force.",
        )


def built_from(path: Path) -> Path | None:
    """Return the folder that a database was built from; None where it was not built here."""
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as connection:
            found = connection.execute("SELECT value FROM agir_build WHERE key = 'pictures_root'").fetchone()
    except sqlite3.Error:
        return None
    return Path(str(found[0])) if found else None


def write_database(
    path: Path, table: str, key: str, columns: Sequence[str], rows: Sequence[TextRow], pictures_root: Path
) -> dict[str, str]:
    """Write rows as the one table of a new database, in place of one that is there.

    Args:
        path: of the database.
        table: name of the table.
        key: the column whose values are all different.
        columns: in order.
        rows: texts; None is a missing value.
        pictures_root: the folder at which the paths in the rows start.

    Returns:
        The type of each column: ``INTEGER``, ``REAL`` or ``TEXT``.

    Raises:
        DatabaseError: it cannot be written.
    """
    types = {name: _type_of(name, [row.get(name) for row in rows]) for name in columns}
    try:
        with atomic_path(path) as temporary:
            _write(temporary, table, key, types, rows, pictures_root)
            for ending in _SIDECARS:
                path.with_name(path.name + ending).unlink(missing_ok=True)
    except (sa.exc.DBAPIError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"database {path} cannot be written: {reason}", "Check the folder and the disk."
        ) from error
    return types


def _write(
    path: Path, table: str, key: str, types: Mapping[str, str], rows: Sequence[TextRow], pictures_root: Path
) -> None:
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(path), poolclass=NullPool)
    kinds: dict[str, type[sa.types.TypeEngine[Any]]] = {
        "INTEGER": sa.BigInteger,
        "REAL": sa.REAL,
        "TEXT": sa.Text,
    }
    catalogue = sa.MetaData()
    # A column's name may hold what a parameter's may not.
    keys = {name: f"c{number}" for number, name in enumerate(types)}
    target = sa.Table(
        table,
        catalogue,
        *(sa.Column(name, kinds[types[name]], key=keys[name], unique=name == key) for name in types),
    )
    mark = sa.Table(MARK, catalogue, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text))
    try:
        with engine.begin() as connection:
            catalogue.create_all(connection)
            content = [{keys[name]: _converted(row.get(name), types[name]) for name in types} for row in rows]
            if content:
                connection.execute(target.insert(), content)
            connection.execute(mark.insert(), [{"key": "pictures_root", "value": str(pictures_root)}])
    finally:
        engine.dispose()


def _type_of(name: str, values: Sequence[str | None]) -> str:
    present = [value for value in values if value is not None]
    if name in _ALWAYS_TEXT or not present:
        return "TEXT"
    if all(_INTEGER.fullmatch(value) for value in present):
        return "INTEGER"
    if all(_REAL.fullmatch(value) and any(c.isdigit() for c in value) for value in present):
        return "REAL"
    return "TEXT"


def _converted(value: str | None, kind: str) -> str | int | float | None:
    if value is None:
        return None
    return int(value) if kind == "INTEGER" else float(value) if kind == "REAL" else value
