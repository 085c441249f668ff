"""The skeletons that a pull has made of single points, in place of what people drew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agir_cvtoolkit.cvat.pose_shapes import shapes_of_poses
from agir_cvtoolkit.joints import SCHEMAS, JointSchema, load_schema
from agir_cvtoolkit.poses import Pose, read_poses
from agir_cvtoolkit.shapes import Point, Points, Rectangle, Shape, Skeleton


def as_skeletons(
    shapes: tuple[Shape, ...], poses: Path, kept: JointSchema | None, size: tuple[int, int]
) -> tuple[Shape, ...]:
    """Make skeletons of the single points of a picture, and join the boxes to their animals by group numbers."""
    found = read_poses(poses)[1]
    if any(isinstance(shape, Skeleton) for shape in shapes):
        return _with_their_boxes(shapes, found)
    areas = tuple(shape for shape in shapes if not isinstance(shape, Points | Rectangle))
    schema = schema_of_file(poses, kept)
    named = next((shape.label for shape in shapes if isinstance(shape, Rectangle)), schema.label)
    made = shapes_of_poses(found, schema, "skeleton", named, size=size)
    return areas + tuple(replace(shape, source="manual") for shape in made)


def _with_their_boxes(shapes: tuple[Shape, ...], poses: tuple[Pose, ...]) -> tuple[Shape, ...]:
    """Give skeletons that were drawn, and the boxes that the pull found to be around them, a group of their own."""
    listed = list(shapes)
    group = max((shape.group for shape in shapes), default=0)
    for pose in poses:
        points = {(point.x, point.y) for point in pose.there.values()}
        if pose.box is None or not points:
            continue
        corners = (pose.box.x, pose.box.y), (pose.box.x + pose.box.width, pose.box.y + pose.box.height)
        box = next(
            (i for i, s in enumerate(listed) if isinstance(s, Rectangle) and s.points == corners), None
        )
        drawn = (i for i, s in enumerate(listed) if isinstance(s, Skeleton) and _places(s) == points)
        skeleton = next(drawn, None)
        if box is None or skeleton is None or 0 != listed[box].group == listed[skeleton].group:
            continue
        group += 1
        for i in (box, skeleton):
            listed[i] = replace(listed[i], group=group)
    return tuple(listed)


def _places(skeleton: Skeleton) -> set[Point]:
    return {element.points[0] for element in skeleton.elements if not element.outside}


def schema_of_file(poses: Path, kept: JointSchema | None) -> JointSchema:
    """Return the schema of a file of poses: the run's own where it is that, else the packaged one.

    Raises:
        DataError: the file is damaged.
        ConfigError: there is no such schema.
    """
    name = read_poses(poses)[0]
    if kept is not None and kept.name == name:
        return kept
    return load_schema(name or SCHEMAS[0])
