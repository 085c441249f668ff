"""Boxes of a run: those that ``import`` took from the file of another tool, as files and as candidates of a push."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import NewLabel, upload_name
from agir_cvtoolkit.errors import DataError, NoRunError
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.plain_shapes import from_plain, to_plain
from agir_cvtoolkit.records import ManifestEntry, file_stem
from agir_cvtoolkit.runs import Run, atomic_path, fingerprint
from agir_cvtoolkit.shapes import Rectangle, Shape

from ._batch import entries_to_push
from ._candidates import Batch, Candidate, Collector
from ._mask_candidates import image_of


def write_boxes(path: Path, boxes: Sequence[Rectangle]) -> None:
    """Write the boxes of one picture; none is a picture in which there is nothing."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(orjson.dumps([to_plain(box) for box in boxes]))


def read_boxes(run: Run, entry: ManifestEntry) -> tuple[Rectangle, ...]:
    """Return the boxes of a record.

    Raises:
        DataError: their file is not there, or damaged.
    """
    path = run.inside(entry.boxes_path or "")
    try:
        found = [from_plain(content) for content in orjson.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"the boxes in {path} cannot be read: {error}", "Import them again.") from error
    return tuple(shape for shape in found if isinstance(shape, Rectangle))


def holds_boxes(run: Run) -> bool:
    """Whether boxes were imported into a run."""
    try:
        return any(entry.boxes_path for entry in run.read_manifest())
    except NoRunError:
        return False


def with_imported_boxes(settings: Settings, run: Run) -> Settings:
    """Return the settings with ``cvat_upload.source.type`` found from the run where the user has not said it."""
    if settings.is_explicit("cvat_upload.source.type") or not holds_boxes(run):
        return settings
    source = settings.cvat_upload.source.model_copy(update={"type": "detections"})
    upload = settings.cvat_upload.model_copy(update={"source": source})
    return settings.model_copy(update={"cvat_upload": upload})


def imported_boxes_batch(run: Run) -> Callable[[], Batch]:
    """Return what collects the boxes of a run; a picture is one candidate.

    Raises:
        NoRunError: nothing was imported.
    """
    entries = entries_to_push(run)

    def collect() -> Batch:
        found = Collector()
        for entry in entries:
            try:
                boxes = read_boxes(run, entry)
                candidate = _candidate(run, entry, boxes)
            except DataError as error:
                found.leave(entry.record_id, "failed", str(error), max(1, entry.instances or 0))
                continue
            if candidate is None:
                reason = f"Could not load image for record {entry.record_id}: import it again"
                found.leave(entry.record_id, "skipped", reason, max(1, len(boxes)))
            else:
                found.candidates.append(candidate)
        names = sorted({name for candidate in found.candidates for name in candidate.labels})
        return replace(found.batch(), labels=tuple(NewLabel(name) for name in names))

    return collect


def _candidate(run: Run, entry: ManifestEntry, boxes: Sequence[Rectangle]) -> Candidate | None:
    """Return a record's candidate, None where its picture cannot be had."""
    image = image_of(run, entry)
    if image is None:
        return None
    digest = sha256_of(image)
    if entry.sha256 is not None and digest != entry.sha256:
        raise DataError(f"picture {image.name} was changed after its boxes were taken", "Import them again.")

    def draw(spelled: Callable[[str], str]) -> tuple[Shape, ...]:
        return tuple(replace(box, label=spelled(box.label)) for box in boxes)

    def without(labels: Collection[str]) -> Candidate | None:
        kept = [box for box in boxes if box.label not in labels]
        return _candidate(run, entry, kept) if kept else None

    return Candidate(
        record_id=entry.record_id,
        file_name=upload_name(file_stem(entry.record_id), image.suffix.lower()),
        image=image,
        sha256=digest,
        width=entry.width,
        height=entry.height,
        units=max(1, len(boxes)),
        labels=tuple(sorted({box.label for box in boxes})),
        prediction_hash=fingerprint("imported boxes", [to_plain(box) for box in boxes]),
        draw=draw,
        without=without,
        source=Path(entry.source_path) if entry.source_path and entry.image_mode == "full_image" else None,
    )
