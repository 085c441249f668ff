"""Where the pictures of a row lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.records import FieldValue, file_stem

from .values import text_of

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

DATABASES = ("semif", "field")

_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".tif", ".tiff")


@dataclass(frozen=True)
class Columns:
    """Names of the columns that records are made of; usual names are used where a row lacks these."""

    path: str = ""
    image_id: str = ""
    record_id: str = ""
    common_name: str = ""


@dataclass(frozen=True)
class Roots:
    """Where relative paths start.

    Attributes:
        semif_storage: root of the SemiF picture store.
        field_storage: root of the Field picture store.
        database: the folder of the database; None means the one that the query's specification names.
        columns: what the columns are called.
    """

    semif_storage: Path | None = None
    field_storage: Path | None = None
    database: Path | None = None
    columns: Columns = Columns()

    @classmethod
    def of(cls, settings: Settings, db: str) -> Roots:
        """Return what the configuration says for a database."""
        names = settings.data.field if db == "field" else settings.data.semif
        columns = Columns(
            names.path_column, names.id_column, names.cutout_id_column, names.common_name_column
        )
        return cls(settings.io.semif_storage_dir, settings.io.field_storage_dir, None, columns)

    def storage(self, db: str) -> Path | None:
        """Return the root of the picture store of a database."""
        return self.field_storage if db == "field" else self.semif_storage


@dataclass(frozen=True)
class Finder:
    """Finds files of rows.

    Attributes:
        bases: folders at which relative paths start, in the order in which they are tried.
    """

    bases: tuple[Path, ...]

    def picture(self, path: FieldValue, store: FieldValue, image_id: str | None) -> Path | None:
        """Return the picture of a row.

        Args:
            path: absolute, or relative to a base or to the store in it.
            store: the logical store (``ncsu_nfs``), a folder in a base.
            image_id: names the file where the row has no path: ``[images/]<image_id>.jpg``.

        Returns:
            The first file that exists; where none does the first that was looked for, None without any.
        """
        first: Path | None = None
        for candidate in self._candidates(text_of(path), text_of(store)):
            first = first or candidate
            if candidate.is_file():
                return candidate
        return first or self._by_id(image_id)

    def existing(self, path: FieldValue, store: FieldValue) -> Path | None:
        """Return the file of a path, None where it does not exist."""
        candidates = self._candidates(text_of(path), text_of(store))
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def _candidates(self, path: str | None, store: str | None) -> Iterator[Path]:
        if path is None or "\x00" in path or (store and "\x00" in store):
            return
        # Databases written on Windows separate by backslashes.
        plain = Path(path) if "/" in path else Path(path.replace("\\", "/"))
        if plain.is_absolute():
            yield plain
            return
        for base in self.bases:
            if store is not None:
                yield base / store / plain
            yield base / plain

    def _by_id(self, image_id: str | None) -> Path | None:
        if image_id is None or file_stem(image_id) != image_id:
            return None
        for base in self.bases:
            for folder in (base, base / "images"):
                for suffix in _SUFFIXES:
                    if (candidate := folder / f"{image_id}{suffix}").is_file():
                        return candidate
        return None


def first_value(row: Mapping[str, FieldValue], *names: str) -> FieldValue:
    """Return the first value that is there in some columns of a row."""
    return next((row[name] for name in names if text_of(row.get(name)) is not None), None)
