"""Drawn animals: the same by seed, whole, varied, and with joints that lie on the animal."""

from __future__ import annotations

import numpy as np
import pytest

from agir_cvtoolkit.demo._animal_body import STANCES, posed, seen
from agir_cvtoolkit.demo._animal_body import Build as BodyBuild
from agir_cvtoolkit.demo.animals import SIZE, Animal, draw_animal
from agir_cvtoolkit.joints import load_schema

JOINTS = load_schema("dog24").joints


@pytest.fixture(scope="module")
def flock() -> list[Animal]:
    return [draw_animal(3, number) for number in range(24)]


def test_the_same_seed_draws_the_same_animal_and_another_another() -> None:
    first, again, other = draw_animal(1, 7), draw_animal(1, 7), draw_animal(2, 7)
    assert np.array_equal(first.picture, again.picture)
    assert first.pose == again.pose
    assert not np.array_equal(first.picture, other.picture)


def test_a_pose_names_every_joint_and_places_lie_in_the_picture(flock: list[Animal]) -> None:
    for animal in flock:
        assert tuple(animal.pose.keypoints) == JOINTS
        assert animal.picture.shape == (SIZE[1], SIZE[0], 3)
        assert animal.picture.dtype == np.uint8
        for point in animal.pose.there.values():
            assert 0 <= point.x < SIZE[0]
            assert 0 <= point.y < SIZE[1]


def test_visible_joints_lie_in_the_box(flock: list[Animal]) -> None:
    for animal in flock:
        box = animal.pose.box
        assert box is not None
        for point in animal.pose.there.values():
            if point.visibility == "visible":
                assert box.x - 4 <= point.x <= box.x + box.width + 4
                assert box.y - 4 <= point.y <= box.y + box.height + 4


def test_a_flock_is_varied(flock: list[Animal]) -> None:
    assert {animal.faces for animal in flock} == {"left", "right"}
    assert len({animal.stance for animal in flock}) >= 4
    kinds = {point.visibility for animal in flock for point in animal.pose.keypoints.values()}
    assert {"visible", "occluded"} <= kinds


def test_the_nose_points_to_where_the_animal_faces(flock: list[Animal]) -> None:
    ahead = 0
    for animal in flock:
        nose, base = animal.pose.at("nose"), animal.pose.at("tail_base")
        if nose.is_there and base.is_there:
            ahead += (nose.x > base.x) == (animal.faces == "right")
    assert ahead >= 20


def test_the_right_side_is_nearer_when_the_head_is_to_the_right() -> None:
    rng = np.random.default_rng(0)
    points = seen(posed(BodyBuild.drawn(rng), "standing", rng), yaw=0.0, tilt=0.1)
    assert points["nose"][0] > points["tail_base"][0]
    assert points["right_hip"][2] < points["left_hip"][2]
    mirrored = seen(posed(BodyBuild.drawn(rng), "standing", rng), yaw=np.pi, tilt=0.1)
    assert mirrored["left_hip"][2] < mirrored["right_hip"][2]


@pytest.mark.parametrize("stance", STANCES)
def test_paws_are_below_the_back(stance: str) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        at = posed(BodyBuild.drawn(rng), stance, rng)
        for side in ("left", "right"):
            assert at[f"{side}_front_paw"][2] < at["withers"][2]
            assert at[f"{side}_back_paw"][2] < at["tail_base"][2]


def test_a_picture_can_be_too_small() -> None:
    with pytest.raises(ValueError, match="too small"):
        draw_animal(0, 0, (40, 300))
