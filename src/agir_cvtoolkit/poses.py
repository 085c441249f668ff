"""Poses: the joints of one animal in one picture.

Coordinates are pixels of the upright picture, x to the right, y down, origin at the top left corner of the top left
pixel, as for every shape.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import DataError
from .records import Box

Visibility = Literal["visible", "occluded", "absent"]
VISIBILITIES: tuple[Visibility, ...] = ("visible", "occluded", "absent")


@dataclass(frozen=True)
class Keypoint:
    """Where a joint is.

    Attributes:
        visibility: ``occluded`` is a known place behind something; ``absent`` has no place, x and y are 0.
        confidence: of the model, in [0, 1]; None for a person's.
    """

    x: float
    y: float
    visibility: Visibility = "visible"
    confidence: float | None = None

    @property
    def is_there(self) -> bool:
        """Whether it has a place."""
        return self.visibility != "absent"


ABSENT = Keypoint(0.0, 0.0, "absent")


@dataclass(frozen=True)
class Pose:
    """One animal.

    Attributes:
        keypoints: by joint name; joints that are not in it are absent.
        box: around the animal, where one is known.
        attributes: of the animal, as a person set them.
        rivalry: of a model, how much second places of its joints rival the first ones, in [0, 1]; not written.
    """

    keypoints: Mapping[str, Keypoint] = field(default_factory=dict, hash=False)
    box: Box | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    rivalry: float | None = field(default=None, compare=False)

    def at(self, joint: str) -> Keypoint:
        """Return a joint, `ABSENT` where it is not known."""
        return self.keypoints.get(joint, ABSENT)

    @property
    def there(self) -> Mapping[str, Keypoint]:
        """The joints that have a place."""
        return {name: point for name, point in self.keypoints.items() if point.is_there}


def overall_confidence(pose: Pose, floor: float = 0.3) -> float:
    """Return the mean confidence of the joints above a floor, 0.0 where none is: what devices compute."""
    known = [p.confidence for p in pose.there.values() if p.confidence is not None and p.confidence > floor]
    return sum(known) / len(known) if known else 0.0


def joint_doubt(pose: Pose) -> float:
    """Return how unsure a model is whether the joints are where it says, in [0, 1]: the mean of 1 - abs(2c - 1).

    A joint of confidence c near 1 is there, one near 0 is surely absent; of one near 0.5 nothing is known.
    """
    known = [p.confidence for p in pose.keypoints.values() if p.confidence is not None]
    return sum(1 - abs(2 * c - 1) for c in known) / len(known) if known else 0.0


def priority_of(confidence: float, threshold: float) -> int:
    """Return 1 (nearly sure) to 10 (not at all): clamp(int((threshold - confidence) / threshold * 10) + 1, 1, 10).

    Args:
        confidence: of a capture, in [0, 1].
        threshold: below which a capture is uncertain, in (0, 1].

    Raises:
        ValueError: either is out of its range.
    """
    if not (math.isfinite(threshold) and 0 < threshold <= 1):
        raise ValueError(f"the threshold is {threshold:g}, not in (0, 1]")
    if not (math.isfinite(confidence) and 0 <= confidence <= 1):
        raise ValueError(f"the confidence is {confidence:g}, not in [0, 1]")
    return min(10, max(1, int((threshold - confidence) / threshold * 10) + 1))


def box_of(pose: Pose, joints: Collection[str] | None = None) -> Box | None:
    """Return the box of a pose: its own, else the tight one around its joints; None where it has no extent.

    Args:
        pose: of one animal.
        joints: that count; None is all.
    """
    if pose.box is not None and pose.box.width > 0 and pose.box.height > 0:
        return pose.box
    there = [p for name, p in pose.there.items() if joints is None or name in joints]
    if len(there) < 2:
        return None
    left, right = min(p.x for p in there), max(p.x for p in there)
    top, bottom = min(p.y for p in there), max(p.y for p in there)
    return Box(left, top, right - left, bottom - top) if right > left or bottom > top else None


def animal_area(pose: Pose, joints: Collection[str] | None = None) -> float:
    """Return the area of OKS in square pixels, NaN where it has none: that of the pose's box.

    COCO takes the area of the person's outline; animals have none here, so the box stands in for it. A thin
    box (an animal seen along one line) counts as at least a quarter as wide as it is long.

    Args:
        pose: of one animal.
        joints: that count; None is all.
    """
    box = box_of(pose, joints)
    if box is None:
        return math.nan
    longer, shorter = max(box.width, box.height), min(box.width, box.height)
    return longer * max(shorter, longer / 4)


def pose_to_plain(pose: Pose) -> dict[str, Any]:
    """Return a pose as a dict that JSON can hold; `pose_from_plain` gives the same pose back."""
    return {
        "keypoints": {
            name: {"x": p.x, "y": p.y, "visibility": p.visibility, "confidence": p.confidence}
            for name, p in pose.keypoints.items()
        },
        "box": [pose.box.x, pose.box.y, pose.box.width, pose.box.height] if pose.box else None,
        "attributes": dict(pose.attributes),
    }


def pose_from_plain(content: Mapping[str, Any]) -> Pose:
    """Return the pose that `pose_to_plain` was given; box, attributes, visibility and confidence may be missing.

    Raises:
        DataError: a part is missing or of the wrong kind, or a number is not finite.
    """
    try:
        box = content.get("box")
        attributes = content.get("attributes") or {}
        return Pose(
            keypoints={str(name): _keypoint(point) for name, point in content["keypoints"].items()},
            box=None if box is None else Box(*_numbers(box, 4)),
            attributes={str(name): str(value) for name, value in attributes.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"a stored pose cannot be read: {error!r}", "Its file is damaged.") from error


def write_poses(path: Path, schema_name: str, poses: Sequence[Pose]) -> None:
    """Write the poses of one picture as JSON, whole or not at all.

    Args:
        path: the file; its folder appears when it is not there.
        schema_name: whose joints the poses have.
        poses: of the picture, one per animal; none is a picture without animals.
    """
    content = {"schema": schema_name, "poses": [pose_to_plain(pose) for pose in poses]}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:80]}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(text.encode("utf-8"))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_poses(path: Path) -> tuple[str, tuple[Pose, ...]]:
    """Return the name of the schema and the poses that `write_poses` was given.

    Raises:
        DataError: there is no such file, or it is damaged.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the poses in {path} cannot be read: {error}", _MADE_ANEW) from error
    if not isinstance(content, dict) or not isinstance(content.get("poses"), list):
        raise DataError(f"{path} holds no poses", _MADE_ANEW)
    try:
        return str(content.get("schema") or ""), tuple(pose_from_plain(pose) for pose in content["poses"])
    except DataError as error:
        raise DataError(f"{path}: {error.problem}", _MADE_ANEW) from error


_MADE_ANEW = "Run the stage that wrote it again."


def _keypoint(content: Mapping[str, Any]) -> Keypoint:
    x, y = _numbers((content["x"], content["y"]), 2)
    visibility, confidence = content.get("visibility", "visible"), content.get("confidence")
    if visibility not in VISIBILITIES:
        raise ValueError(f"{visibility!r} is no visibility")
    return Keypoint(x, y, visibility, None if confidence is None else _numbers((confidence,), 1)[0])


def _numbers(values: Sequence[Any], count: int) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if len(found) != count or not all(math.isfinite(value) for value in found):
        raise ValueError(f"{list(values)!r} are not {count} finite numbers")
    return found
