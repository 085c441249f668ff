"""Poses: the joints of one animal in one picture.

Coordinates are pixels of the upright picture, x to the right, y down, origin at the top left corner of the top left
pixel, as for every shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    """

    keypoints: Mapping[str, Keypoint] = field(default_factory=dict, hash=False)
    box: Box | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)

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
