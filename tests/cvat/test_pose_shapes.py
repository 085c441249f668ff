"""Poses into CVAT's shapes and out of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.cvat.pose_shapes import PosesRead, poses_of_shapes, shapes_of_poses
from agir_cvtoolkit.joints import JointSchema, load_schema
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.records import Box
from agir_cvtoolkit.shapes import Points, Polygon, Rectangle, Shape, Skeleton

DOG = load_schema("dog24")
SMALL = JointSchema("small", "cat", ("nose", "neck", "tail"), aliases={"snout": "nose", "muzzle": "nose"})
SIZE = (200, 100)

coordinates = st.tuples(st.floats(1, 199, width=32), st.floats(1, 99, width=32))
seen = st.builds(
    lambda place, visibility, confidence: Keypoint(place[0], place[1], visibility, confidence),
    coordinates,
    st.sampled_from(["visible", "occluded"]),
    st.none() | st.floats(0, 1),
)
boxes = st.builds(
    lambda a, b: Box(min(a[0], b[0]), min(a[1], b[1]), abs(a[0] - b[0]) + 0.5, abs(a[1] - b[1]) + 0.5),
    coordinates,
    coordinates,
)
whole_poses = st.builds(
    Pose,
    st.dictionaries(st.sampled_from(DOG.joints), seen, min_size=1),
    st.none() | boxes,
)


def point(label: str, *places: tuple[float, float], **more: object) -> Points:
    return Points(label=label, points=tuple(places), source="manual", **more)  # type: ignore[arg-type]


def box(left: float, top: float, right: float, bottom: float, group: int = 0) -> Rectangle:
    return Rectangle(label="dog_bbox", points=((left, top), (right, bottom)), source="manual", group=group)


def read(*shapes: Shape, schema: JointSchema = SMALL, size: tuple[int, int] | None = SIZE) -> PosesRead:
    return poses_of_shapes(shapes, schema, size)


def numbers(around: Box | None) -> tuple[float, ...]:
    return () if around is None else (around.x, around.y, around.width, around.height)


def joints(pose: Pose) -> dict[str, tuple[float, float]]:
    return {name: (p.x, p.y) for name, p in pose.there.items()}


@given(st.lists(whole_poses, min_size=1, max_size=4), st.sampled_from(["points", "skeleton"]), st.randoms())
@settings(max_examples=60)
def test_poses_come_back_from_their_shapes_in_any_order(poses: list[Pose], style: str, order: object) -> None:
    shapes = list(shapes_of_poses(poses, DOG, style, "dog_bbox"))  # type: ignore[arg-type]
    order.shuffle(shapes)  # type: ignore[attr-defined]
    found = poses_of_shapes(shapes, DOG, None)
    assert found.problems == ()
    assert [pose.there for pose in found.poses] == [pose.there for pose in poses]
    for got, sent in zip(found.poses, poses, strict=True):
        assert numbers(got.box) == pytest.approx(numbers(sent.box))


def test_a_point_says_its_visibility_by_attribute_flag_or_outside() -> None:
    found = read(
        point("nose", (10, 10), attributes={"Visibility": "Occluded"}),
        point("neck", (20, 10), occluded=True, attributes={"visibility": "visible"}),
        point("tail", (30, 10), attributes={"visibility": "absent"}),
    )
    assert found.problems == ()
    (pose,) = found.poses
    assert [pose.at(j).visibility for j in SMALL.joints] == ["occluded", "occluded", "absent"]
    assert (pose.at("tail").x, pose.at("tail").y) == (0, 0)


def test_a_skeleton_takes_its_elements_in_any_order() -> None:
    skeleton = Skeleton(
        label="cat",
        elements=(
            point("tail", (0, 0), outside=True),
            point("neck", (20, 5), occluded=True),
            point("nose", (9, 9)),
        ),
        attributes={"mood": "calm"},
    )
    found = read(skeleton, box(0, 0, 50, 50))
    (pose,) = found.poses
    assert pose == Pose(
        {"nose": Keypoint(9, 9), "neck": Keypoint(20, 5, "occluded"), "tail": Keypoint(0, 0, "absent")},
        Box(0, 0, 50, 50),
        {"mood": "calm"},
    )


def test_joints_below_the_floor_are_proposed_as_absent_where_they_were_found() -> None:
    pose = Pose(
        {
            "nose": Keypoint(10, 20, "visible", 0.29),
            "neck": Keypoint(30, 20, "visible", 0.3),
            "tail": Keypoint(1, 2),
        }
    )
    single = shapes_of_poses([pose], SMALL, "points", None, 0.3)
    assert [(s.label, s.points, s.attributes["visibility"]) for s in single if isinstance(s, Points)] == [
        ("nose", ((10, 20),), "absent"),
        ("neck", ((30, 20),), "visible"),
        ("tail", ((1, 2),), "visible"),
    ]
    (skeleton,) = shapes_of_poses([pose], SMALL, "skeleton", None, 0.3)
    assert isinstance(skeleton, Skeleton)
    assert [(e.label, e.points[0], e.outside) for e in skeleton.elements] == [
        ("nose", (10, 20), True),
        ("neck", (30, 20), False),
        ("tail", (1, 2), False),
    ]


def test_joints_without_a_place_are_no_points_but_elements() -> None:
    pose = Pose({"nose": Keypoint(10, 20), "neck": Keypoint(20, 40)})
    assert [s.label for s in shapes_of_poses([pose], SMALL)] == ["nose", "neck"]
    (skeleton,) = shapes_of_poses([pose], SMALL, "skeleton")
    assert isinstance(skeleton, Skeleton)
    assert [(e.label, e.points[0], e.outside) for e in skeleton.elements][2] == ("tail", (15, 30), True)


def test_joints_outside_the_picture_are_absent_and_boxes_end_at_its_border() -> None:
    pose = Pose({"nose": Keypoint(-5, 20), "neck": Keypoint(200.5, 40)}, Box(-10, -10, 500, 50))
    drawn = shapes_of_poses([pose], SMALL, "points", "cat_box", size=SIZE)
    assert [(shape.label, getattr(shape, "points", None)) for shape in drawn] == [
        ("neck", ((200.0, 40),)),
        ("cat_box", ((0, 0), (200, 40))),
    ]
    assert shapes_of_poses([Pose({"nose": Keypoint(-5, 20)})], SMALL, "skeleton", size=SIZE) == ()


def test_groups_tell_animals_apart() -> None:
    found = read(
        point("nose", (50, 50), group=2), point("nose", (10, 10), group=1), point("neck", (52, 50), group=1),
        box(0, 0, 20, 20, group=2),
    )  # fmt: skip
    assert [joints(pose) for pose in found.poses] == [
        {"nose": (10, 10), "neck": (52, 50)},
        {"nose": (50, 50)},
    ]
    assert found.poses[1].box == Box(0, 0, 20, 20)


def test_points_go_to_the_box_they_lie_in_else_to_the_nearest() -> None:
    found = read(
        box(100, 0, 150, 50), box(0, 0, 50, 50),
        point("nose", (10, 10), (110, 10)), point("neck", (90, 20)), point("tail", (60, 20)),
    )  # fmt: skip
    assert found.problems == ()
    assert [joints(pose) for pose in found.poses] == [
        {"nose": (10, 10), "tail": (60, 20)},
        {"nose": (110, 10), "neck": (90, 20)},
    ]


def test_a_point_in_two_boxes_goes_to_the_animal_that_lacks_it() -> None:
    found = read(
        box(0, 0, 60, 50), box(40, 0, 100, 50), point("nose", (10, 10), (50, 10)), point("neck", (50, 20))
    )
    assert [joints(pose) for pose in found.poses] == [{"nose": (10, 10)}, {"nose": (50, 10)}]
    assert len(found.problems) == 1
    assert "neck" in found.problems[0]


def test_one_box_takes_all_points() -> None:
    found = read(box(0, 0, 20, 20), point("nose", (10, 10)), point("tail", (120, 80)))
    assert [joints(pose) for pose in found.poses] == [{"nose": (10, 10), "tail": (120, 80)}]


def test_doubled_joints_far_apart_are_two_animals() -> None:
    found = read(
        point("nose", (10, 10), (150, 10)), point("neck", (20, 10), (160, 10)), point("tail", (30, 10))
    )
    assert found.problems == ()
    assert [joints(pose) for pose in found.poses] == [
        {"nose": (10, 10), "neck": (20, 10), "tail": (30, 10)},
        {"nose": (150, 10), "neck": (160, 10)},
    ]


@pytest.mark.parametrize("other", [(40, 10), (150, 80)])
def test_a_doubled_joint_that_is_no_whole_animal_is_listed(other: tuple[float, float]) -> None:
    found = read(point("nose", (10, 10), other), point("neck", (20, 10)), point("tail", (30, 10)))
    assert [joints(pose) for pose in found.poses] == [{"neck": (20, 10), "tail": (30, 10)}]
    assert len(found.problems) == 1
    assert "nose" in found.problems[0]


@pytest.mark.parametrize(("gap", "animals"), [(29.0, 0), (31.0, 2)])
def test_animals_are_apart_where_the_way_between_them_is_clearly_the_longest(
    gap: float, animals: int
) -> None:
    found = read(point("nose", (10, 10), (30 + gap, 10)), point("neck", (30, 10), (50 + gap, 10)))
    assert len(found.poses) == animals
    assert len(found.problems) == (0 if animals else 2)


def test_the_same_point_twice_is_one() -> None:
    found = read(point("nose", (10, 10)), point("nose", (10.2, 10)), point("neck", (20, 10)))
    assert found.problems == ()
    assert [joints(pose) for pose in found.poses] == [{"nose": (10, 10), "neck": (20, 10)}]


def test_what_a_person_added_joins_the_only_animal() -> None:
    found = read(point("nose", (10, 10), group=1), point("neck", (90, 90)))
    assert [joints(pose) for pose in found.poses] == [{"nose": (10, 10), "neck": (90, 90)}]


def test_a_second_animal_beside_the_proposed_one_is_an_animal() -> None:
    found = read(
        point("nose", (10, 10), group=1), point("neck", (20, 10), group=1),
        point("nose", (110, 10)), point("neck", (120, 10)),
    )  # fmt: skip
    assert found.problems == ()
    assert [joints(pose) for pose in found.poses] == [
        {"nose": (10, 10), "neck": (20, 10)},
        {"nose": (110, 10), "neck": (120, 10)},
    ]


def test_a_second_animal_within_the_box_of_the_first_is_an_animal() -> None:
    first: list[Shape] = [
        box(0, 0, 200, 100, 1),
        point("nose", (10, 10), group=1),
        point("neck", (20, 10), group=1),
    ]
    found = read(*first, point("nose", (110, 10)), point("tail", (120, 10)))
    assert found.problems == ()
    assert [joints(pose) for pose in found.poses] == [
        {"nose": (10, 10), "neck": (20, 10)},
        {"nose": (110, 10), "tail": (120, 10)},
    ]


def test_a_joint_drawn_anew_beside_its_proposal_is_listed() -> None:
    first: list[Shape] = [
        box(0, 0, 200, 100, 1),
        point("nose", (10, 10), group=1),
        point("neck", (20, 10), group=1),
    ]
    found = read(*first, point("nose", (15, 12)))
    assert [joints(pose) for pose in found.poses] == [{"neck": (20, 10)}]
    assert "(10, 10) and (15, 12)" in found.problems[0]


def test_points_outside_all_boxes_go_to_the_nearest_that_lacks_them() -> None:
    around = [box(0, 0, 20, 50), box(100, 0, 120, 50)]
    found = read(
        *around, point("nose", (30, 10), (40, 10)), point("tail", (60, 5)), point("neck", (5, 5), (7, 5))
    )
    assert [joints(pose) for pose in found.poses] == [{"nose": (30, 10)}, {"nose": (40, 10)}]
    assert len(found.problems) == 2
    assert "'tail' at (60, 5) could belong to several animals" in found.problems
    found = read(*around, point("nose", (30, 10), (40, 10), (90, 10)))
    assert [joints(pose) for pose in found.poses] == [{"nose": (30, 10)}, {"nose": (90, 10)}]
    assert found.problems == ("'nose' at (40, 10) is one too many",)


def test_a_group_has_one_box() -> None:
    found = read(box(5, 0, 20, 20, 1), box(0, 0, 20, 20, 1), point("nose", (10, 10), group=1))
    assert [pose.box for pose in found.poses] == [Box(0, 0, 20, 20)]
    assert found.problems == ("group 1 has a second box",)


@pytest.mark.parametrize("around", [(), (box(0, 0, 200, 100, 1),)])
def test_a_single_point_far_away_is_no_second_animal(around: tuple[Rectangle, ...]) -> None:
    first = [point("nose", (10, 10), group=1), point("neck", (20, 10), group=1)]
    found = read(*around, *first, point("nose", (190, 90)))
    assert len(found.poses) == len(found.problems) == 1


def test_a_box_beside_a_skeleton_is_not_its_own() -> None:
    skeleton = Skeleton(
        label="cat", elements=(point("nose", (10, 10)), point("neck", (100, 10)), point("tail", (120, 10)))
    )
    found = read(skeleton, box(0, 0, 20, 20))
    assert [(len(pose.there), pose.box) for pose in found.poses] == [(0, Box(0, 0, 20, 20)), (3, None)]


def test_a_joint_twice_in_one_group_is_left_out_and_listed() -> None:
    found = read(point("nose", (10, 10), (50, 50), group=1), point("neck", (20, 10), group=1))
    assert [joints(pose) for pose in found.poses] == [{"neck": (20, 10)}]
    assert "(10, 10) and (50, 50)" in found.problems[0]


def test_an_absent_proposal_gives_way_to_the_point_that_a_person_drew() -> None:
    found = read(
        point("nose", (10, 10), group=1, attributes={"visibility": "absent"}), point("nose", (12, 10))
    )
    assert [joints(pose) for pose in found.poses] == [{"nose": (12, 10)}]


def test_a_joints_own_name_goes_before_its_other_names() -> None:
    found = read(point("muzzle", (1, 1)), point("snout", (2, 2)), point("nose", (3, 3)))
    assert [joints(pose) for pose in found.poses] == [{"nose": (3, 3)}]
    assert len(found.problems) == 2
    found = read(point("muzzle", (1, 1)), point("snout", (2, 2)))
    assert [joints(pose) for pose in found.poses] == [{"nose": (2, 2)}]


def test_what_is_no_pose_is_listed_and_the_rest_is_read() -> None:
    nan = float("nan")
    found = read(
        point("wing", (10, 10)),
        point("nose", (500, 10)),
        point("neck", (nan, 10)),
        point("tail", (5, 5)),
        point("nose", (6, 6), attributes={"visibility": "hidden"}),
        Polygon(label="leaf", points=((0, 0), (1, 0), (1, 1))),
        replace(box(0, 0, 1, 1), points=((nan, 0), (1, 1))),
    )
    assert [joints(pose) for pose in found.poses] == [{"tail": (5, 5)}]
    assert len(found.problems) == 6
    for word, problem in zip(
        ["wing", "nose", "neck", "hidden", "polygon", "box"], found.problems, strict=True
    ):
        assert word in problem


def test_what_has_neither_joints_nor_a_box_is_no_animal() -> None:
    found = read(
        Skeleton(label="stem", elements=(point("root", (1, 1)),)),
        Skeleton(label="cat", elements=(point("nose", (1, 1), outside=True),)),
        point("neck", (1, 1), attributes={"visibility": "absent"}),
    )
    assert found.poses == ()
    assert found.problems == ("skeleton 'stem': 'root' is no joint of small",)


def test_a_picture_without_shapes_has_no_animals() -> None:
    assert read() == PosesRead(())
    assert read(box(0, 0, 10, 10)).poses == (Pose({}, Box(0, 0, 10, 10)),)


@given(st.lists(st.builds(lambda label, place, group: point(label, place, group=group),
       st.sampled_from(["nose", "neck", "tail", "snout", "wing"]), coordinates, st.integers(0, 2)), max_size=8),
       st.lists(st.builds(lambda a, b: box(*a, *b), coordinates, coordinates), max_size=3))  # fmt: skip
@settings(max_examples=100)
def test_every_point_is_in_a_pose_or_in_a_problem(points: list[Points], around: list[Rectangle]) -> None:
    found = read(*points, *around)
    kept = {place for pose in found.poses for place in joints(pose).values()}
    told = " ".join(found.problems)
    for shape in points:
        x, y = shape.points[0]
        near = any(abs(x - a) <= 0.5 and abs(y - b) <= 0.5 for a, b in kept)
        joint = SMALL.resolve(shape.label)
        assert near or shape.label in told or (joint is not None and joint in told)


@given(st.lists(st.builds(lambda label, place, group: point(label, place, group=group),
       st.sampled_from(["nose", "neck", "tail", "snout", "wing"]), coordinates, st.integers(0, 2)), max_size=8),
       st.lists(st.builds(lambda a, b: box(*a, *b), coordinates, coordinates), max_size=3))  # fmt: skip
@settings(max_examples=100)
def test_the_order_of_the_shapes_does_not_matter(points: list[Points], around: list[Rectangle]) -> None:
    found = read(*points, *around)
    turned = read(*reversed(around), *reversed(points))
    assert turned.poses == found.poses
    assert sorted(turned.problems) == sorted(found.problems)
