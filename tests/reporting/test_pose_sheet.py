"""Poses laid over pictures, and the sheet of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose
from agir_cvtoolkit.reporting.pose_sheet import PoseRow, pose_sheet, share_right
from agir_cvtoolkit.reporting.skeletons import LEFT, MIDDLE, OFF, RIGHT, colour_of, places, scaled, skeleton

SCHEMA = JointSchema(
    "two", "animal", ("nose", "left_paw", "right_paw"), (("nose", "left_paw"),), (("left_paw", "right_paw"),)
)
GREY = np.full((90, 120, 3), 128, dtype=np.uint8)
TRUTH = Pose({"nose": Keypoint(20, 20), "left_paw": Keypoint(60, 60), "right_paw": Keypoint(100, 60)})


def test_joints_have_the_colour_of_their_side() -> None:
    painted = skeleton(GREY, TRUTH, SCHEMA)
    assert painted[20, 20].tolist() == list(MIDDLE)
    assert painted[60, 60].tolist() == list(LEFT)
    assert painted[60, 100].tolist() == list(RIGHT)
    assert painted[40, 40].tolist() == list(LEFT)  # of the link
    assert (GREY == 128).all()


def test_an_occluded_joint_is_a_ring_and_an_absent_one_is_not_drawn() -> None:
    pose = Pose({"nose": Keypoint(20, 20, "occluded"), "left_paw": ABSENT})
    painted = skeleton(GREY, pose, SCHEMA)
    assert painted[20, 20].tolist() != list(MIDDLE)
    assert (painted == np.array(MIDDLE)).all(axis=2).any()
    assert not (painted == np.array(LEFT)).all(axis=2).any()


def test_only_a_joint_that_is_too_far_is_joined_with_its_right_place() -> None:
    found = Pose({"nose": Keypoint(22, 20), "left_paw": Keypoint(60, 20)})
    painted = skeleton(GREY, found, SCHEMA, truth=TRUTH, tolerance=10)
    assert painted[60, 60].tolist() == list(OFF)
    near = skeleton(GREY, Pose({"nose": Keypoint(22, 20)}), SCHEMA, truth=TRUTH, tolerance=10)
    assert not (near == np.array(OFF)).all(axis=2).any()


def test_a_very_wrong_joint_does_not_break_the_drawing() -> None:
    painted = skeleton(GREY, Pose({"nose": Keypoint(1e12, -1e12), "left_paw": Keypoint(5, 5)}), SCHEMA)
    assert painted.shape == GREY.shape


def test_a_schema_without_pairs_has_one_colour() -> None:
    assert colour_of("nose", JointSchema("one", "animal", ("nose",))) == MIDDLE


def test_the_share_of_right_joints_counts_the_truths() -> None:
    found = Pose({"nose": Keypoint(20, 25), "left_paw": Keypoint(60, 90)})
    assert share_right(found, TRUTH, SCHEMA, 5) == pytest.approx(1 / 3)
    assert share_right(found, TRUTH, SCHEMA, 30) == pytest.approx(2 / 3)
    assert math.isnan(share_right(found, Pose({}), SCHEMA, 5))
    assert places(scaled(found, 2), SCHEMA)[0].tolist() == [40, 50]


def test_a_sheet_has_a_row_for_each_record_and_shows_what_is_there(tmp_path: Path) -> None:
    rows = [
        PoseRow("one", GREY, (TRUTH, TRUTH), TRUTH, 5),
        PoseRow("a name that is much too long for its cell and must be cut", GREY, (None, TRUTH)),
    ]
    path = pose_sheet(rows, ("Before", "After"), SCHEMA, tmp_path / "sheet.png", title="T", cell_width=200)
    one = pose_sheet(rows[:1], ("Before", "After"), SCHEMA, tmp_path / "one.png", title="T", cell_width=200)
    with Image.open(path) as sheet, Image.open(one) as smaller:
        assert sheet.width == smaller.width == 14 + 2 * 214
        assert sheet.height == smaller.height + 150 + 26 + 14
        colours = {colour for _, colour in sheet.getcolors(1 << 20) or []}
    assert {LEFT, RIGHT, MIDDLE} <= colours
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "sheet.png"]


def test_a_row_needs_a_pose_for_each_column(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 poses for 2 columns"):
        pose_sheet([PoseRow("one", GREY, (TRUTH,))], ("Before", "After"), SCHEMA, tmp_path / "sheet.png")
