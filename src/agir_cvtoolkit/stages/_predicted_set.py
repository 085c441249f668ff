"""What was predicted in a run as labelled pictures, as ``upload-cvat`` would propose it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from agir_cvtoolkit import masks
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat.pose_shapes import shapes_of_poses
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet, Provenance
from agir_cvtoolkit.pictures import load_mask, sha256_of
from agir_cvtoolkit.poses import overall_confidence, read_poses
from agir_cvtoolkit.records import Item, ManifestEntry, file_stem
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.shapes import Shape, Skeleton

from ._export_split import Side
from ._imported_boxes import read_boxes
from ._label_rules import LabelRules
from ._mask_candidates import image_of, load_instances, mask_labels, mask_shapes
from ._pose_candidates import in_schema
from ._run_joints import schema_of_poses


def predicted_set(run: Run, settings: Settings, split_of: Side, items: list[Item]) -> LabelledSet:
    """Return the records of a run's manifest.

    Args:
        run: with a manifest.
        settings: ``cvat_upload`` says which labels and which shapes.
        split_of: the side of a record.
        items: gets the records whose masks or poses cannot be read.

    Raises:
        NoRunError: nothing was predicted.
    """
    entries = run.read_manifest()
    rules = mask_labels(run, settings)
    schema = schema_of_poses(run) if any(entry.pose_path for entry in entries) else None
    found: dict[str, int | None] = {}
    for entry in entries:
        try:
            for value, name in _labels(run, entry, rules).items():
                found[name] = value if found.get(name, value) == value else None
        except DataError:
            continue  # said when its picture is read
    labels = [LabelEntry(name, "any", value=value) for name, value in sorted(found.items())]
    if schema is not None:
        labels.append(LabelEntry.of_schema(schema))

    def pictures() -> Iterator[LabelledPicture]:
        for entry in entries:
            try:
                shapes = _shapes(run, entry, settings, rules, schema)
            except DataError as error:
                items.append(Item(entry.record_id, "failed", str(error)))
                continue
            path = image_of(run, entry)
            suffix = ".jpg" if path is None else path.suffix
            yield LabelledPicture(
                record_id=entry.record_id,
                file_name=f"{file_stem(entry.record_id)}{suffix}",
                path=path,
                width=entry.width,
                height=entry.height,
                shapes=shapes,
                split=split_of(entry.record_id, partial(_content, entry, path)),
                provenance=Provenance("model", run_id=run.run_id, who=entry.model, finished=False),
            )

    known = {label.name for label in labels}
    boxed = [name for name in run.read_metrics("import").get("labels", []) if name not in known]
    labels += [LabelEntry(name, "rectangle") for name in boxed]
    return LabelledSet(run.run_id, tuple(labels), len(entries), pictures)


def _content(entry: ManifestEntry, path: Path | None) -> str | None:
    return entry.sha256 or (None if path is None else sha256_of(path))


def _labels(run: Run, entry: ManifestEntry, rules: LabelRules) -> dict[int, str]:
    if entry.mask_path is None:
        return {}
    mask = load_mask(run.inside(entry.mask_path), (entry.width, entry.height))
    return rules.labels_of(masks.values_in(mask), entry.label_values, entry.conflicts)


def _shapes(
    run: Run, entry: ManifestEntry, settings: Settings, rules: LabelRules, schema: JointSchema | None
) -> tuple[Shape, ...]:
    size = (entry.width, entry.height)
    found: list[Shape] = []
    if entry.mask_path is not None:
        mask = load_mask(run.inside(entry.mask_path), size)
        labels = rules.labels_of(masks.values_in(mask), entry.label_values, entry.conflicts)
        single = (
            None if entry.instances_path is None else load_instances(run.inside(entry.instances_path), size)
        )
        confidence = round(min(1.0, max(0.0, 1.0 - entry.uncertainty)), 4)
        found += mask_shapes(mask, labels, str, settings.cvat_upload, confidence, single)
    if entry.pose_path is not None and schema is not None:
        poses = [in_schema(pose, schema) for pose in read_poses(run.inside(entry.pose_path))[1]]
        drawn = shapes_of_poses(poses, schema, "skeleton", schema.label, size=size)
        sure = [overall_confidence(pose) for pose in poses]
        found += [
            replace(shape, confidence=round(sure[shape.group - 1], 4))
            if isinstance(shape, Skeleton)
            else shape
            for shape in drawn
        ]
    if entry.boxes_path is not None:
        found += read_boxes(run, entry)
    return tuple(found)
