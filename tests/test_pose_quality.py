"""The quality score: its bounds, its monotony, and what it does not depend on."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.pose_quality import (
    LEAST_ANIMALS,
    WEIGHTS,
    Population,
    Quality,
    agreement,
    completeness,
    plausibility,
    population_of,
    quality_of,
)
from agir_cvtoolkit.poses import ABSENT, VISIBILITIES, Keypoint, Pose, Visibility

DOG = load_schema("dog24")
SAID = st.sampled_from(VISIBILITIES)


def _usual_dog(seed: int = 0, size: float = 1.0) -> Pose:
    """Return a dog whose joints stand on a circle, a little moved."""
    draw = random.Random(seed)
    points = {}
    for number, joint in enumerate(DOG.joints):
        turn = 2 * math.pi * number / len(DOG.joints)
        x, y = 200 + 100 * math.cos(turn) + draw.gauss(0, 2), 200 + 100 * math.sin(turn) + draw.gauss(0, 2)
        points[joint] = Keypoint(x * size, y * size)
    return Pose(points)


POPULATION = population_of([_usual_dog(seed).keypoints for seed in range(30)], DOG)


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    places = st.floats(0, 4000, allow_nan=False)
    joints = draw(st.sets(st.sampled_from(DOG.joints)))
    return Pose({j: Keypoint(draw(places), draw(places), draw(SAID)) for j in sorted(joints)})


@given(poses(), st.lists(poses(), max_size=3), st.sampled_from(["all", "head", "tail"]), st.booleans())
def test_a_score_lies_between_0_and_1(pose: Pose, others: list[Pose], group: str, known: bool) -> None:
    population = POPULATION if known else Population()
    found = quality_of(pose, DOG, DOG.of_group(group), population, others)
    for part in (found.completeness, found.plausibility, found.agreement):
        assert part is None or 0 <= part <= 1
    assert 0 <= found.score <= 1
    if not pose.there:
        assert found.score == 0


@given(poses(), st.sampled_from(DOG.joints), SAID)
def test_saying_more_never_lowers_completeness(pose: Pose, joint: str, visibility: Visibility) -> None:
    before = completeness(pose, DOG.joints)
    if joint not in pose.keypoints:
        said = Keypoint(5, 5, visibility)
        assert completeness(Pose({**pose.keypoints, joint: said}), DOG.joints) > before


@given(poses(), st.floats(0.2, 20), st.floats(-500, 500))
def test_plausibility_depends_on_neither_scale_nor_place(pose: Pose, scale: float, shift: float) -> None:
    # Limbs below half a pixel are all taken to be as long.
    long_enough = all(
        min(1, scale) * math.hypot(pose.at(a).x - pose.at(b).x, pose.at(a).y - pose.at(b).y) > 1
        for a, b in DOG.links
        if a in pose.there and b in pose.there
    )
    if not long_enough:
        return
    moved = Pose(
        {
            n: Keypoint(p.x * scale + shift, p.y * scale + shift, p.visibility)
            for n, p in pose.keypoints.items()
        }
    )
    first, second = plausibility(pose, DOG, POPULATION), plausibility(moved, DOG, POPULATION)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert first == pytest.approx(second, abs=1e-4)


@given(poses())
def test_the_order_of_joints_does_not_matter(pose: Pose) -> None:
    turned = Pose(dict(reversed(list(pose.keypoints.items()))))
    assert quality_of(pose, DOG, DOG.joints, POPULATION) == quality_of(turned, DOG, DOG.joints, POPULATION)


@given(st.integers(0, 1000), st.sampled_from(["left_front_paw", "nose", "tail_tip"]), st.floats(1, 3))
def test_a_joint_far_off_costs(seed: int, joint: str, far: float) -> None:
    usual = _usual_dog(seed)
    point = usual.at(joint)
    odd = Pose({**usual.keypoints, joint: Keypoint(point.x + 500 * far, point.y + 500 * far)})
    good, bad = plausibility(usual, DOG, POPULATION), plausibility(odd, DOG, POPULATION)
    assert good is not None
    assert bad is not None
    assert good > 0.95
    assert bad < good - 0.02


@given(st.floats(0, 1), st.floats(0, 40), st.floats(41, 400))
def test_agreement_falls_with_the_distance(turn: float, near: float, far: float) -> None:
    usual = _usual_dog()

    def away(distance: float) -> Pose:
        dx, dy = distance * math.cos(turn), distance * math.sin(turn)
        return Pose({n: Keypoint(p.x + dx, p.y + dy) for n, p in usual.keypoints.items()})

    def agreed(other: Pose) -> float:
        return quality_of(usual, DOG, DOG.joints, POPULATION, [other]).agreement or 0.0

    assert agreed(usual) == pytest.approx(1)
    assert agreed(away(near)) >= agreed(away(far))


def test_a_left_limb_much_longer_than_the_right_one_costs() -> None:
    usual = _usual_dog()
    knee, paw = usual.at("left_knee"), usual.at("left_back_paw")
    longer = Keypoint(knee.x + 9 * (paw.x - knee.x), knee.y + 9 * (paw.y - knee.y))
    odd = Pose({**usual.keypoints, "left_back_paw": longer})
    only_sides = Population(30, {}, POPULATION.sides)
    assert (plausibility(usual, DOG, only_sides) or 0) > 0.95
    assert (plausibility(odd, DOG, only_sides) or 0) < 0.95


def test_parts_that_are_not_known_leave_their_weight_to_the_others() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert Quality(0.8).score == 0.8
    assert Quality(1.0, None, 0.0).score == pytest.approx(0.5 / 0.7, abs=1e-4)
    assert Quality(1.0, 0.5, 0.5).score == pytest.approx(0.5 + 0.15 + 0.1)
    assert Quality(0.0, 1.0, 1.0).score == 0.0


def test_few_animals_are_no_population() -> None:
    few = population_of([_usual_dog(seed).keypoints for seed in range(LEAST_ANIMALS - 1)], DOG)
    assert few.animals == LEAST_ANIMALS - 1
    assert plausibility(_usual_dog(), DOG, few) is None
    assert population_of([], DOG) == Population()
    assert population_of([{"nose": Keypoint(1, 1)}], DOG).animals == 0


def test_a_dog_of_which_only_the_head_was_asked_is_complete_with_it() -> None:
    head = Pose({joint: Keypoint(10.0 * n, 5) for n, joint in enumerate(DOG.of_group("head"), 1)})
    assert completeness(head, DOG.of_group("head")) == 1
    assert completeness(head, DOG.joints) == pytest.approx(5 / 24)
    assert completeness(Pose({"nose": ABSENT}), ["nose", "throat"]) == 0.25
    assert completeness(head, ()) == 1


def test_a_reference_without_extent_says_nothing_of_agreement() -> None:
    """Its area would be none, or that of a single pixel, in which no other person ever agrees."""
    pose = Pose({"nose": Keypoint(10, 10), "throat": Keypoint(30, 40)})
    assert agreement(pose, DOG, [Pose({"nose": Keypoint(11, 10)})]) is None
    assert agreement(pose, DOG, [pose, Pose({"nose": Keypoint(90, 90)})]) == 1
