from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.config import PoseTrain
from agir_cvtoolkit.errors import DataError, PictureError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint, Pose, box_of
from agir_cvtoolkit.records import Box
from agir_cvtoolkit.training.pose_samples import PoseSample, load_sample, points_of, usable, view_of
from tests.pose_pictures import SCHEMA, beast, beasts, small

_PLAIN = {"turn": 0, "zoom": 0, "shift": 0, "whole_picture": 0, "brightness": 0, "contrast": 0, "colour": 0}


def _settings(**changes: object) -> PoseTrain:
    return small(
        model={"input_size": 128, "widths": [16, 12, 8]}, augmentation={"flips": True, **_PLAIN, **changes}
    )


def _colour_at(pixels: np.ndarray, point: np.ndarray) -> tuple[int, ...]:
    x, y = point
    return tuple(int(value) for value in pixels[int(y), int(x)])


_COLOURS = {
    "head": (250, 40, 40),
    "left_foot": (40, 230, 60),
    "right_foot": (60, 80, 250),
    "tail": (250, 240, 60),
}


@pytest.mark.parametrize("seed", range(8))
def test_flips_mirror_the_picture_and_exchange_left_and_right(tmp_path: Path, seed: int) -> None:
    sample = beasts(tmp_path, 1)[0]
    rgb = load_sample(sample)
    plain = view_of(sample, rgb, SCHEMA, _settings(), None)
    view = view_of(sample, rgb, SCHEMA, _settings(), np.random.default_rng(seed))
    head, left, right, tail = view.points
    mirrored = bool(head[0] > tail[0])
    # A mirrored picture of a left foot shows a right foot: the colours change places, the names stay true.
    feet = ("right_foot", "left_foot") if mirrored else ("left_foot", "right_foot")
    for joint, name in zip(view.points, ("head", *feet, "tail"), strict=True):
        assert np.allclose(_colour_at(view.pixels, joint), _COLOURS[name], atol=12)
    if mirrored:
        assert np.allclose(left, (128, 0) + plain.points[2] * (-1, 1))
        assert np.allclose(right, (128, 0) + plain.points[1] * (-1, 1))
    else:
        assert np.allclose(view.points, plain.points)


def test_some_variations_are_mirrored_and_some_are_not(tmp_path: Path) -> None:
    sample = beasts(tmp_path, 1)[0]
    rgb = load_sample(sample)

    def heads(schema: JointSchema, settings: PoseTrain) -> set[float]:
        views = [view_of(sample, rgb, schema, settings, np.random.default_rng(i)) for i in range(12)]
        return {round(float(view.points[0, 0]), 3) for view in views}

    without_pairs = JointSchema("four", "beast", SCHEMA.joints)
    assert len(heads(SCHEMA, _settings())) == 2
    assert len(heads(SCHEMA, _settings(flips=False))) == 1
    assert len(heads(without_pairs, _settings())) == 1


@pytest.mark.parametrize("seed", range(12))
def test_joints_stay_on_their_colours_in_every_variation(tmp_path: Path, seed: int) -> None:
    sample = beasts(tmp_path, 1)[0]
    settings = small(
        model={"input_size": 128, "widths": [16, 12, 8]},
        augmentation={"flips": False, "whole_picture": 0.5, "brightness": 0, "contrast": 0, "colour": 0},
    )
    view = view_of(sample, load_sample(sample), SCHEMA, settings, np.random.default_rng(seed))
    for joint, name in zip(view.points, SCHEMA.joints, strict=True):
        if np.isfinite(joint).all():
            assert np.allclose(_colour_at(view.pixels, joint), _COLOURS[name], atol=60)


def test_hidden_joints_change_sides_too(tmp_path: Path) -> None:
    rgb, pose = beast(0)
    hidden = dict(pose.keypoints)
    hidden["left_foot"] = Keypoint(hidden["left_foot"].x, hidden["left_foot"].y, "occluded")
    sample = PoseSample("a", tmp_path / "a.png", Pose(hidden, pose.box), (120, 100))
    seen = {
        tuple(view_of(sample, rgb, SCHEMA, _settings(), np.random.default_rng(i)).hidden.tolist())
        for i in range(12)
    }
    assert seen == {(0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)}


def test_joints_outside_the_square_are_absent_there(tmp_path: Path) -> None:
    rgb, pose = beast(0)
    sample = PoseSample("a", tmp_path / "a.png", Pose(pose.keypoints, Box(0, 0, 50, 50)), (120, 100))
    view = view_of(sample, rgb, SCHEMA, _settings(), None)
    assert np.isfinite(view.points[0]).all()
    assert np.isnan(view.points[2]).all()


def test_box_is_the_poses_own_or_around_its_joints() -> None:
    keypoints = {"head": Keypoint(10, 20), "tail": Keypoint(40, 25), "left_foot": Keypoint(0, 0, "absent")}
    assert box_of(Pose(keypoints)) == Box(10, 20, 30, 5)
    assert box_of(Pose(keypoints, Box(1, 2, 3, 4))) == Box(1, 2, 3, 4)
    assert box_of(Pose(keypoints, Box(1, 2, 0, 4))) == Box(10, 20, 30, 5)
    assert box_of(Pose({"head": Keypoint(10, 20)})) is None
    assert box_of(Pose({**keypoints, "antler": Keypoint(500, 500)}), SCHEMA.joints) == Box(10, 20, 30, 5)


def test_points_are_in_the_order_of_the_schema() -> None:
    points = points_of(Pose({"tail": Keypoint(1, 2, "occluded"), "antler": Keypoint(3, 3)}), SCHEMA)
    assert points[3].tolist() == [1, 2]
    assert np.isnan(points[:3]).all()


def test_only_poses_with_joints_inside_are_used_in_a_fixed_order(tmp_path: Path) -> None:
    samples = beasts(tmp_path, 3)
    strange = PoseSample("zz", samples[0].picture, Pose({"antler": Keypoint(3, 3)}), (120, 100))
    outside = PoseSample("aa", samples[0].picture, Pose({"head": Keypoint(900, 900)}), (120, 100))
    assert usable([strange, *reversed(samples), outside], SCHEMA) == samples
    with pytest.raises(DataError, match="none of 2 poses has a joint of the schema four"):
        usable([strange, outside], SCHEMA)


def test_a_picture_of_another_size_or_none_is_refused(tmp_path: Path) -> None:
    sample = beasts(tmp_path, 1)[0]
    with pytest.raises(DataError, match="is 120x100, its pose is for 60x50"):
        load_sample(PoseSample("a", sample.picture, sample.pose, (60, 50)))
    with pytest.raises(PictureError, match="does not exist"):
        load_sample(PoseSample("a", tmp_path / "gone.png", sample.pose, (60, 50)))


def test_absent_is_no_number() -> None:
    assert math.isnan(points_of(Pose(), SCHEMA)[0, 0])
