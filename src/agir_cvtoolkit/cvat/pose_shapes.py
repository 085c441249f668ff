"""Poses as CVAT's shapes and back: single points with a visibility, skeletons, and boxes around animals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import VISIBILITIES, Keypoint, Pose, Visibility
from agir_cvtoolkit.records import Box
from agir_cvtoolkit.shapes import Points, Rectangle, Shape, Skeleton

from ._animals import Mark, SeenBox, SeenSkeleton, animals_of
from .labels import normal_name

PoseStyle = Literal["points", "skeleton"]
VISIBILITY = "visibility"
"""The attribute of a single point that says whether its joint can be seen."""
BORDER_PX = 1.0
"""What lies so far outside its picture was meant to lie on the border."""


@dataclass(frozen=True)
class PosesRead:
    """What was found in one picture.

    Attributes:
        poses: one per animal, by group number, then from left to right; a box without joints is an animal too.
        problems: what could not be understood and was left out, in words.
    """

    poses: tuple[Pose, ...]
    problems: tuple[str, ...] = ()


def poses_of_shapes(
    shapes: Sequence[Shape], schema: JointSchema, size: tuple[int, int] | None = None
) -> PosesRead:
    """Read the animals of one picture.

    A skeleton is an animal; single points and boxes belong together by their group number. Points without one go to
    the box that they lie in, else to the nearest. Where neither tells, a joint that is there twice makes a second
    animal if the points fall apart into whole animals by distance; else it is listed and left out. Nothing is
    guessed: whatever is left out is in `problems`.

    Args:
        shapes: of the picture, in any order, in pixels.
        schema: the joints, with the other names that they go by.
        size: width and height of the picture; points further outside than `BORDER_PX` are listed. None: not checked.
    """
    problems: list[str] = []
    marks: list[Mark] = []
    boxes: list[SeenBox] = []
    skeletons: list[SeenSkeleton] = []
    for shape in shapes:
        if isinstance(shape, Skeleton):
            found: list[Mark] = []
            for element in shape.elements:
                found += _marks(element, schema, size, problems, f"skeleton '{shape.label}': ")
            skeletons.append(SeenSkeleton(tuple(found), shape.group, dict(shape.attributes)))
        elif isinstance(shape, Points):
            marks += _marks(shape, schema, size, problems, "")
        elif isinstance(shape, Rectangle):
            box = _box(shape, problems)
            if box is not None:
                boxes.append(SeenBox(box, shape.group, dict(shape.attributes)))
        else:
            problems.append(f"the {shape.kind} '{shape.label}' is no part of a pose")
    poses = animals_of(marks, boxes, skeletons, schema, problems)
    return PosesRead(tuple(poses), tuple(problems))


def shapes_of_poses(
    poses: Sequence[Pose],
    schema: JointSchema,
    style: PoseStyle = "points",
    box_label: str | None = None,
    min_confidence: float = 0.0,
    size: tuple[int, int] | None = None,
) -> tuple[Shape, ...]:
    """Draw the animals of one picture as proposals.

    The shapes of an animal share a group number, counted from 1. As single points, joints without a place are not
    drawn; a joint below `min_confidence` is drawn where it was found, as absent. A skeleton has all joints, in the
    schema's order, absent ones outside; one without any joint that can be seen is not drawn.

    Args:
        poses: of the picture, in pixels; joints that the schema does not have are not drawn.
        schema: the joints.
        style: ``points``: a label for each joint; ``skeleton``: one label, that of the schema.
        box_label: of the boxes around animals; None: none are drawn.
        min_confidence: a joint that is less sure is proposed as absent; a person's joint has no confidence and stays.
        size: width and height of the picture: joints outside it are absent, boxes end at its border. None: as given.
    """
    shapes: list[Shape] = []
    for group, pose in enumerate(poses, start=1):
        points = {joint: _seen(pose.at(joint), min_confidence, size) for joint in schema.joints}
        if style == "skeleton":
            skeleton = _skeleton(points, schema, group, pose, carries=box_label is None or pose.box is None)
            if skeleton is not None:
                shapes.append(skeleton)
        else:
            shapes += [
                _point(joint, point, group)
                for joint, point in points.items()
                if _has_place(point, pose.at(joint))
            ]
        box = pose.box.clipped(size) if pose.box is not None and size is not None else pose.box
        if box_label is not None and box is not None and box.width > 0 and box.height > 0:
            corners = (box.x, box.y), (box.x + box.width, box.y + box.height)
            shapes.append(
                Rectangle(label=box_label, points=corners, group=group, attributes=dict(pose.attributes))
            )
    return tuple(shapes)


def _marks(
    shape: Points, schema: JointSchema, size: tuple[int, int] | None, problems: list[str], where: str
) -> list[Mark]:
    joint = schema.resolve(shape.label)
    if joint is None:
        problems.append(f"{where}'{shape.label}' is no joint of {schema.name}")
        return []
    visibility = _visibility(shape)
    if visibility is None:
        said = _said(shape)
        problems.append(
            f"{where}the {VISIBILITY} of '{shape.label}' is '{said}', none of {', '.join(VISIBILITIES)}"
        )
        return []
    found = []
    for x, y in shape.points:
        place = (0.0, 0.0) if visibility == "absent" else _inside((x, y), size)
        if place is None:
            problems.append(f"{where}'{shape.label}' at ({x:g}, {y:g}) lies outside the picture")
            continue
        point = Keypoint(*place, visibility, shape.confidence)
        found.append(Mark(joint, shape.label, point, shape.group))
    return found


def _said(shape: Points) -> str:
    return next((v for name, v in shape.attributes.items() if normal_name(name) == VISIBILITY), "")


def _visibility(shape: Points) -> Visibility | None:
    said = _said(shape).strip().casefold()
    if shape.outside or said == "absent":
        return "absent"
    if said not in {"", *VISIBILITIES}:
        return None
    return "occluded" if shape.occluded or said == "occluded" else "visible"


def _inside(place: tuple[float, float], size: tuple[int, int] | None) -> tuple[float, float] | None:
    if not all(math.isfinite(value) for value in place):
        return None
    if size is None:
        return place
    if not all(-BORDER_PX <= value <= limit + BORDER_PX for value, limit in zip(place, size, strict=True)):
        return None
    return min(max(0.0, place[0]), float(size[0])), min(max(0.0, place[1]), float(size[1]))


def _box(shape: Rectangle, problems: list[str]) -> Box | None:
    if len(shape.points) != 2 or not all(math.isfinite(value) for point in shape.points for value in point):
        problems.append(f"the box '{shape.label}' has no place")
        return None
    (x1, y1), (x2, y2) = shape.points
    left, top, width, height = min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
    if shape.rotation % 180.0:
        turn = math.radians(shape.rotation)
        cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
        wide, high = width * cos + height * sin, width * sin + height * cos
        left, top = left + (width - wide) / 2, top + (height - high) / 2
        width, height = wide, high
    return Box(left, top, width, height)


def _seen(point: Keypoint, min_confidence: float, size: tuple[int, int] | None) -> Keypoint:
    weak = point.confidence is not None and point.confidence < min_confidence
    if not point.is_there:
        return point
    place = _inside((point.x, point.y), size)
    if place is None:
        return Keypoint(0.0, 0.0, "absent", point.confidence)
    return replace(point, x=place[0], y=place[1], visibility="absent" if weak else point.visibility)


def _has_place(point: Keypoint, known: Keypoint) -> bool:
    """Whether a joint was found somewhere, be it with too little confidence."""
    return point.is_there or (known.is_there and (point.x, point.y) != (0.0, 0.0))


def _point(joint: str, point: Keypoint, group: int) -> Points:
    return Points(
        label=joint,
        points=((point.x, point.y),),
        confidence=point.confidence,
        attributes={VISIBILITY: point.visibility},
        group=group,
    )


def _skeleton(
    points: dict[str, Keypoint], schema: JointSchema, group: int, pose: Pose, *, carries: bool
) -> Skeleton | None:
    seen = [point for point in points.values() if point.is_there]
    if not seen:
        return None
    middle = Keypoint(sum(p.x for p in seen) / len(seen), sum(p.y for p in seen) / len(seen))
    elements = []
    for joint, point in points.items():
        place = point if _has_place(point, pose.at(joint)) else middle
        elements.append(
            Points(
                label=joint,
                points=((place.x, place.y),),
                confidence=point.confidence,
                occluded=point.visibility == "occluded",
                outside=not point.is_there,
            )
        )
    sure = [point.confidence for point in seen if point.confidence is not None]
    return Skeleton(
        label=schema.label,
        elements=tuple(elements),
        confidence=sum(sure) / len(sure) if sure else None,
        group=group,
        attributes=dict(pose.attributes) if carries else {},
    )
