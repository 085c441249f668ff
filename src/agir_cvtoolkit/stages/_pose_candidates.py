"""Candidates of the poses that were predicted, or that devices sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agir_cvtoolkit.config import PoseProposals, Settings
from agir_cvtoolkit.cvat import LabelSet, upload_name
from agir_cvtoolkit.cvat.pose_labels import check_pose_labels, pose_labels
from agir_cvtoolkit.cvat.pose_shapes import shapes_of_poses
from agir_cvtoolkit.errors import DataError, NoRunError
from agir_cvtoolkit.joints import JointSchema, load_schema
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.plain_shapes import to_plain
from agir_cvtoolkit.poses import Keypoint, Pose, read_poses
from agir_cvtoolkit.records import ManifestEntry, file_stem
from agir_cvtoolkit.runs import Run, fingerprint
from agir_cvtoolkit.shapes import Shape

from ._batch import entries_to_push, has_batch
from ._candidates import Batch, Candidate, Collector
from ._mask_candidates import image_of
from ._run_joints import schema_of_poses

_log = logging.getLogger(__name__)


def with_source(settings: Settings, run: Run) -> Settings:
    """Return the settings with ``cvat_upload.source.type`` found from the manifest where the user has not said it.

    A run whose records have poses and no masks uploads key points.
    """
    if settings.is_explicit("cvat_upload.source.type") or settings.cvat_upload.source.type != "segmentations":
        return settings
    try:
        entries = run.read_manifest()
    except NoRunError:
        return settings
    if not any(entry.pose_path for entry in entries) or any(entry.mask_path for entry in entries):
        return settings
    source = settings.cvat_upload.source.model_copy(update={"type": "keypoints"})
    upload = settings.cvat_upload.model_copy(update={"source": source})
    return settings.model_copy(update={"cvat_upload": upload})


def check_project(run: Run, settings: Settings, labels: LabelSet) -> None:
    """Check that the labels of a project take the poses of a run.

    Raises:
        LabelError: they do not; all that is wrong is named.
        ConfigError: there is no such pose schema.
    """
    pose = settings.cvat_upload.pose
    check_pose_labels(labels, schema_of(run, pose), pose.style, pose.box_label)


def schema_of(run: Run, pose: PoseProposals) -> JointSchema:
    """Return the schema that poses are proposed in: the configured one, else that of the run's first poses.

    Raises:
        ConfigError: there is no such schema.
    """
    if pose.joints is not None:
        return load_schema(pose.joints)
    return schema_of_poses(run)


def pose_batch(run: Run, settings: Settings) -> Callable[[], Batch]:
    """Check that there are poses, and return what collects them: in the order of the batch that was chosen, else those
    first of which the model is least sure.

    Raises:
        NoRunError: there are none.
        ConfigError: there is no such pose schema.
    """
    entries = entries_to_push(run)
    if not any(entry.pose_path for entry in entries):
        raise NoRunError(
            f"run {run.run_id} has no poses",
            "Predict them first: agir-cvtoolkit infer-pose, or firebase transfer.",
        )
    pose = settings.cvat_upload.pose
    schema = schema_of(run, pose)

    def collect() -> Batch:
        found = Collector()
        ordered = entries if has_batch(run) else sorted(entries, key=lambda one: -one.uncertainty)
        for entry in ordered:
            try:
                candidate = _candidate(run, entry, schema, pose)
            except DataError as error:
                found.leave(entry.record_id, "failed", str(error), 1)
                continue
            if candidate is None:
                reason = f"Could not load image for record {entry.record_id}"
                found.leave(entry.record_id, "skipped", f"{reason}: save the pictures in the run", 1)
            else:
                found.candidates.append(candidate)
        batch = found.batch()
        labels = pose_labels(schema, pose.style, pose.box_label)
        return Batch(batch.candidates, batch.items, batch.total, batch.skipped, batch.failed, labels)

    return collect


def in_schema(pose: Pose, schema: JointSchema) -> Pose:
    """Return a pose with the joints of a schema: other names are read as its aliases, what it lacks is left out."""
    ranks = {name: rank for rank, name in enumerate(schema.aliases)}
    keypoints: dict[str, Keypoint] = {}
    for name in sorted(
        pose.keypoints, key=lambda one: (one not in schema.joints, ranks.get(one, len(ranks)))
    ):
        joint = schema.resolve(name)
        if joint is not None:
            keypoints.setdefault(joint, pose.keypoints[name])
    return Pose(keypoints, pose.box, pose.attributes)


def _candidate(run: Run, entry: ManifestEntry, schema: JointSchema, pose: PoseProposals) -> Candidate | None:
    """Return a record's candidate, None where its picture cannot be had."""
    image = image_of(run, entry)
    if image is None:
        return None
    digest = sha256_of(image)
    if entry.sha256 is not None and digest != entry.sha256:
        raise DataError(
            f"picture {image.name} was changed after its poses were found", "Find its poses again."
        )
    if entry.pose_path is None:
        raise DataError("no poses were looked for", "Predict again: agir-cvtoolkit infer-pose.")
    _, poses = read_poses(run.inside(entry.pose_path))
    size = (entry.width, entry.height)
    shapes = _shapes(poses, schema, pose, size)
    return Candidate(
        record_id=entry.record_id,
        file_name=upload_name(file_stem(entry.record_id), image.suffix.lower()),
        image=image,
        sha256=digest,
        width=entry.width,
        height=entry.height,
        units=1,
        labels=tuple(sorted({shape.label for shape in shapes})),
        prediction_hash=fingerprint("poses", [to_plain(shape) for shape in shapes]),
        draw=lambda spelled: tuple(_relabelled(shape, spelled) for shape in shapes),
        source=Path(entry.source_path) if entry.source_path and entry.image_mode == "full_image" else None,
        kinds=_kinds(shapes),
    )


def _shapes(
    poses: Sequence[Pose], schema: JointSchema, pose: PoseProposals, size: tuple[int, int]
) -> tuple[Shape, ...]:
    known = [in_schema(one, schema) for one in poses]
    lost = sum(len(one.keypoints) - len(two.keypoints) for one, two in zip(poses, known, strict=True))
    if lost:
        _log.info("%d key points have names that %s does not know, or share a joint", lost, schema.name)
    return shapes_of_poses(known, schema, pose.style, pose.box_label, pose.min_confidence, size)


def _relabelled(shape: Shape, spelled: Callable[[str], str]) -> Shape:
    return replace(shape, label=spelled(shape.label))


def _kinds(shapes: Sequence[Shape]) -> Mapping[str, str]:
    return {shape.label: shape.kind for shape in shapes}
