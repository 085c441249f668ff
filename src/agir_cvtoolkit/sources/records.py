"""The result of a query as records: one per cutout, or one per picture with all its boxes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import ConfigError, DataError
from agir_cvtoolkit.records import Box, FieldValue, Record

from .paths import Finder, Place, Roots, first_value
from .reading import Row, read_rows, result_file
from .spec import StoredSpec, read_spec
from .species import SpeciesTable
from .staging import Cache
from .values import NO_CLASS, box_of, class_of, id_of, size_of, text_of

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

log = logging.getLogger(__name__)

IMAGE_MODES = ("full_image", "cutout")


@dataclass(frozen=True)
class RecordSet:
    """Records, and what was dropped on the way.

    Attributes:
        notes: in words, with the record's id in them: boxes that cannot be used, rows without an id.
        dropped: by record what is wrong with those of its boxes that cannot be used, one text for each box.
    """

    records: tuple[Record, ...]
    notes: tuple[str, ...]
    dropped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def records_of(query_dir: Path, db: str, image_mode: str, roots: Roots | Settings) -> list[Record]:
    """Read the result of a query as records, in its order; what is dropped is logged.

    Args:
        query_dir: the run's ``query`` folder.
        db: ``semif`` or ``field``; the query's own specification wins where it names one.
        image_mode: ``cutout`` makes one record per row, ``full_image`` one per picture with all its boxes.
        roots: where relative paths start; taken from the configuration where that is given.

    Raises:
        NoRunError: there is no result.
        DataError: the result is damaged, or has no id column.
        ConfigError: there is no such image mode.
    """
    found = read_records(query_dir, db, image_mode, roots)
    for note in found.notes:
        log.warning("%s", note)
    return list(found.records)


def read_records(query_dir: Path, db: str, image_mode: str, roots: Roots | Settings) -> RecordSet:
    """Like `records_of`, returning what is dropped instead of logging it."""
    if image_mode not in IMAGE_MODES:
        raise ConfigError(f"image mode '{image_mode}' does not exist", f"Write {' or '.join(IMAGE_MODES)}.")
    spec = read_spec(query_dir)
    db = spec.database or db
    known = roots if isinstance(roots, Roots) else Roots.of(roots, db)
    path = result_file(query_dir, spec)
    rows = list(read_rows(path, spec))
    maker = _Maker(db, known, _finder(known, db, spec))
    if image_mode == "cutout":
        records = [record for row in rows if (record := maker.cutout(row)) is not None]
    else:
        records = [maker.picture(image_id, group) for image_id, group in maker.by_picture(rows).items()]
    if rows and not records:
        raise DataError(
            f"{path} has no id in any of its {len(rows)} rows",
            "Keep the columns image_id and cutout_id (or id) in the projection.",
        )
    dropped = {record_id: tuple(texts) for record_id, texts in maker.dropped.items()}
    missing = [r for r in records if r.address is not None and r.image_path and not r.image_path.is_file()]
    if missing:
        maker.notes.append(
            f"{len(missing)} pictures are not fetched yet, such as {missing[0].address}; run: agir-cvtoolkit fetch"
        )
    return RecordSet(tuple(records), tuple(maker.notes), dropped)


def records_of_rows(
    rows: Iterable[Row], db: str, roots: Roots, pictures_root: Path | None = None
) -> list[Record]:
    """Return a record for each row of a table: its cutout, or its picture where it has neither box nor cutout.

    Args:
        rows: with all columns.
        db: ``semif`` or ``field``.
        roots: where relative paths start.
        pictures_root: the folder that the database was built from, or lies in.
    """
    maker = _Maker(db, roots, _finder(roots, db, StoredSpec(pictures_root=pictures_root)))
    cutouts = [(row, record) for row in rows if (record := maker.cutout(row)) is not None]
    return [
        record if record.image_path is not None else maker.picture(record.record_id, [row])
        for row, record in cutouts
    ]


def _finder(roots: Roots, db: str, spec: StoredSpec) -> Finder:
    database = roots.database or (spec.database_path.parent if spec.database_path else None)
    bases = dict.fromkeys(base for base in (roots.storage(db), spec.pictures_root, database) if base)
    return Finder(tuple(bases), roots.stores, Cache(roots.cache))


class _Maker:
    def __init__(self, db: str, roots: Roots, finder: Finder) -> None:
        columns = roots.columns
        self.columns, self.finder = columns, finder
        self.table = SpeciesTable.read(roots.species) if roots.species is not None else SpeciesTable(())
        self.notes: list[str] = []
        self.dropped: dict[str, list[str]] = {}
        field = db == "field"
        usual = ("developed_image_path", "image_path") if field else ("image_path", "developed_image_path")
        self.path_names = (columns.path, *usual, "full_path")
        self.image_names = (columns.image_id, "image_id")
        self.record_names = (columns.record_id, *(("id", "cutout_id") if field else ("cutout_id", "id")))
        self.common_names = (
            columns.common_name,
            *(("common_name", "category_common_name")[:: 1 if field else -1]),
        )

    # --- cutouts ------------------------------------------------------------------------------------------

    def cutout(self, row: Row) -> Record | None:
        row = self.completed(row)
        record_id = self.record_id(row) or self.image_id(row)
        if record_id is None:
            self.notes.append(f"a row without id is left out: {_shown(row)}")
            return None
        size = self.size(row)
        box = self.box(row, size, record_id)
        cropped = self.finder.existing(row.get("cropout_path"), row.get("cutout_ncsu_nfs"))
        place = cropped
        if place is None and box is not None:
            place = self.place(row)
        elif place is None:
            self.notes.append(
                f"{record_id} has neither a box nor a cutout file, so its cutout cannot be shown"
            )
        return Record(
            record_id=record_id,
            image_path=place.path if place is not None else None,
            address=place.address if place is not None else None,
            crop=None if cropped is not None else box,
            boxes=(box,) if box is not None and cropped is None else (),
            reference_size=None if cropped is not None else size,
            common_name=text_of(first_value(row, *self.common_names)),
            class_id=self.class_id(row),
            values=MappingProxyType(dict(row)),
            box_values=(MappingProxyType(dict(row)),) if box is not None and cropped is None else (),
        )

    # --- whole pictures -----------------------------------------------------------------------------------

    def by_picture(self, rows: Iterable[Row]) -> dict[str, list[Row]]:
        groups: dict[str, list[Row]] = {}
        for row in map(self.completed, rows):
            image_id = self.image_id(row) or self.record_id(row)
            if image_id is None:
                self.notes.append(f"a row without id is left out: {_shown(row)}")
            else:
                groups.setdefault(image_id, []).append(row)
        return groups

    def picture(self, image_id: str, rows: Sequence[Row]) -> Record:
        sizes = {size for row in rows if (size := self.size(row)) is not None}
        if len(sizes) > 1:
            self.notes.append(f"{image_id} has rows of different full-resolution sizes; the first is used")
        size = next((size for row in rows if (size := self.size(row)) is not None), None)
        boxes: list[Box] = []
        box_values: list[MappingProxyType[str, FieldValue]] = []
        for row in rows:
            box = self.box(row, size, self.record_id(row) or image_id, image_id)
            if box is not None:
                boxes.append(box)
                box_values.append(MappingProxyType(dict(row)))
        shared = {
            name: value
            for name, value in rows[0].items()
            if all(_same(row.get(name), value) for row in rows[1:])
        }
        names = dict.fromkeys(name for row in rows for name in row)
        classes = {self.class_id(row) for row in rows}
        species = {text_of(first_value(row, *self.common_names)) for row in rows}
        place = self.first_place(rows)
        return Record(
            record_id=image_id,
            image_path=place.path if place is not None else None,
            address=place.address if place is not None else None,
            boxes=tuple(boxes),
            reference_size=size,
            common_name=species.pop() if len(species) == 1 else None,
            class_id=classes.pop() if len(classes) == 1 else NO_CLASS,
            values=MappingProxyType(shared),
            conflicts=frozenset(name for name in names if name not in shared),
            box_values=tuple(box_values),
        )

    def first_place(self, rows: Sequence[Row]) -> Place | None:
        tried: set[tuple[FieldValue, FieldValue]] = set()
        first: Place | None = None
        for row in rows:
            key = (first_value(row, *self.path_names), self.store(row))
            if key in tried:
                continue
            tried.add(key)
            place = self.place(row)
            if place is not None and (place.address is not None or place.path.is_file()):
                return place
            first = first or place
        return first

    # --- parts of a row -----------------------------------------------------------------------------------

    def record_id(self, row: Row) -> str | None:
        return _first_id(row, self.record_names)

    def image_id(self, row: Row) -> str | None:
        return _first_id(row, self.image_names)

    def place(self, row: Row) -> Place | None:
        return self.finder.picture(first_value(row, *self.path_names), self.store(row), self.image_id(row))

    def completed(self, row: Row) -> Row:
        """Return a row with what the species table knows and the row does not say."""
        name = text_of(first_value(row, *self.common_names))
        found = self.table.find(self.class_id(row), name)
        if found is None:
            return row
        told: Row = {}
        if self.class_id(row) == NO_CLASS:
            told["category_class_id"] = found.class_id
        if name is None:
            told[self.common_names[-1]] = found.common_name
        if found.rgb is not None and text_of(row.get("category_rgb")) is None:
            told["category_rgb"] = str(list(found.rgb))
        return {**row, **told}

    def store(self, row: Row) -> FieldValue:
        return first_value(row, self.columns.store, "ncsu_nfs")

    def size(self, row: Row) -> tuple[int, int] | None:
        width = first_value(row, self.columns.width, "fullres_width")
        return size_of(width, first_value(row, self.columns.height, "fullres_height"))

    def class_id(self, row: Row) -> int:
        return class_of(first_value(row, self.columns.class_id, "category_class_id", "class_id"))

    def box_value(self, row: Row) -> FieldValue:
        sides = [row.get(name) for name in self.columns.boxes]
        if any(side is not None for side in sides):
            return f"[{', '.join('null' if side is None else str(side) for side in sides)}]"
        return first_value(row, self.columns.box, "bbox_xywh")

    def box(
        self, row: Row, size: tuple[int, int] | None, row_id: str, record_id: str | None = None
    ) -> Box | None:
        box = box_of(self.box_value(row), size)
        if isinstance(box, str):
            self.dropped.setdefault(record_id or row_id, []).append(f"{row_id}: {box}")
            self.notes.append(f"{row_id}: {box}; the box is dropped")
            return None
        return box


def _first_id(row: Row, names: Sequence[str]) -> str | None:
    return next((found for name in names if (found := id_of(row.get(name))) is not None), None)


def _same(one: FieldValue, other: FieldValue) -> bool:
    return one == other and (one is None) == (other is None)


def _shown(row: Row) -> str:
    return ", ".join(f"{name}={value}" for name, value in list(row.items())[:4])
