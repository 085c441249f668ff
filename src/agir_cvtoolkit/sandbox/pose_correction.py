"""What a careful annotator would change of the poses on one frame, given the truth. Coordinates only, no server."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint, Pose

_FARTHEST = 2.5
"""A careful hand errs by no more than so many standard deviations in x and in y."""


@dataclass(frozen=True)
class PoseHand:
    """A hand that places joints about as exactly as people do.

    People who label the same joint differ by its sigma times the animal's size (COCO keypoint evaluation, Ronchi and
    Perona 2017); this hand errs by a share of that.

    Attributes:
        schema: with the sigmas.
        error: standard deviation in x and in y, as a share of sigma times size.
        tolerance_px: how far off a proposal may be before it is corrected; at least the hand's own error.
    """

    schema: JointSchema
    error: float = 0.25
    tolerance_px: float = 2.0

    def deviation(self, pose: Pose, joint: str) -> float:
        """Return the standard deviation of the hand on a joint of a true pose, in pixels."""
        return self.error * self.schema.sigmas[self.schema.index(joint)] * pose_size(pose)

    def reach(self, pose: Pose, joint: str) -> float:
        """Return how far from the truth a corrected joint lies at most, in pixels."""
        own = math.hypot(_FARTHEST, _FARTHEST) * self.deviation(pose, joint)
        return max(own, self._tolerance(pose, joint))

    def is_right(self, point: Keypoint, pose: Pose, joint: str) -> bool:
        """Whether a proposal stays as it is."""
        truth = pose.at(joint)
        if not truth.is_there:
            return not point.is_there
        if point.visibility != truth.visibility:
            return False
        return math.hypot(point.x - truth.x, point.y - truth.y) <= self._tolerance(pose, joint)

    def place(
        self, pose: Pose, joint: str, size: tuple[int, int], chance: random.Random
    ) -> tuple[float, float]:
        """Return where the hand puts a joint, inside a picture of `size` (width, height)."""
        truth, deviation = pose.at(joint), self.deviation(pose, joint)
        off = (min(max(chance.gauss(0, 1), -_FARTHEST), _FARTHEST) * deviation for _ in range(2))
        x, y = (value + error for value, error in zip((truth.x, truth.y), off, strict=True))
        return min(max(0.0, x), float(size[0])), min(max(0.0, y), float(size[1]))

    def _tolerance(self, pose: Pose, joint: str) -> float:
        return max(self.tolerance_px, self.deviation(pose, joint))


def pose_size(pose: Pose) -> float:
    """Return the square root of the area that an animal fills, in pixels: of its box, else of the box of its joints."""
    if pose.box is not None:
        return math.sqrt(max(1.0, pose.box.width * pose.box.height))
    xs, ys = (
        zip(*((point.x, point.y) for point in pose.there.values()), strict=True)
        if pose.there
        else ((0,), (0,))
    )
    return math.sqrt(max(1.0, (max(xs) - min(xs)) * (max(ys) - min(ys))))


def match_poses(proposals: Sequence[Pose], truth: Sequence[Pose]) -> dict[int, int]:
    """Return for each proposal, by place, the true pose that it is meant for; the nearest pairs first.

    Nearness is the mean distance of the joints that both have, against the animal's size.
    """
    pairs = sorted(
        (_mean_distance(p, t) / pose_size(t), i, j)
        for i, p in enumerate(proposals)
        for j, t in enumerate(truth)
    )
    matched: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in matched and j not in matched.values():
            matched[i] = j
    return matched


def _mean_distance(proposal: Pose, truth: Pose) -> float:
    both = proposal.there.keys() & truth.there.keys()
    if not both:
        return math.inf
    ways = (math.hypot(proposal.at(j).x - truth.at(j).x, proposal.at(j).y - truth.at(j).y) for j in both)
    return sum(ways) / len(both)
