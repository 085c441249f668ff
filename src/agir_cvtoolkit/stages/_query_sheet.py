"""The pictures of a preview, on one sheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError
from agir_cvtoolkit.pictures import load_rgb

from ._query_database import Place, pictures_root

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.records import Record
    from agir_cvtoolkit.reporting.picture_sheet import SheetPicture
    from agir_cvtoolkit.sources.database import Database
    from agir_cvtoolkit.sources.plan import Plan


def draw_sheet(
    plan: Plan, database: Database, place: Place, at_most: int, path: Path, settings: Settings
) -> tuple[str, ...]:
    """Draw the first records of a query, each with what its row calls a plant.

    Returns:
        Which pictures cannot be shown, and why.

    Raises:
        DatabaseError: the database fails.
    """
    from agir_cvtoolkit.reporting.picture_sheet import picture_sheet
    from agir_cvtoolkit.sources.paths import Roots
    from agir_cvtoolkit.sources.records import records_of_rows

    names = tuple(plan.source.kinds)
    whole = replace(plan, columns=names)
    rows = [dict(zip(names, row, strict=True)) for row in whole.rows(database, at_most)]
    roots = Roots.of(settings, place.name)
    records = records_of_rows(rows, place.name, roots, pictures_root(database))
    notes: list[str] = []
    title = f"{len(records)} of {plan.count(database, whole=True)} records"
    if plan.request.filters:
        title += f": {' and '.join(plan.request.filters)}"
    picture_sheet(_shown(records, notes), len(records), path, title=title)
    return tuple(notes)


def _shown(records: list[Record], notes: list[str]) -> Iterator[SheetPicture]:
    from agir_cvtoolkit.reporting.picture_sheet import SheetPicture

    for record in records:
        try:
            if record.image_path is None:
                raise AgirError("the row names no picture")
            picture = load_rgb(record.image_path)
        except AgirError as error:
            notes.append(f"{record.record_id}: {error.problem}")
            yield SheetPicture(record.record_id, record.common_name, note="picture not found or damaged")
            continue
        size = picture.shape[1], picture.shape[0]
        box = record.crop
        if box is not None:
            box = box.scaled(record.reference_size or size, size).clipped(size)
        yield SheetPicture(record.record_id, record.common_name, picture, box)
