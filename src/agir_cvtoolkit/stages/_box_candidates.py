"""Candidates of the boxes that the database knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import upload_name
from agir_cvtoolkit.errors import DataError, LabelError, NoRunError, PictureError
from agir_cvtoolkit.inference.originals import read_original
from agir_cvtoolkit.pictures import check, glance, named, sha256_of
from agir_cvtoolkit.records import Box, FieldValue, Record
from agir_cvtoolkit.runs import Run, fingerprint
from agir_cvtoolkit.shapes import Rectangle, Shape
from agir_cvtoolkit.sources import read_records

from ._candidates import Batch, Candidate, Collector
from ._label_rules import LabelRules
from ._queried import queried_db


@dataclass(frozen=True)
class _Picture:
    """A record's original, or in a dry run what is known of it.

    Attributes:
        path: in the run; in a dry run the source's own where the original is not there yet.
        suffix: of the original.
        sha256: of the original; empty in a dry run.
    """

    path: Path
    suffix: str
    size: tuple[int, int]
    sha256: str


def detection_batch(run: Run, settings: Settings, *, dry_run: bool) -> Callable[[], Batch]:
    """Check the query, and return what collects its pictures with all their boxes; a picture is one candidate.

    Args:
        run: with a query.
        settings: with ``cvat_upload``.
        dry_run: read no more than the headers of the pictures and write nothing; else originals that are not
            in the run yet are laid there.

    Raises:
        NoRunError: the run has no query.
        ConfigError: the label map cannot be understood, or another database was asked.
    """
    query_dir = run.path("query")
    upload = settings.cvat_upload
    if not any(query_dir.glob("query.*")):
        raise NoRunError(
            f"run {run.run_id} has no query result",
            f"Choose records first: agir-cvtoolkit query --db {upload.source.db} --limit 100",
        )
    db = queried_db(run, settings, "cvat_upload", upload.source.db)
    rules = LabelRules.from_settings(upload.label_map, {})

    def collect() -> Batch:
        found = Collector()
        known = read_records(query_dir, db, "full_image", settings)
        for record in known.records:
            unusable = known.dropped.get(record.record_id, ())
            units = max(1, len(record.boxes) + len(unusable))
            try:
                kept = upload.transport == "bytes"
                picture = _glanced(run, record) if dry_run else _original_of(run, record, kept=kept)
            except DataError as error:
                reason = f"Could not load image for record {record.record_id}: {error}"
                found.leave(record.record_id, "skipped", reason, units)
                continue
            boxes, problems = _labelled_boxes(record, picture.size, rules)
            for problem in (*unusable, *problems):
                found.leave(record.record_id, "failed", problem, 1)
            if (unusable or problems) and not boxes:
                continue
            found.candidates.append(_detection(record, picture, boxes))
        return found.batch()

    return collect


def _labelled_boxes(
    record: Record, size: tuple[int, int], rules: LabelRules
) -> tuple[list[tuple[Box, str]], list[str]]:
    boxes, problems = [], []
    for index, box in enumerate(record.boxes):
        values: Mapping[str, FieldValue] = (
            record.box_values[index] if index < len(record.box_values) else record.values
        )
        scaled = box.scaled(record.reference_size, size) if record.reference_size else box
        inside = scaled.clipped(size)
        if inside is None:
            problems.append(f"box {index} lies outside its picture of {size[0]}x{size[1]}")
            continue
        try:
            boxes.append((inside, rules.label_for(values)))
        except LabelError as error:
            problems.append(f"box {index}: {error}")
    return boxes, problems


def _detection(record: Record, picture: _Picture, boxes: list[tuple[Box, str]]) -> Candidate:
    def draw(spelled: Callable[[str], str]) -> tuple[Shape, ...]:
        return tuple(
            Rectangle(
                label=spelled(label),
                points=((b.x, b.y), (b.x + b.width, b.y + b.height)),
                source="file",
            )
            for b, label in boxes
        )

    def without(labels: Collection[str]) -> Candidate | None:
        kept = [(box, label) for box, label in boxes if label not in labels]
        return _detection(record, picture, kept) if kept else None

    described = [[b.x, b.y, b.width, b.height, label] for b, label in boxes]
    return Candidate(
        record_id=record.record_id,
        file_name=upload_name(record.stem, picture.suffix),
        image=picture.path,
        sha256=picture.sha256,
        width=picture.size[0],
        height=picture.size[1],
        units=max(1, len(boxes)),
        labels=tuple(sorted({label for _, label in boxes})),
        prediction_hash=fingerprint("boxes", described),
        draw=draw,
        without=without,
        source=record.image_path,
    )


def _saved(run: Run, record: Record) -> Path | None:
    places = (run.path("images", record.stem + suffix) for suffix in (".jpg", ".png"))
    return next((place for place in places if place.is_file()), None)


def _glanced(run: Run, record: Record) -> _Picture:
    saved = _saved(run, record)
    if saved is not None:
        return _Picture(saved, saved.suffix, glance(saved).size, "")
    path = named(record.image_path)
    info = glance(path)
    return _Picture(path, info.suffix, info.size, "")


def _original_of(run: Run, record: Record, *, kept: bool) -> _Picture:
    """Return a record's original; one that is the source's own file is laid into the run only if `kept`."""
    saved = _saved(run, record)
    if saved is not None:
        return _Picture(saved, saved.suffix, check(saved).size, sha256_of(saved))
    original = read_original(record, run, save=kept)
    if original.sha256 is not None and original.image_path is None and record.image_path is not None:
        return _Picture(record.image_path, glance(record.image_path).suffix, original.size, original.sha256)
    if original.image_path is None:
        original = read_original(record, run, save=True)
    if original.image_path is None or original.sha256 is None:
        raise PictureError("its original was not saved", "Check that the disk has room.")
    path = run.inside(original.image_path)
    return _Picture(path, path.suffix, original.size, original.sha256)
