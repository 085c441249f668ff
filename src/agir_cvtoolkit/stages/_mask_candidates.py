"""Candidates of the masks that were predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit import masks, outlines
from agir_cvtoolkit.config import CvatUpload, Settings
from agir_cvtoolkit.cvat import upload_name
from agir_cvtoolkit.errors import AgirError, DataError, MaskError
from agir_cvtoolkit.pictures import check, glance, load_mask, sha256_of
from agir_cvtoolkit.records import ManifestEntry, file_stem
from agir_cvtoolkit.runs import Run, fingerprint
from agir_cvtoolkit.shapes import Mask, Polygon, Shape

from ._ahead import ahead, masks_at_once
from ._batch import entries_to_push
from ._candidates import Batch, Candidate, Collector
from ._label_rules import LabelRules

KEPT_BYTES = 32_000_000
"""So much of what was drawn while labels were looked up is kept until it is sent, and not drawn again."""
_POINT_BYTES = 200


def segmentation_batch(run: Run, settings: Settings) -> Callable[[], Batch]:
    """Check that something was predicted, and return what collects the predicted masks of the run.

    Raises:
        NoRunError: nothing was predicted.
        ConfigError: the label map cannot be understood.
    """
    entries = entries_to_push(run)
    upload = settings.cvat_upload
    rules = mask_labels(run, settings)

    def collect() -> Batch:
        found = Collector()
        kept = _Kept()
        largest = max((entry.width * entry.height for entry in entries), default=0)
        work = ((entry, partial(_segmentation, run, entry, rules, upload, kept)) for entry in entries)
        for entry, outcome in ahead(work, masks_at_once(largest)):
            try:
                candidate = outcome.result() if outcome else None
            except DataError as error:
                found.leave(entry.record_id, "failed", str(error), 1)
                continue
            if candidate is None:
                reason = f"Could not load image for record {entry.record_id}"
                found.leave(
                    entry.record_id, "skipped", f"{reason}: run infer-seg with save_images=true again", 1
                )
            else:
                found.candidates.append(candidate)
        return found.batch()

    return collect


class _Kept:
    """Shapes that were drawn when their mask was open anyway, up to some megabytes."""

    def __init__(self) -> None:
        self._left = KEPT_BYTES
        self._lock = Lock()

    def draw(self, make: Callable[[], tuple[Mask | Polygon, ...]]) -> tuple[Mask | Polygon, ...] | None:
        """Return what is made while there is room for it, None afterwards."""
        if self._left <= 0:
            return None
        shapes = make()
        size = sum(s.runs.nbytes if isinstance(s, Mask) else _POINT_BYTES * len(s.points) for s in shapes)
        with self._lock:
            self._left -= size
            return shapes if self._left >= 0 else None


def _segmentation(
    run: Run, entry: ManifestEntry, rules: LabelRules, upload: CvatUpload, kept: _Kept
) -> Candidate | None:
    """Return a record's candidate, None where its picture cannot be had."""
    image = image_of(run, entry)
    if image is None:
        return None
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
    instances_path = None if entry.instances_path is None else run.inside(entry.instances_path)
    labels = rules.labels_of(masks.values_in(mask), entry.label_values, entry.conflicts)
    names = tuple(sorted(set(labels.values()))) if labels else ()
    identity = (sha256_of(mask_path), sorted(labels.items()), upload.mask_strategy, upload.per_component)
    # Without instances the identity is what it was before there were any.
    single = () if instances_path is None else (sha256_of(instances_path),)
    tolerance = upload.polygon_tolerance if upload.mask_strategy == "polygon" else None

    confidence = round(min(1.0, max(0.0, 1.0 - entry.uncertainty)), 4)

    def made(spelled: Callable[[str], str], mask: NDArray[np.uint8]) -> tuple[Mask | Polygon, ...]:
        instances = None if instances_path is None else load_instances(instances_path, size)
        return mask_shapes(mask, labels, spelled, upload, confidence, instances)

    drawn = kept.draw(lambda: made(str, mask))

    def draw(spelled: Callable[[str], str]) -> tuple[Shape, ...]:
        if drawn is not None:
            return tuple(replace(shape, label=spelled(shape.label)) for shape in drawn)
        return made(spelled, load_mask(mask_path, size))

    return Candidate(
        record_id=entry.record_id,
        file_name=upload_name(file_stem(entry.record_id), image.suffix.lower()),
        image=image,
        sha256=digest,
        width=entry.width,
        height=entry.height,
        units=1,
        labels=names,
        prediction_hash=fingerprint("masks", identity, tolerance, *single),
        draw=draw,
        source=Path(entry.source_path) if entry.source_path and entry.image_mode == "full_image" else None,
    )


def mask_shapes(
    mask: NDArray[np.uint8],
    labels: Mapping[int, str],
    spelled: Callable[[str], str],
    upload: CvatUpload,
    confidence: float | None = None,
    instances: NDArray[np.uint16] | None = None,
) -> tuple[Mask | Polygon, ...]:
    """Turn a mask of class ids into shapes, one per label and, if asked, per 8-connected part or instance.

    Args:
        mask: uint8 of shape (height, width).
        labels: label by mask value; values with one label become one shape.
        spelled: returns a label as the server spells it.
        upload: ``mask_strategy``, ``per_component`` and ``polygon_tolerance``.
        confidence: of the whole prediction, in [0, 1].
        instances: uint16 of the mask's shape, numbers of single objects from 1: each is a shape of its own.
    """
    shapes: list[Mask | Polygon] = []
    for name in sorted(set(labels.values())):
        values = [value for value, label in labels.items() if label == name]
        label = spelled(name)
        if instances is not None:
            for left, top, part in instance_parts(np.where(np.isin(mask, values), instances, 0)):
                shapes += _shapes_of_part(label, left, top, part, upload, confidence)
            continue
        if upload.mask_strategy == "polygon":
            for region in outlines.regions(np.isin(mask, values), upload.polygon_tolerance):
                ring = outlines.bridged(region)
                shapes.append(
                    Polygon(
                        label=label,
                        confidence=confidence,
                        points=tuple((float(x), float(y)) for x, y in ring),
                    )
                )
            continue
        pieces = (
            masks.encode_parts(np.isin(mask, values))
            if upload.per_component
            else iter([masks.encode(mask, values=values)])
        )
        shapes.extend(
            Mask(label=label, runs=p.lengths, box=p.box, confidence=confidence)
            for p in pieces
            if p is not None
        )
    return tuple(shapes)


def _shapes_of_part(
    label: str,
    left: int,
    top: int,
    part: NDArray[np.bool_],
    upload: CvatUpload,
    confidence: float | None,
) -> Iterator[Mask | Polygon]:
    """Yield one object that lies at (`left`, `top`): a mask, or a polygon for each of its parts."""
    if upload.mask_strategy == "polygon":
        for region in outlines.regions(part, upload.polygon_tolerance):
            points = tuple((float(x) + left, float(y) + top) for x, y in outlines.bridged(region))
            yield Polygon(label=label, confidence=confidence, points=points)
        return
    runs = masks.encode(part)
    if runs is not None:
        x1, y1, x2, y2 = runs.box
        box = (x1 + left, y1 + top, x2 + left, y2 + top)
        yield Mask(label=label, runs=runs.lengths, box=box, confidence=confidence)


def instance_parts(instances: NDArray[np.uint16]) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Yield left, top and pixels of each numbered object, by number."""
    places = np.flatnonzero(instances)
    numbers = instances.reshape(-1)[places]
    order = np.argsort(numbers, kind="stable")
    places, numbers = places[order], numbers[order]
    begins = np.flatnonzero(np.diff(numbers, prepend=0))
    for own in np.split(places, begins[1:]) if len(places) else ():
        rows, columns = np.divmod(own, instances.shape[1])
        top, left = int(rows.min()), int(columns.min())
        part = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), dtype=np.bool_)
        part[rows - top, columns - left] = True
        yield left, top, part


def load_instances(path: Path, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Read the numbers of single objects, uint16 of shape (height, width).

    Raises:
        MaskError: the file cannot be read, or has another size than `size` (width, height).
    """
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if array is None or array.ndim != 2 or array.dtype != np.uint16 or array.shape != (size[1], size[0]):
        raise MaskError(
            f"{path} does not hold the instances of a picture of {size[0]}x{size[1]}", "Run infer-seg again."
        )
    return array.astype(np.uint16, copy=False)


def image_of(run: Run, entry: ManifestEntry) -> Path | None:
    """Return a record's picture: as it lies in the run, else the source's own if it is the same; None for neither."""
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


def mask_labels(run: Run, settings: Settings) -> LabelRules:
    """Return which label the values of a run's masks get.

    Raises:
        ConfigError: the label map cannot be understood.
    """
    metrics = run.read_metrics("infer-seg")
    names = {int(value): str(name) for value, name in metrics.get("classes", {}).items() if int(value) > 0}
    imported = bool(metrics.get("imported"))
    return LabelRules.from_settings(settings.cvat_upload.label_map, names, by_value=imported)
