"""A folder of pictures as a table, so that it can be queried like a database."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from agir_cvtoolkit.errors import DatabaseError, PictureError, QueryError

from .database import Table, TypedDatabase
from .dialects import TEXT_NUMBER, number_in
from .folder import folder_records
from .table import Kind

_KINDS: dict[str, Kind] = {
    "image_id": "text",
    "image_path": "text",
    "folder": "text",
    "file_name": "text",
    "suffix": "text",
    "file_bytes": "integer",
    "datetime": "text",
}


class PictureFolder(TypedDatabase):
    """The pictures of a folder and of the folders below it; none of them is opened.

    Its columns are the key and ``image_id``, both as `folder_records` names a picture; ``image_path``, ``folder`` and
    ``file_name``, seen from the folder; ``suffix``, in lower case without the dot; ``file_bytes``; and ``datetime``,
    when the file was changed last, UTC.

    Raises:
        UsageError: there is no picture in it.
        PictureError: one vanished meanwhile.
    """

    def __init__(self, folder: Path, setting: str = "db.semif.db_path", key: str = "cutout_id") -> None:
        """List the folder.

        Args:
            folder: of pictures.
            setting: the key of the configuration that names it, for messages.
            key: what the id column is called.
        """
        self.folder = folder
        self._kinds: dict[str, Kind] = {key: "text", **_KINDS}
        rows = [row if key not in _KINDS else row[1:] for row in _rows(folder)]
        self._state = hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()
        engine = sa.create_engine(
            "sqlite://", creator=lambda: _filled(tuple(self._kinds), rows), poolclass=StaticPool
        )
        super().__init__(engine, str(folder), setting)

    @property
    def address(self) -> str:
        """The folder, from the root."""
        return str(self.folder.resolve())

    @property
    def pictures_base(self) -> Path | None:
        """The folder."""
        return self.folder.resolve()

    def state(self, table: str) -> tuple[object, ...]:
        """Return a hash of names, sizes and dates."""
        return (self._state,)

    def tables(self) -> list[str]:
        """Return nothing: the one table has any name."""
        return []

    def _table(self, name: str) -> Table:
        relation = sa.table("pictures", *(sa.column(column) for column in self._kinds))
        return Table(self._kinds, relation, "rowid")

    def _explained(self, error: Exception) -> DatabaseError | QueryError:
        return DatabaseError(f"folder {self.name} cannot be queried: {error}", "Use lists: key in [a, b, c].")


def _rows(folder: Path) -> Iterator[tuple[object, ...]]:
    root = folder.absolute()
    for record in folder_records(folder):
        path = record.image_path or root
        try:
            found = path.stat()
        except OSError as error:
            raise PictureError(f"{path} vanished: {error.strerror}", "Run the query again.") from error
        below = path.relative_to(root)
        changed = datetime.fromtimestamp(int(found.st_mtime), UTC)
        yield (
            record.record_id,
            record.record_id,
            below.as_posix(),
            below.parent.as_posix(),
            below.name,
            below.suffix[1:].lower(),
            found.st_size,
            f"{changed:%Y-%m-%d %H:%M:%S}",
        )


def _filled(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.create_function(TEXT_NUMBER, 1, number_in, deterministic=True)
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
    connection.execute(f"CREATE TABLE pictures ({names})")
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO pictures VALUES ({marks})", rows)  # noqa: S608 - question marks alone
    connection.commit()
    return connection
