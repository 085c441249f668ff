"""Where the pictures of a row lie.

A root is a folder, or the address of a storage such as ``s3://bucket/prefix``. Pictures of a storage are read where
``fetch`` stages them; whether they are staged already plays no part in where that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.records import FieldValue, file_stem

from .staging import Cache
from .values import text_of

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

DATABASES = ("semif", "field")
ELSEWHERE = "elsewhere"
"""Key of the root for everything that no other root holds."""

_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".tif", ".tiff")


@dataclass(frozen=True)
class Columns:
    """Names of the columns that records are made of; usual names are used where a row lacks these.

    Attributes:
        boxes: of x, y, width and height, where these have columns of their own.
    """

    path: str = ""
    image_id: str = ""
    record_id: str = ""
    common_name: str = ""
    class_id: str = ""
    store: str = ""
    width: str = ""
    height: str = ""
    box: str = ""
    boxes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Roots:
    """Where relative paths start.

    Attributes:
        semif_storage: root of the SemiF picture store.
        field_storage: root of the Field picture store.
        database: the folder of the database; None means the one that the query's specification names.
        columns: what the columns are called.
        stores: root by the name of a store, by the beginning of absolute paths, or for all others as `ELSEWHERE`.
        cache: where pictures of storages are staged.
        species: file of the species table.
    """

    semif_storage: Path | None = None
    field_storage: Path | None = None
    database: Path | None = None
    columns: Columns = Columns()
    stores: Mapping[str, str] = field(default_factory=dict, hash=False)
    cache: Path = Path("outputs/cache")
    species: Path | None = None

    @classmethod
    def of(cls, settings: Settings, db: str) -> Roots:
        """Return what the configuration says for a database."""
        names = settings.data.field if db == "field" else settings.data.semif
        columns = Columns(
            path=names.path_column,
            image_id=names.id_column,
            record_id=names.cutout_id_column,
            common_name=names.common_name_column,
            class_id=names.class_column,
            store=names.store_column,
            width=names.width_column,
            height=names.height_column,
            box=names.box_column,
            boxes=names.box_columns or (),
        )
        io = settings.io
        cache = settings.fetch.folder(Path(io.out_root))
        return cls(
            io.semif_storage_dir, io.field_storage_dir, None, columns, io.roots, cache, io.lts_species_info
        )

    def storage(self, db: str) -> Path | None:
        """Return the root of the picture store of a database."""
        return self.field_storage if db == "field" else self.semif_storage


@dataclass(frozen=True)
class Place:
    """Where a picture lies.

    Attributes:
        path: of the file; of a picture in a storage the one that is staged, or will be.
        address: of the picture in its storage; None where it is read in place.
    """

    path: Path
    address: str | None = None


@dataclass(frozen=True)
class Finder:
    """Finds files of rows.

    Attributes:
        bases: folders at which relative paths start, in the order in which they are tried.
        stores: see `Roots`.
        cache: of staged pictures.
    """

    bases: tuple[Path, ...]
    stores: Mapping[str, str] = field(hash=False)
    cache: Cache

    def picture(self, path: FieldValue, store: FieldValue, image_id: str | None) -> Place | None:
        """Return the picture of a row.

        Args:
            path: absolute, an address, or relative to a base or to the store in it.
            store: the logical store (``ncsu_nfs``), a root by its name or a folder in a base.
            image_id: names the file where the row has no path: ``[images/]<image_id>.jpg``.

        Returns:
            The first file that exists, or lies in a storage; where none does the first that was looked for, None
            without any.
        """
        first: Place | None = None
        for place in self._candidates(text_of(path), text_of(store)):
            first = first or place
            if place.address is not None or place.path.is_file():
                return place
        if first is not None:
            return first
        found = self._by_id(image_id)
        return Place(found) if found is not None else None

    def existing(self, path: FieldValue, store: FieldValue) -> Place | None:
        """Return the file of a path, None where it does not exist; of one in a storage that is not known."""
        for place in self._candidates(text_of(path), text_of(store)):
            if place.address is not None or place.path.is_file():
                return place
        return None

    def _candidates(self, path: str | None, store: str | None) -> Iterator[Place]:
        if path is None or "\x00" in path or (store and "\x00" in store):
            return
        if "://" in path:
            yield self._place(path)
            return
        # Databases written on Windows separate by backslashes.
        plain = path if "/" in path else path.replace("\\", "/")
        moved = self._moved(plain)
        if moved is not None:
            yield moved
        if Path(plain).is_absolute():
            yield Place(Path(plain))
            return
        own = self.stores.get(store) if store is not None else None
        if own is not None:
            yield self._place(f"{own.rstrip('/')}/{plain}")
        for base in self.bases:
            if store is not None:
                yield Place(base / store / plain)
            yield Place(base / plain)
        root = self.stores.get(ELSEWHERE)
        if root is not None:
            below = f"{store}/{plain}" if store is not None and store not in self.stores else plain
            yield self._place(f"{root.rstrip('/')}/{below}")

    def _moved(self, path: str) -> Place | None:
        """Return where a path lies that begins as paths do on another machine; the longest beginning counts."""
        starts = [start for start in self.stores if _is_start(start) and path.startswith(start)]
        if not starts:
            return None
        start = max(starts, key=len)
        return self._place(f"{self.stores[start].rstrip('/')}/{path[len(start) :].lstrip('/')}")

    def _place(self, address: str) -> Place:
        if "://" in address:
            return Place(self.cache.path_of(address), address)
        return Place(Path(address).expanduser())

    def _by_id(self, image_id: str | None) -> Path | None:
        if image_id is None or file_stem(image_id) != image_id:
            return None
        for base in self.bases:
            for folder in (base, base / "images"):
                for suffix in _SUFFIXES:
                    if (candidate := folder / f"{image_id}{suffix}").is_file():
                        return candidate
        return None


def _is_start(name: str) -> bool:
    """Whether a key of the roots is the beginning of absolute paths: ``/mnt/x/``, ``Z:/``."""
    return name.startswith("/") or name[1:2] == ":"


def first_value(row: Mapping[str, FieldValue], *names: str) -> FieldValue:
    """Return the first value that is there in some columns of a row."""
    return next((row[name] for name in names if text_of(row.get(name)) is not None), None)
