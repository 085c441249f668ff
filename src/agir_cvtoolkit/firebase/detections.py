"""The poses that devices send, in the many ways in which they write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.poses import Keypoint, Pose, Visibility
from agir_cvtoolkit.records import Box

from ._values import number, text

MOST_PROBLEMS = 20
_FARTHEST = 1e7
_NAME_KEYS = ("type", "name", "joint", "label", "id")
_POINT_KEYS = ("keypoints", "points", "joints", "landmarks")
_BOX_KEYS = ("box", "bbox", "boundingBox", "bounding_box")
_NORMALIZED = {"normalized", "normalised", "vision", "relative"}


def read_poses(
    detected: Sequence[Any], size: tuple[int, int] | None = None
) -> tuple[tuple[Pose, ...], tuple[str, ...]]:
    """Return the poses that a device detected, in pixels of its picture, and what could not be understood.

    Each entry is a pose: a mapping with ``keypoints`` (a list of ``{type|name, x, y, confidence, visible}`` or a
    mapping by joint), such a list, or such a mapping itself; a flat list of key points is one pose. Joints keep the
    names that the device gave them. Coordinates are pixels, x right and y down, unless ``coordinates`` says
    ``vision`` or ``normalized`` or all of them lie in [0, 1]: those are Apple Vision's, shares of the picture with
    the origin at the bottom left, and need its size.

    Args:
        detected: as in the document.
        size: width and height of the upright picture.
    """
    problems: list[str] = []
    entries: list[Any] = [detected] if detected and all(_is_point(item) for item in detected) else [*detected]
    poses = [pose for entry in entries if (pose := _pose(entry, size, problems)) is not None]
    if len(problems) > MOST_PROBLEMS:
        more = len(problems) - MOST_PROBLEMS
        problems = [*problems[:MOST_PROBLEMS], f"and {more} more of the kind"]
    return tuple(poses), tuple(problems)


def with_picture_size(capture: Capture, size: tuple[int, int]) -> Capture:
    """Return a capture whose poses are read again now that its picture's size is known (see `read_poses`)."""
    poses, problems = read_poses(capture.detected, size)
    if not capture.detected:
        return capture
    kept = tuple(problem for problem in capture.problems if not problem.startswith("detectedPoses"))
    return replace(capture, poses=poses, problems=(*kept, *problems))


def write_poses(poses: Iterable[Pose]) -> list[dict[str, Any]]:
    """Return poses as devices write them; coordinates are pixels."""
    return [
        {
            "keypoints": [
                {
                    "type": name,
                    "x": float(point.x),
                    "y": float(point.y),
                    "visible": point.visibility == "visible",
                }
                | ({} if point.confidence is None else {"confidence": float(point.confidence)})
                for name, point in pose.there.items()
            ],
            "coordinates": "pixel",
        }
        | ({} if pose.box is None else {"box": [pose.box.x, pose.box.y, pose.box.width, pose.box.height]})
        for pose in poses
    ]


def _is_point(item: Any) -> bool:
    return (
        isinstance(item, Mapping) and "x" in item and "y" in item and not any(k in item for k in _POINT_KEYS)
    )


def _named(points: Any) -> list[tuple[str, Any]]:
    if isinstance(points, Mapping):
        return [(str(name), point) for name, point in points.items()]
    if isinstance(points, list | tuple):
        return [(next((text(p[k]) for k in _NAME_KEYS if k in p), ""), p) for p in points if _is_mapping(p)]
    return []


def _is_mapping(item: Any) -> bool:
    return isinstance(item, Mapping)


def _pose(entry: Any, size: tuple[int, int] | None, problems: list[str]) -> Pose | None:
    around: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
    raw = next((around[key] for key in _POINT_KEYS if key in around), None)
    if raw is None and around and all(_is_point(point) for point in around.values()):
        raw, around = around, {}
    named = _named(entry if not around and raw is None else raw)
    if not named:
        problems.append("detectedPoses: an entry has no key points and is left out")
        return None
    points: dict[str, Keypoint] = {}
    for name, point in named:
        read = _point(point) if name else None
        if read is None:
            problems.append(
                f"detectedPoses: the joint '{name[:80]}' has no name or no place and counts as absent"
            )
        elif read.is_there and (
            name not in points or (read.confidence or 0) > (points[name].confidence or 0)
        ):
            points[name] = read
    box = _box(next((around[key] for key in _BOX_KEYS if key in around), None))
    if not _is_normalized(around, points):
        return Pose(points, box)
    size = size or picture_size(around)
    if size is None:
        problems.append("detectedPoses: coordinates are shares of the picture, whose size is not known yet")
        return None
    return _in_pixels(points, box, size)


def _point(point: Any) -> Keypoint | None:
    if isinstance(point, list | tuple) and len(point) in {2, 3}:
        point = dict(zip(("x", "y", "confidence"), point, strict=False))
    if not isinstance(point, Mapping):
        return None
    visibility = _visibility(point)
    if visibility == "absent":
        return Keypoint(0.0, 0.0, "absent")
    x, y = number(point.get("x")), number(point.get("y"))
    if x is None or y is None or max(abs(x), abs(y)) > _FARTHEST:
        return None
    given = number(point.get("confidence", point.get("score")))
    confidence = None if given is None else min(1.0, max(0.0, given))
    if visibility == "occluded" and x == 0 and y == 0:
        # So devices write a joint that they did not find.
        return Keypoint(0.0, 0.0, "absent")
    return Keypoint(x, y, visibility, confidence)


def _visibility(point: Mapping[str, Any]) -> Visibility:
    said = point.get("visibility", point.get("visible", True))
    if isinstance(said, str):
        word = said.strip().lower()
        if word in {"absent", "none", "outside"}:
            return "absent"
        return "occluded" if word in {"occluded", "hidden", "false", "0"} else "visible"
    return "occluded" if said is False or said == 0 else "visible"


def _box(value: Any) -> Box | None:
    if isinstance(value, Mapping):
        value = [value.get(key) for key in ("x", "y", "width", "height")]
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    numbers = [found for item in value if (found := number(item)) is not None]
    if len(numbers) != 4 or numbers[2] <= 0 or numbers[3] <= 0 or max(map(abs, numbers)) > _FARTHEST:
        return None
    return Box(*numbers)


def _is_normalized(around: Mapping[str, Any], points: Mapping[str, Keypoint]) -> bool:
    said = text(around.get("coordinates", around.get("coordinateSystem"))).strip().lower()
    if said:
        return said in _NORMALIZED
    places = [value for point in points.values() for value in (point.x, point.y)]
    return len(points) > 1 and all(0 <= value <= 1 for value in places) and any(v % 1 for v in places)


def picture_size(document: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return width and height of the picture that a document names; None where it does not."""
    inner = document.get("imageSize", document.get("image_size"))
    width = number(document.get("imageWidth", document.get("image_width")))
    height = number(document.get("imageHeight", document.get("image_height")))
    if isinstance(inner, Mapping):
        width, height = number(inner.get("width")), number(inner.get("height"))
    if width is None or height is None or not (1 <= width <= 1e6 and 1 <= height <= 1e6):
        return None
    return int(width), int(height)


def _in_pixels(points: Mapping[str, Keypoint], box: Box | None, size: tuple[int, int]) -> Pose:
    width, height = size
    turned = {
        name: replace(point, x=point.x * width, y=(1.0 - point.y) * height) for name, point in points.items()
    }
    if box is not None:
        top = (1.0 - box.y - box.height) * height
        box = Box(box.x * width, top, box.width * width, box.height * height)
    return Pose(turned, box)
