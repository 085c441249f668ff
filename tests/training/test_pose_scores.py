from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.agreement import oks
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.records import Box
from agir_cvtoolkit.training.pose_scores import OKS_THRESHOLDS, average_precision, score_poses
from tests.pose_pictures import SCHEMA

_PLACES = {"head": (10.0, 10.0), "left_foot": (20.0, 90.0), "right_foot": (80.0, 90.0), "tail": (110.0, 20.0)}


def _pose(shift: float = 0.0, confidence: float | None = None, leave: tuple[str, ...] = ()) -> Pose:
    return Pose(
        {j: Keypoint(x + shift, y, confidence=confidence) for j, (x, y) in _PLACES.items() if j not in leave},
        Box(10, 10, 100, 80),
    )


def test_a_perfect_pose_scores_one() -> None:
    scores = score_poses([_pose(confidence=0.5)], [_pose()], SCHEMA)
    assert set(scores.pck.values()) == {1.0}
    assert scores.oks == pytest.approx(1.0)
    assert scores.oks_ap == pytest.approx(1.0)
    assert scores.per_joint == dict.fromkeys(SCHEMA.joints, 1.0)
    assert (scores.poses, scores.joints) == (1, 4)


def test_pck_is_a_share_of_the_longer_side() -> None:
    scores = score_poses([_pose(5.01)], [_pose()], SCHEMA, fractions=(0.05, 0.06))
    assert scores.pck == {0.05: 0.0, 0.06: 1.0}
    assert score_poses([_pose(5.01)], [_pose()], SCHEMA, sizes=[200.0]).pck[0.05] == 1.0


def test_joints_that_are_missing_are_wrong_and_those_that_are_too_many_do_not_count() -> None:
    missing = score_poses([_pose(leave=("tail",))], [_pose()], SCHEMA)
    assert missing.pck[0.05] == 0.75
    assert missing.per_joint["tail"] == 0.0
    many = score_poses([_pose()], [_pose(leave=("tail",))], SCHEMA)
    assert many.pck[0.05] == 1.0
    assert "tail" not in many.per_joint
    assert many.joints == 3


def test_occluded_joints_count_and_absent_ones_do_not() -> None:
    truth = Pose(
        {
            "head": Keypoint(10, 10, "occluded"),
            "tail": Keypoint(110, 20),
            "left_foot": Keypoint(0, 0, "absent"),
        }
    )
    scores = score_poses([_pose()], [truth], SCHEMA)
    assert scores.joints == 2
    assert scores.pck[0.05] == 1.0


def test_oks_is_that_of_agreement_with_the_area_of_the_box() -> None:
    truth = np.array(list(_PLACES.values()))
    expected = oks(truth + np.array([7.0, 0.0]), truth, np.array(SCHEMA.sigmas), 100 * 80)
    assert score_poses([_pose(7)], [_pose()], SCHEMA).oks == pytest.approx(expected)


def test_poses_without_joints_say_nothing() -> None:
    scores = score_poses([_pose(), _pose()], [Pose(), _pose()], SCHEMA)
    assert scores.poses == 1
    nothing = score_poses([_pose()], [Pose()], SCHEMA)
    assert nothing.poses == 0
    assert math.isnan(nothing.oks_ap)
    assert nothing.metrics("test") == {}
    with pytest.raises(ValueError, match="1 found poses for 2"):
        score_poses([_pose()], [_pose(), _pose()], SCHEMA)


def test_metrics_are_named_by_side() -> None:
    named = score_poses([_pose()], [_pose()], SCHEMA).metrics("test")
    assert named["test_pck_05"] == 1.0
    assert named["test_pck_05.head"] == 1.0
    assert {"test_pck_02", "test_pck_10", "test_pck_20", "test_oks", "test_oks_ap"} <= set(named)


def test_average_precision_is_that_of_coco() -> None:
    # Two of three found well, the wrong one ranked second: by hand for each threshold up to .9, as in COCO's
    # accumulation: precision 1 up to recall 1/3 (34 of 101 recalls), 2/3 up to 2/3 (33), 0 beyond.
    by_hand = (34 * 1.0 + 33 * 2 / 3) / 101
    assert average_precision([0.92, 0.1, 0.92], [0.9, 0.8, 0.7]) == pytest.approx(0.9 * by_hand)
    assert average_precision([0.92, 0.92], [0.5, 0.4]) == pytest.approx(0.9)
    assert average_precision([0.92, 0.0], [0.5, -1.0]) == pytest.approx(0.9 * 51 / 101)
    assert average_precision([0.0], [-1.0]) == 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_average_precision_agrees_with_a_plain_reckoning(pairs: list[tuple[float, float]]) -> None:
    similar, sure = [p[0] for p in pairs], [p[1] for p in pairs]
    ranked = [s for _, s in sorted(zip([-c for c in sure], similar, strict=True), key=lambda t: t[0])]
    values = []
    for threshold in OKS_THRESHOLDS:
        hits, points = 0, []
        for number, value in enumerate(ranked, 1):
            hits += value >= threshold
            points.append((hits / len(ranked), hits / number))
        values += [max((p for r, p in points if r >= step / 100 - 1e-12), default=0.0) for step in range(101)]
    assert average_precision(similar, sure) == pytest.approx(sum(values) / len(values))
