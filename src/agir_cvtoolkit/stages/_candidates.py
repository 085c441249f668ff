"""What could be pushed: records with their picture and the shapes that were predicted or are known.

Shapes are made when they are sent, one record at a time, so memory does not grow with the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit import masks, outlines
from agir_cvtoolkit.config import CvatUpload, Settings
from agir_cvtoolkit.cvat import upload_name
from agir_cvtoolkit.errors import AgirError, DataError, LabelError, MaskError, NoRunError, PictureError
from agir_cvtoolkit.inference.originals import read_original
from agir_cvtoolkit.pictures import check, glance, load_mask, sha256_of
from agir_cvtoolkit.records import Box, FieldValue, Item, ManifestEntry, Record, file_stem
from agir_cvtoolkit.runs import Run, fingerprint
from agir_cvtoolkit.shapes import Mask, Polygon, Rectangle, Shape
from agir_cvtoolkit.sources import read_records

from ._label_rules import LabelRules

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One record that can be pushed.

    Attributes:
        units: what it counts for: 1, or its boxes.
        labels: names that its shapes will carry, as the label map spells them.
        prediction_hash: of what will be sent.
        draw: makes the shapes; the label names pass through the function given.
        without: the same without the shapes of some labels, None where none are left; where it is not given,
            the record goes whole or not at all.
    """

    record_id: str
    file_name: str
    image: Path
    sha256: str
    width: int
    height: int
    units: int
    labels: tuple[str, ...]
    prediction_hash: str
    draw: Callable[[Callable[[str], str]], tuple[Shape, ...]]
    without: Callable[[Collection[str]], Candidate | None] | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """All candidates of a call and what could not become one; `total` counts units of both."""

    candidates: tuple[Candidate, ...]
    items: tuple[Item, ...]
    total: int
    skipped: int
    failed: int


class _Collector:
    def __init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.items: list[Item] = []
        self.counts = {"skipped": 0, "failed": 0}

    def leave(self, record_id: str, outcome: str, reason: str, units: int) -> None:
        _log.warning("%s", reason if record_id in reason else f"record {record_id}: {reason}")
        self.items.append(Item(record_id, outcome, reason))
        self.counts[outcome] += units

    def batch(self) -> Batch:
        total = sum(c.units for c in self.candidates) + sum(self.counts.values())
        return Batch(
            tuple(self.candidates), tuple(self.items), total, self.counts["skipped"], self.counts["failed"]
        )


def segmentation_batch(run: Run, settings: Settings) -> Batch:
    """Collect the predicted masks of a run.

    Raises:
        NoRunError: nothing was predicted.
    """
    entries = run.read_manifest()
    upload = settings.cvat_upload
    rules = LabelRules.from_settings(upload.label_map, _class_names(run))
    found = _Collector()
    for entry in entries:
        image = _image_of(run, entry)
        if image is None:
            reason = f"Could not load image for record {entry.record_id}"
            found.leave(entry.record_id, "skipped", f"{reason}: run infer-seg with save_images=true again", 1)
            continue
        try:
            found.candidates.append(_segmentation(run, entry, image, rules, upload))
        except PictureError as error:
            found.leave(entry.record_id, "failed", str(error), 1)
        except DataError as error:
            found.leave(entry.record_id, "failed", str(error), 1)
    return found.batch()


def _segmentation(
    run: Run, entry: ManifestEntry, image: Path, rules: LabelRules, upload: CvatUpload
) -> Candidate:
    digest = sha256_of(image)
    if entry.sha256 is not None and digest != entry.sha256:
        raise DataError(
            f"picture {image.name} was changed after infer-seg", "Run infer-seg again, then upload-cvat."
        )
    if entry.mask_path is None:
        raise MaskError("no mask was saved", "Run infer-seg with seg_inference.output.save_masks=true.")
    mask_path = run.inside(entry.mask_path)
    if not mask_path.is_file():
        raise MaskError(f"mask {entry.mask_path} is missing", "Run infer-seg again.")
    size = (entry.width, entry.height)
    mask = load_mask(mask_path, size)
    present = masks.values_in(mask)
    if rules.is_multiclass(present) and present:
        labels = {value: rules.classes[value] for value in present}
    else:
        label = rules.label_for(entry.label_values, entry.conflicts)
        labels = dict.fromkeys(present, label)
    names = tuple(sorted(set(labels.values()))) if labels else ()
    identity = (sha256_of(mask_path), sorted(labels.items()), upload.mask_strategy, upload.per_component)
    tolerance = upload.polygon_tolerance if upload.mask_strategy == "polygon" else None

    def draw(spelled: Callable[[str], str]) -> tuple[Shape, ...]:
        return mask_shapes(load_mask(mask_path, size), labels, spelled, upload)

    return Candidate(
        record_id=entry.record_id,
        file_name=upload_name(file_stem(entry.record_id), image.suffix.lower()),
        image=image,
        sha256=digest,
        width=entry.width,
        height=entry.height,
        units=1,
        labels=names,
        prediction_hash=fingerprint("masks", identity, tolerance),
        draw=draw,
    )


def mask_shapes(
    mask: NDArray[np.uint8], labels: Mapping[int, str], spelled: Callable[[str], str], upload: CvatUpload
) -> tuple[Shape, ...]:
    """Turn a mask of class ids into shapes, one per label and, if asked, per 8-connected part.

    Args:
        mask: uint8 of shape (height, width).
        labels: label by mask value; values with one label become one shape.
        spelled: returns a label as the server spells it.
        upload: ``mask_strategy``, ``per_component`` and ``polygon_tolerance``.
    """
    shapes: list[Shape] = []
    for name in sorted(set(labels.values())):
        values = [value for value, label in labels.items() if label == name]
        part = np.isin(mask, values) if len(values) > 1 else mask == values[0]
        label = spelled(name)
        if upload.mask_strategy == "polygon":
            for region in outlines.regions(part, upload.polygon_tolerance):
                ring = outlines.bridged(region)
                shapes.append(Polygon(label=label, points=tuple((float(x), float(y)) for x, y in ring)))
            continue
        pieces = masks.encode_parts(part) if upload.per_component else iter([masks.encode(part)])
        shapes.extend(Mask(label=label, runs=p.lengths, box=p.box) for p in pieces if p is not None)
    return tuple(shapes)


def detection_batch(run: Run, settings: Settings) -> Batch:
    """Collect the pictures of the run's query with all their boxes; a picture is one candidate.

    Raises:
        NoRunError: the run has no query.
    """
    query_dir = run.path("query")
    upload = settings.cvat_upload
    if not any(query_dir.glob("query.*")):
        raise NoRunError(
            f"run {run.run_id} has no query result",
            f"Choose records first: agir-cvtoolkit query --db {upload.source.db} --limit 100",
        )
    rules = LabelRules.from_settings(upload.label_map, {})
    found = _Collector()
    known = read_records(query_dir, upload.source.db, "full_image", settings)
    for record in known.records:
        unusable = known.dropped.get(record.record_id, ())
        units = max(1, len(record.boxes) + len(unusable))
        try:
            image, size = _original_of(run, record)
        except DataError as error:
            reason = f"Could not load image for record {record.record_id}: {error}"
            found.leave(record.record_id, "skipped", reason, units)
            continue
        boxes, problems = _labelled_boxes(record, size, rules)
        for problem in (*unusable, *problems):
            found.leave(record.record_id, "failed", problem, 1)
        if (unusable or problems) and not boxes:
            continue
        found.candidates.append(_detection(record, image, size, boxes))
    return found.batch()


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


def _detection(record: Record, image: Path, size: tuple[int, int], boxes: list[tuple[Box, str]]) -> Candidate:
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
        return _detection(record, image, size, kept) if kept else None

    described = [[b.x, b.y, b.width, b.height, label] for b, label in boxes]
    return Candidate(
        record_id=record.record_id,
        file_name=upload_name(record.stem, image.suffix.lower()),
        image=image,
        sha256=sha256_of(image),
        width=size[0],
        height=size[1],
        units=max(1, len(boxes)),
        labels=tuple(sorted({label for _, label in boxes})),
        prediction_hash=fingerprint("boxes", described),
        draw=draw,
        without=without,
    )


def _original_of(run: Run, record: Record) -> tuple[Path, tuple[int, int]]:
    for suffix in (".jpg", ".png"):
        saved = run.path("images", record.stem + suffix)
        if saved.is_file():
            return saved, check(saved).size
    original = read_original(record, run, save=True)
    if original.image_path is None:
        raise PictureError("its original was not saved", "Check that the disk has room.")
    return run.inside(original.image_path), original.size


def _image_of(run: Run, entry: ManifestEntry) -> Path | None:
    if entry.image_path is not None and (saved := run.inside(entry.image_path)).is_file():
        return saved
    if entry.source_path is None or entry.image_mode != "full_image":
        return None
    source = Path(entry.source_path)
    try:
        usable = glance(source).copyable and check(source).size == (entry.width, entry.height)
    except AgirError:
        return None
    return source if usable else None


def _class_names(run: Run) -> dict[int, str]:
    names = run.read_metrics("infer-seg").get("classes", {})
    return {int(value): str(name) for value, name in names.items() if int(value) > 0}
