"""What a hand does with poses, without a server."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.records import Box
from agir_cvtoolkit.sandbox.pose_correction import PoseHand, match_poses, pose_size

SCHEMA = JointSchema("cat", "cat", ("nose", "tail"), sigmas=(0.02, 0.1))
CAT = Pose({"nose": Keypoint(50, 50), "tail": Keypoint(90, 50, "occluded")}, Box(40, 0, 100, 100))


@given(st.integers(0, 10_000), st.sampled_from(SCHEMA.joints))
def test_the_hand_stays_within_its_reach_and_the_picture(seed: int, joint: str) -> None:
    hand = PoseHand(SCHEMA, error=1.0)
    x, y = hand.place(CAT, joint, (95, 200), random.Random(seed))
    truth = CAT.at(joint)
    assert math.hypot(x - truth.x, y - truth.y) <= hand.reach(CAT, joint)
    assert 0 <= x <= 95


def test_the_hand_errs_as_people_do_more_on_the_tail_than_on_the_nose() -> None:
    hand = PoseHand(SCHEMA, error=1.0)
    chance = random.Random(0)
    for joint, sigma in zip(SCHEMA.joints, SCHEMA.sigmas, strict=True):
        places = [hand.place(CAT, joint, (200, 200), chance) for _ in range(2000)]
        spread = math.sqrt(sum((x - CAT.at(joint).x) ** 2 for x, _ in places) / len(places))
        assert spread == pytest.approx(sigma * 100, rel=0.1)


@pytest.mark.parametrize(
    ("joint", "point", "right"),
    [
        ("nose", Keypoint(51.5, 50), True),
        ("nose", Keypoint(52.5, 50), False),
        ("nose", Keypoint(50, 50, "absent"), False),
        ("nose", Keypoint(50, 50, "occluded"), False),
        ("tail", Keypoint(92.4, 50, "occluded"), True),
        ("ear", Keypoint(0, 0, "absent"), True),
        ("ear", Keypoint(9, 9), False),
    ],
)
def test_a_proposal_is_right_near_the_truth_and_as_visible(joint: str, point: Keypoint, right: bool) -> None:
    assert PoseHand(SCHEMA, error=0.25).is_right(point, CAT, joint) is right


def test_the_size_is_that_of_the_box_else_of_the_joints() -> None:
    assert pose_size(CAT) == 100
    assert pose_size(Pose({"nose": Keypoint(0, 0), "tail": Keypoint(4, 9)})) == 6
    assert pose_size(Pose()) == 1


def test_proposals_are_matched_with_the_nearest_animal() -> None:
    other = Pose({name: Keypoint(p.x + 200, p.y) for name, p in CAT.keypoints.items()})
    near = Pose({"nose": Keypoint(230, 55)})
    nearer = Pose({"nose": Keypoint(60, 55)})
    assert match_poses([near, nearer, Pose()], [CAT, other]) == {1: 0, 0: 1}
    assert match_poses([near], [CAT]) == {0: 0}
    assert match_poses([], [CAT]) == {}
