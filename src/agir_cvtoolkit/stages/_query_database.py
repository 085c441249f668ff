"""The database that a query asks, as the settings name it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import ConfigError, QueryError, did_you_mean

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.sources.database import Database
    from agir_cvtoolkit.sources.table import Source

DATABASES = ("semif", "field")


@dataclass(frozen=True)
class Place:
    """A table of a database.

    Attributes:
        name: ``semif`` or ``field``.
        address: a file, a folder or the URL of a server.
        table: its name.
        id_columns: the first of them that the table has is the key of a row.
        image_column: the id of a row's picture.
    """

    name: str
    address: str
    table: str
    id_columns: tuple[str, ...]
    image_column: str

    def open(self) -> Database:
        """Open the database for reading.

        Raises:
            ConfigError: an address that cannot be understood.
            DatabaseError: it cannot be opened.
            MissingExtraError: the library for it is not installed.
        """
        from agir_cvtoolkit.sources.opening import open_database

        return open_database(self.address, f"db.{self.name}.db_path", self.id_columns)

    def source(self, database: Database) -> Source:
        """Return the table.

        Raises:
            DatabaseError: there is none of this name, or it lacks an id column.
        """
        return database.source(self.table, self.id_columns, f"db.{self.name}.table")


def place_of(settings: Settings, db: str) -> Place:
    """Return what the settings say of a database.

    Raises:
        QueryError: there is no such database.
        ConfigError: the settings name no file or server for it.
    """
    name = db.strip().lower()
    if name not in DATABASES:
        near = did_you_mean(name, DATABASES)
        raise QueryError(f"--db {db} is no database", f"{near} Known: {', '.join(DATABASES)}.".strip())
    group = settings.db.field if name == "field" else settings.db.semif
    columns = settings.data.field if name == "field" else settings.data.semif
    usual = ("id", "cutout_id", "image_id") if name == "field" else ("cutout_id", "id", "image_id")
    if not group.db_path:
        raise ConfigError(
            f"no {name} database is configured (db.{name}.db_path is null)",
            f"Name it with -o db.{name}.db_path=FILE or in conf/db/default.yaml; "
            "make one from pictures with: agir-cvtoolkit build-db",
        )
    ids = (columns.cutout_id_column, *usual)
    return Place(name, group.db_path, group.table, ids, columns.id_column)


def pictures_root(database: Database) -> Path | None:
    """Return the folder that a database was built from, or else lies in; None where nothing tells."""
    from agir_cvtoolkit.sources.building import built_from

    return built_from(Path(database.address)) or database.pictures_base
