"""The poses of a pulled task, beside its annotations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from agir_cvtoolkit.cvat import JobInfo
from agir_cvtoolkit.cvat.pose_labels import schema_of_labels
from agir_cvtoolkit.cvat.pose_shapes import poses_of_shapes
from agir_cvtoolkit.joints import SCHEMAS, JointSchema, load_schema
from agir_cvtoolkit.poses import write_poses
from agir_cvtoolkit.shapes import Shape

from ._pull_context import PullContext
from ._pull_files import Area
from ._run_joints import kept_schema

FOLDER = "poses"


def pulled_schema(context: PullContext, job: JobInfo) -> JointSchema | None:
    """Return the joints that a job is about; None for a job that is about something else.

    What ``cvat_download.joints`` says holds; else the first schema that all labels are there for: that of
    ``cvat_upload.pose``, that of the run's poses, that of ``firebase.pose``, then the packaged ones.

    Raises:
        ConfigError: there is no such schema.
        RemoteError: the labels cannot be read.
    """
    settings = context.settings
    if settings.cvat_download.joints is not None:
        return load_schema(settings.cvat_download.joints)
    proposed, kept = settings.cvat_upload.pose.joints, kept_schema(context.run)
    first = [] if proposed is None else [load_schema(proposed)]
    first += [] if kept is None else [kept]
    rest = map(load_schema, dict.fromkeys((settings.firebase.pose.joints, *SCHEMAS)))
    return schema_of_labels(context.labels.of(job), chain(first, rest))


def write_found_poses(
    folder: Path, stem: str, shapes: Sequence[Shape], schema: JointSchema, size: tuple[int, int]
) -> tuple[str, tuple[str, ...]]:
    """Read the animals of one frame and write them.

    Args:
        folder: of the task.
        stem: of the record's files.
        shapes: of the frame; areas are no part of a pose and lie in the mask.
        schema: the joints.
        size: width and height of the picture.

    Returns:
        The path relative to the folder, and what could not be understood.
    """
    found = poses_of_shapes([shape for shape in shapes if not isinstance(shape, Area)], schema, size)
    path = f"{FOLDER}/{stem}.json"
    write_poses(folder / path, schema.name, found.poses)
    return path, found.problems
