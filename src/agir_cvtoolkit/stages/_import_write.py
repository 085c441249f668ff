"""Labelled pictures into a run: masks and poses as ``infer-seg`` and ``infer-pose`` leave them, or boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.cvat.pose_shapes import poses_of_shapes
from agir_cvtoolkit.errors import DataError, MaskError, PictureError
from agir_cvtoolkit.formats import areas
from agir_cvtoolkit.inference.originals import Original, Reading
from agir_cvtoolkit.joints import SCHEMAS, JointSchema, load_schema
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.poses import Pose, overall_confidence, write_poses
from agir_cvtoolkit.records import Box, ManifestEntry, Record
from agir_cvtoolkit.runs import Run, atomic_path
from agir_cvtoolkit.shapes import Points, Polyline, Rectangle, Shape, Skeleton

from ._imported_boxes import write_boxes

_MOST_INSTANCES = 65_535
_SEVERAL_CLASSES = 255


@dataclass
class RunWriter:
    """Writes the pictures of a set into a run.

    Attributes:
        model: what the manifest names as the origin.
        kind: ``masks``, ``poses`` or ``boxes``.
        values: mask value by label; for masks.
        schema: of the joints; for poses, else None.
        left_out: what is not taken, counted by what it is.
    """

    run: Run
    model: str
    kind: str
    values: Mapping[str, int] = field(default_factory=dict)
    schema: JointSchema | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._reading = Reading(self.run, save=True)

    def write(self, picture: LabelledPicture) -> ManifestEntry:
        """Lay a picture and its masks or poses into the run.

        Raises:
            PictureError: the picture is not at hand or damaged.
            DataError: the labels do not fit the picture.
        """
        if picture.path is None:
            raise PictureError(
                f"{picture.file_name} is not at hand", "Name the folder of the pictures: --pictures FOLDER"
            )
        record = Record(picture.record_id, picture.path)
        original = self._reading.original(record)
        if original.size != picture.size:
            raise DataError(
                f"its labels are for {picture.width}x{picture.height} pixels, {picture.path.name} has"
                f" {original.size[0]}x{original.size[1]}",
                "Are they of another version of the picture, or of one that was not turned upright?",
            )
        self.left_out["tags"] += len(picture.tags)
        entry = ManifestEntry(
            record_id=record.record_id,
            common_name=None,
            image_path=original.image_path,
            mask_path=None,
            width=picture.width,
            height=picture.height,
            sha256=original.sha256,
            model=self.model,
            uncertainty=0.0,
            edge_occupancy=0.0,
            inference_time_ms=0.0,
            source_path=str(picture.path.absolute()),
        )
        if self.schema is not None:
            return self._with_poses(entry, picture, record, self.schema)
        if self.kind == "boxes":
            return self._with_boxes(entry, picture, record)
        return self._with_masks(entry, picture, record, original)

    def _with_masks(
        self, entry: ManifestEntry, picture: LabelledPicture, record: Record, original: Original
    ) -> ManifestEntry:
        mask: NDArray[np.uint8] = np.zeros((picture.height, picture.width), dtype=np.uint8)
        single: NDArray[np.uint16] = np.zeros(mask.shape, dtype=np.uint16)
        count, names, sure = 0, set(), []
        for shape in picture.shapes:
            patch = self._patch(shape, picture.size)
            if patch is None:
                continue
            count += 1
            if count > _MOST_INSTANCES:
                raise DataError(f"it has more than {_MOST_INSTANCES} shapes")
            names.add(shape.label)
            if shape.confidence is not None:
                sure.append(shape.confidence)
            rows, columns = patch.pixels.shape
            window = np.s_[patch.top : patch.top + rows, patch.left : patch.left + columns]
            self.left_out["shapes that lie on others (the upper one has the pixels)"] += bool(
                single[window][patch.pixels].any()
            )
            mask[window][patch.pixels] = self.values[shape.label]
            single[window][patch.pixels] = count
        if not count and any(isinstance(shape, Rectangle) for shape in picture.shapes):
            raise DataError("it has boxes, of which no mask is made", "Take the boxes: --as boxes")
        border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
        name = names.pop() if len(names) == 1 else None
        return replace(
            entry,
            common_name=name,
            mask_path=self._save("masks", record, mask),
            instances_path=self._save("instances", record, single),
            instances=count,
            uncertainty=round(1.0 - sum(sure) / len(sure), 6) if sure else 0.0,
            edge_occupancy=round(float((border != 0).mean()), 6),
            foreground_share=round(float((mask != 0).mean()), 6),
            class_id=self.values[name] if name is not None else _SEVERAL_CLASSES,
        )

    def _patch(self, shape: Shape, size: tuple[int, int]) -> areas.Patch | None:
        if isinstance(shape, Points | Polyline | Skeleton | Rectangle):
            self.left_out[f"shapes of kind {shape.kind}"] += 1
            return None
        if shape.attributes:
            self.left_out["attributes"] += 1
        if not areas.is_finite(shape):
            raise MaskError(f"a {shape.kind} has a place that is no number")
        patch = areas.patch_of(shape, size)
        if patch is None:
            self.left_out["shapes without a pixel in their picture"] += 1
        return patch

    def _with_boxes(self, entry: ManifestEntry, picture: LabelledPicture, record: Record) -> ManifestEntry:
        boxes, sure = [], []
        for shape in picture.shapes:
            box = self._box(shape, picture.size)
            if box is None:
                continue
            boxes.append(box)
            if box.confidence is not None:
                sure.append(box.confidence)
        path = self.run.path("boxes", f"{record.stem}.json")
        write_boxes(path, boxes)
        names = {box.label for box in boxes}
        return replace(
            entry,
            common_name=names.pop() if len(names) == 1 else None,
            boxes_path=str(path.relative_to(self.run.root)),
            instances=len(boxes),
            uncertainty=round(1.0 - min(sure), 6) if sure else 0.0,
        )

    def _box(self, shape: Shape, size: tuple[int, int]) -> Rectangle | None:
        """Return a box as it is sent to CVAT: within its picture, unless it is turned."""
        if isinstance(shape, Points | Polyline | Skeleton):
            self.left_out[f"shapes of kind {shape.kind}"] += 1
            return None
        if not areas.is_finite(shape):
            raise DataError(f"a {shape.kind} has a place that is no number")
        if shape.attributes:
            self.left_out["attributes"] += 1
        if isinstance(shape, Rectangle) and shape.rotation % 360:
            return replace(shape, attributes={}, group=0)
        if not isinstance(shape, Rectangle):
            self.left_out["areas (taken as the box around them)"] += 1
        inside = Box(*areas.extent_of(areas.points_of(shape))).clipped(size)
        if inside is None:
            self.left_out["shapes without a pixel in their picture"] += 1
            return None
        return Rectangle(
            label=shape.label,
            points=((inside.x, inside.y), (inside.x + inside.width, inside.y + inside.height)),
            source="file",
            occluded=shape.occluded,
            confidence=shape.confidence,
            z_order=shape.z_order,
        )

    def _with_poses(
        self, entry: ManifestEntry, picture: LabelledPicture, record: Record, schema: JointSchema
    ) -> ManifestEntry:
        marks = [s for s in picture.shapes if isinstance(s, Points | Skeleton | Rectangle)]
        self.left_out["shapes that are no part of a pose"] += len(picture.shapes) - len(marks)
        found = poses_of_shapes(marks, schema, picture.size)
        for problem in found.problems:
            self.left_out[problem] += 1
        overall = [s.confidence for s in marks if isinstance(s, Skeleton) and s.confidence is not None]
        poses = [_sure(pose, overall) for pose in found.poses]
        least = [
            overall_confidence(pose)
            for pose in poses
            if any(p.confidence is not None for p in pose.there.values())
        ]
        path = self.run.path("poses", f"{record.stem}.json")
        write_poses(path, schema.name, poses)
        return replace(
            entry,
            pose_path=str(path.relative_to(self.run.root)),
            uncertainty=round(1.0 - min(least), 6) if least else 0.0,
        )

    def _save(self, folder: str, record: Record, array: NDArray[np.uint8] | NDArray[np.uint16]) -> str:
        path = self.run.path(folder, f"{record.stem}.png")
        with atomic_path(path) as temporary:
            save_png(array, temporary)
        return str(path.relative_to(self.run.root))


def _sure(pose: Pose, overall: list[float]) -> Pose:
    """Give joints without a confidence that of the one animal that the file is sure of."""
    if len(overall) != 1:
        return pose
    points = {
        name: replace(point, confidence=overall[0]) if point.is_there and point.confidence is None else point
        for name, point in pose.keypoints.items()
    }
    return replace(pose, keypoints=points)


def schema_of_label(label: LabelEntry) -> JointSchema:
    """Return the packaged schema that has exactly a label's joints, else one of the label's own.

    Raises:
        ConfigError: a joint's name is empty or there twice.
    """
    for name in SCHEMAS:
        schema = load_schema(name)
        if sorted(map(str, map(schema.resolve, label.joints))) == sorted(schema.joints):
            return schema
    pairs = tuple(
        (label.joints[i], label.joints[other]) for i, other in enumerate(label.mirrored) if i < other
    )
    sides = pairs or tuple(
        (joint, other)
        for joint in label.joints
        if joint.startswith("left_") and (other := f"right_{joint[5:]}") in label.joints
    )
    sigmas = (0.05,) * len(label.joints)
    return JointSchema(label.name, label.name, label.joints, label.links, sides, sigmas=sigmas)


def schema_of_points(labels: tuple[LabelEntry, ...]) -> JointSchema | None:
    """Return the first packaged schema that has a joint for most of the labels; None where none has more than half."""
    best: tuple[int, JointSchema | None] = (len(labels) // 2, None)
    for name in SCHEMAS:
        schema = load_schema(name)
        known = sum(schema.resolve(label.name) is not None for label in labels)
        if known > best[0]:
            best = (known, schema)
    return best[1]


def has_files(run: Run, entry: ManifestEntry) -> bool:
    """Whether all files of a line lie in the run."""
    return all(run.inside(name).is_file() for name in entry.files)
