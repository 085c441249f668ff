"""Poses laid over pictures."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint, Pose

from .overlay import RGB, Colour

LEFT: Final[Colour] = (236, 72, 190)
RIGHT: Final[Colour] = (30, 200, 235)
MIDDLE: Final[Colour] = (250, 205, 40)
OFF: Final[Colour] = (240, 50, 40)

_SHADE: Final[Colour] = (20, 20, 24)
_SUBPIXEL = 4


def skeleton(
    rgb: RGB, pose: Pose, schema: JointSchema, *, truth: Pose | None = None, tolerance: float = math.inf
) -> RGB:
    """Lay a pose over a picture: left limbs, right limbs and the middle in a colour each.

    Visible joints are discs, occluded ones rings. Where the truth is known, a joint farther from it than the
    tolerance gets a line to where it should be.

    Args:
        rgb: uint8 of shape (height, width, 3).
        pose: in pixels of that picture.
        schema: of the pose.
        truth: where the joints are.
        tolerance: in pixels.
    """
    painted = rgb.copy()
    thick = max(1, round(max(rgb.shape[:2]) / 260))
    for first, second in schema.links:
        a, b = pose.at(first), pose.at(second)
        if a.is_there and b.is_there:
            _line(painted, a, b, _SHADE, thick + 2)
            _line(painted, a, b, colour_of(second, schema), thick)
    for joint, point in pose.there.items():
        right = None if truth is None else truth.at(joint)
        if right is not None and right.is_there and _distance(point, right) > tolerance:
            _line(painted, point, right, OFF, thick)
            _disc(painted, right, thick + 1, OFF, -1)
    for joint, point in pose.there.items():
        _disc(painted, point, thick * 2 + 1, _SHADE, -1)
        colour = colour_of(joint, schema)
        _disc(painted, point, thick * 2, colour, -1 if point.visibility == "visible" else max(1, thick // 2))
    return painted


def colour_of(joint: str, schema: JointSchema) -> Colour:
    """Return the colour of a joint's side."""
    for left, right in schema.pairs:
        if joint == left:
            return LEFT
        if joint == right:
            return RIGHT
    return MIDDLE


def scaled(pose: Pose, scale: float) -> Pose:
    """Return a pose as it is in a picture that was made larger by a factor."""
    points = {
        name: Keypoint(point.x * scale, point.y * scale, point.visibility, point.confidence)
        for name, point in pose.keypoints.items()
    }
    return Pose(points, None, pose.attributes)


def places(pose: Pose, schema: JointSchema) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the joints of a pose as float64 of shape (joints, 2), NaN where one is absent."""
    found = np.full((len(schema.joints), 2), np.nan)
    for number, joint in enumerate(schema.joints):
        point = pose.at(joint)
        if point.is_there:
            found[number] = point.x, point.y
    return found


def _distance(a: Keypoint, b: Keypoint) -> float:
    return math.hypot(a.x - b.x, a.y - b.y)


def _line(rgb: RGB, a: Keypoint, b: Keypoint, colour: Colour, thick: int) -> None:
    cv2.line(rgb, _fixed(a), _fixed(b), colour, thick, cv2.LINE_AA, _SUBPIXEL)


def _disc(rgb: RGB, at: Keypoint, radius: int, colour: Colour, thick: int) -> None:
    cv2.circle(rgb, _fixed(at), radius << _SUBPIXEL, colour, thick, cv2.LINE_AA, _SUBPIXEL)


def _fixed(point: Keypoint) -> tuple[int, int]:
    # A model may be very wrong; OpenCV takes 32-bit numbers.
    far = 1 << 20
    return tuple(round(min(max(value, -far), far) * (1 << _SUBPIXEL)) for value in (point.x, point.y))  # type: ignore[return-value]
