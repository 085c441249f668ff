"""Which engine reads what a setting names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agir_cvtoolkit.errors import ConfigError

from .database import Database

POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg://")
_DUCK_MAGIC = b"DUCK"


def open_database(
    address: str, setting: str = "db.semif.db_path", id_columns: Sequence[str] = ("cutout_id",)
) -> Database:
    """Open a database for reading.

    Args:
        address: a SQLite or DuckDB file; a Parquet or CSV file, or a pattern of such; a folder of Parquet files or of
            pictures; or ``postgresql://user@host/database``.
        setting: the key of the configuration that names it, for messages.
        id_columns: names of the key of a row, the first one first; texts where nothing else tells.

    Raises:
        ConfigError: an address that cannot be understood.
        DatabaseError: it cannot be opened.
        MissingExtraError: the library for it is not installed.
        UsageError: a folder without pictures.
    """
    if address.startswith(POSTGRES):
        from .postgres import PostgresDatabase

        return PostgresDatabase(address, setting)
    if "://" in address:
        known = "a file, a folder or postgresql://user@host/database"
        raise ConfigError(f"{setting} names a database of another kind", f"It can be {known}.")
    from .duck import DuckDatabase, Files

    path = Path(address).expanduser()
    files = Files.find(address)
    if files is None and _begins_like_duckdb(path):
        files = Files("duckdb", (path,), address)
    if files is not None:
        return DuckDatabase(files, setting, (*id_columns, "image_id"))
    if path.is_dir():
        from .picture_table import PictureFolder

        return PictureFolder(path, setting, id_columns[0])
    from .sqlite import SqliteDatabase

    return SqliteDatabase(path, setting)


def _begins_like_duckdb(path: Path) -> bool:
    """Whether a file has the mark of DuckDB, behind a checksum of eight bytes."""
    try:
        with path.open("rb") as stream:
            return stream.read(12)[8:] == _DUCK_MAGIC
    except OSError:
        return False
