"""Which pulled shape came from which prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit import masks, outlines
from agir_cvtoolkit.corrections import Match, match, match_hashes
from agir_cvtoolkit.shapes import Mask, Points, Polygon, Polyline, Rectangle, Shape, Skeleton

SIZE = (200, 160)


def disc(x: int, y: int, radius: int, label: str = "weed") -> Mask:
    rows, columns = np.ogrid[: SIZE[1], : SIZE[0]]
    runs = masks.encode((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)
    assert runs is not None
    return Mask(label=label, runs=runs.lengths, box=runs.box)


def square(x: float, y: float, side: float, label: str = "weed") -> Rectangle:
    return Rectangle(label=label, points=((x, y), (x + side, y + side)))


def skeleton(moved: float = 0.0, *, outside: bool = False, occluded: bool = False) -> Skeleton:
    places = {"nose": (50.0, 50.0), "tail": (150.0, 50.0), "paw": (100.0, 100.0)}
    elements = [Points(label=name, points=(place,)) for name, place in places.items()]
    x, y = places["paw"]
    elements[2] = Points(label="paw", points=((x + moved, y),), outside=outside, occluded=occluded)
    return Skeleton(label="mouse", elements=tuple(elements))


def outcomes(before: Sequence[Shape], after: Sequence[Shape]) -> list[str]:
    return [found.outcome for found in match(before, after, SIZE)]


def test_what_is_left_as_it_was_is_accepted() -> None:
    shapes: list[Shape] = [
        disc(50, 50, 20),
        square(100, 20, 30),
        Points(label="eye", points=((3.0, 4.0),)),
        Polyline(label="row", points=((0.0, 0.0), (100.0, 10.0))),
        skeleton(),
    ]
    found = match(shapes, shapes[::-1], SIZE)
    assert [(m.before, m.after, m.outcome) for m in found] == [(i, 4 - i, "accepted") for i in range(5)]
    assert found[0].iou == 1.0
    assert found[0].boundary_px == 0.0
    assert found[2].moved_points == 0


def test_an_edited_mask_tells_overlap_and_distance_of_the_outlines() -> None:
    (found,) = match([square(50, 50, 40)], [square(54, 50, 40)], SIZE)
    assert found.outcome == "edited"
    assert found.iou == pytest.approx(36 / 44)
    # Two of the four sides moved by 4 pixels, two lie on each other but for their ends.
    assert 1.5 < (found.boundary_px or 0) < 2.5


def test_a_mask_redrawn_as_a_polygon_is_an_edit_even_where_it_covers_the_same() -> None:
    mask = disc(80, 80, 30)
    bits = masks.decode(masks.Runs(mask.runs, mask.box), SIZE)
    ring = outlines.regions(bits)[0].outer
    redrawn = Polygon(label="weed", points=tuple((float(x), float(y)) for x, y in ring))
    (found,) = match([mask], [redrawn], SIZE)
    assert (found.outcome, found.iou, found.boundary_px) == ("edited", 1.0, 0.0)


def test_the_same_bits_in_a_wider_box_are_accepted() -> None:
    mask = disc(80, 80, 10)
    bits = masks.decode(masks.Runs(mask.runs, mask.box), SIZE)
    wide = masks.encode(bits, (0, 0, 150, 150))
    assert wide is not None
    (found,) = match([mask], [Mask(label="weed", runs=wide.lengths, box=wide.box)], SIZE)
    assert found.outcome == "accepted"


def test_another_label_is_relabelled_and_still_measured() -> None:
    same, moved = match(
        [square(10, 10, 20), square(100, 100, 20)],
        [square(10, 10, 20, "crop"), square(102, 100, 20, "crop")],
        SIZE,
    )
    assert (same.outcome, same.iou) == ("relabelled", 1.0)
    assert moved.outcome == "relabelled"
    assert moved.iou == pytest.approx(18 / 22)


def test_deleted_and_added() -> None:
    found = match([square(10, 10, 20)], [square(100, 100, 20)], SIZE)
    assert found == (Match(0, None, "deleted"), Match(None, 0, "added"))


def test_shapes_of_different_families_are_never_one_object() -> None:
    assert outcomes([square(10, 10, 20)], [Points(label="weed", points=((20.0, 20.0),))]) == [
        "deleted",
        "added",
    ]
    assert outcomes([skeleton()], [Points(label="mouse", points=((50.0, 50.0),))]) == ["deleted", "added"]


def test_the_pairing_is_the_best_one_in_all_and_not_the_first_that_fits() -> None:
    # Greedy would pair the middle ones (largest overlap) and lose the two outer ones.
    before = [square(0, 0, 100), square(45, 0, 100)]
    after = [square(40, 0, 100), square(88, 0, 100)]
    assert [(m.before, m.after) for m in match(before, after, SIZE)] == [(0, 0), (1, 1)]


def test_of_two_objects_over_each_other_the_label_decides() -> None:
    before = [square(50, 50, 40, "crop"), square(51, 50, 40, "weed")]
    after = [square(50, 51, 40, "weed"), square(51, 51, 40, "crop")]
    assert [(m.before, m.after, m.outcome) for m in match(before, after, SIZE)] == [
        (0, 1, "edited"),
        (1, 0, "edited"),
    ]


def test_of_equal_geometry_the_same_label_is_taken_first() -> None:
    before = [square(50, 50, 40, "crop"), square(50, 50, 40, "weed")]
    assert outcomes(before, before[::-1]) == ["accepted", "accepted"]
    assert outcomes(before, [square(50, 50, 40, "weed"), square(50, 50, 40, "stone")]) == [
        "relabelled",
        "accepted",
    ]


def test_a_moved_point_of_a_skeleton_is_counted_in_pixels() -> None:
    (found,) = match([skeleton()], [skeleton(moved=6.0)], SIZE)
    assert (found.outcome, found.moved_points, found.changed_points) == ("edited", 1, 0)
    assert found.moved_px == pytest.approx(6.0)


def test_a_point_that_was_hidden_or_removed_is_an_edit_without_a_way() -> None:
    for changed in (skeleton(outside=True), skeleton(occluded=True)):
        (found,) = match([skeleton()], [changed], SIZE)
        assert (found.outcome, found.moved_points, found.moved_px) == ("edited", 0, None)
        assert found.changed_points == 1


def test_points_are_paired_whatever_their_order_and_a_new_one_is_counted() -> None:
    places = ((10.0, 10.0), (60.0, 60.0), (120.0, 90.0))
    before = Points(label="ears", points=places)
    assert outcomes([before], [Points(label="ears", points=places[::-1])]) == ["accepted"]
    (found,) = match([before], [Points(label="ears", points=((120.0, 93.0), *places[:2], (5.0, 99.0)))], SIZE)
    assert (found.outcome, found.moved_points, found.changed_points) == ("edited", 1, 1)
    assert found.moved_px == pytest.approx(3.0)


def test_single_points_go_to_the_nearest_and_far_ones_are_others() -> None:
    before: list[Shape] = [Points(label="eye", points=((x, 50.0),)) for x in (50.0, 70.0)]
    after: list[Shape] = [Points(label="eye", points=((x, 50.0),)) for x in (72.0, 51.0)]
    assert [(m.before, m.after) for m in match(before, after, SIZE)] == [(0, 1), (1, 0)]
    assert outcomes(before[:1], [Points(label="eye", points=((150.0, 50.0),))]) == ["deleted", "added"]


def test_lines_tell_their_mean_distance() -> None:
    line = Polyline(label="row", points=((10.0, 50.0), (150.0, 50.0)))
    (found,) = match(
        [line], [Polyline(label="row", points=((10.0, 53.0), (80.0, 53.0), (150.0, 53.0)))], SIZE
    )
    assert found.outcome == "edited"
    assert found.boundary_px == pytest.approx(3.0)
    far = Polyline(label="row", points=((10.0, 150.0), (150.0, 150.0)))
    assert outcomes([line], [far]) == ["deleted", "added"]


def test_a_joint_of_an_animal_stays_itself_however_far_it_was_moved() -> None:
    def dog(group: int, **places: float) -> list[Shape]:
        return [Points(label=name, points=((x, 50.0),), group=group) for name, x in places.items()]

    before = dog(1, nose=20.0, eye=40.0, ear=90.0) + dog(2, nose=150.0)
    after = dog(1, nose=39.0, eye=190.0, tail=21.0) + dog(2, nose=10.0)
    found = match(before, after, SIZE)
    assert [(m.before, m.after, m.outcome) for m in found] == [
        (0, 0, "edited"),
        (1, 1, "edited"),
        (2, None, "deleted"),
        (3, 3, "edited"),
        (None, 2, "added"),
    ]
    assert [m.moved_px for m in found[:2]] == [19.0, 150.0]


def test_a_joint_that_is_doubled_in_its_group_is_matched_by_place() -> None:
    before: list[Shape] = [Points(label="nose", points=((x, 50.0),), group=1) for x in (20.0, 150.0)]
    after: list[Shape] = [Points(label="nose", points=((x, 50.0),), group=1) for x in (151.0, 21.0)]
    assert [(m.before, m.after) for m in match(before, after, SIZE)] == [(0, 1), (1, 0)]


def test_a_skeleton_of_a_group_stays_itself_however_far_it_was_moved() -> None:
    moved = skeleton()
    far = replace(moved, elements=tuple(replace(e, points=((190.0, 90.0),)) for e in moved.elements))
    assert outcomes([replace(moved, group=3)], [replace(far, group=3)]) == ["edited"]
    assert outcomes([moved], [far]) == ["deleted", "added"]


def test_points_that_are_no_numbers_are_no_reason_to_fail() -> None:
    nan = float("nan")
    broken: list[Shape] = [
        Points(label="eye", points=((nan, 1.0),)),
        Polyline(label="row", points=((nan, 1.0), (2.0, 2.0))),
        Polyline(label="row", points=()),
    ]
    whole: list[Shape] = [
        Points(label="eye", points=((1.0, 1.0),)),
        Polyline(label="row", points=((1.0, 1.0), (2.0, 2.0))),
    ]
    assert set(outcomes(broken, whole)) == {"deleted", "added"}
    assert outcomes(broken, broken) == ["accepted"] * 3


def test_a_skeleton_that_was_hidden_wholly_is_another_and_two_such_are_one() -> None:
    hidden = [
        Skeleton(label=label, elements=tuple(replace(e, outside=True) for e in skeleton().elements))
        for label in ("mouse", "rat")
    ]
    assert outcomes([skeleton()], hidden[:1]) == ["deleted", "added"]
    assert outcomes(hidden[:1], hidden[1:]) == ["relabelled"]


LABELS = st.sampled_from(["weed", "crop"])
SQUARES = st.builds(
    square, st.integers(0, 30).map(float), st.integers(0, 30).map(float), st.sampled_from([8.0, 20.0]), LABELS
)
POINTS = st.builds(
    lambda x, y, label: Points(label=label, points=((float(x), float(y)),)),
    st.integers(0, 60),
    st.integers(0, 60),
    LABELS,
)
LISTS = st.lists(st.one_of(SQUARES, POINTS), max_size=6)


@given(LISTS, LISTS, st.randoms(use_true_random=False))
def test_the_order_of_the_lists_does_not_matter(
    before: list[Shape], after: list[Shape], random: object
) -> None:
    def told(first: list[Shape], second: list[Shape]) -> Counter[tuple[object, ...]]:
        return Counter(
            (
                None if m.before is None else first[m.before],
                None if m.after is None else second[m.after],
                replace(m, before=None, after=None),
            )
            for m in match(first, second, SIZE)
        )

    expected = told(before, after)
    mixed = [list(before), list(after)]
    for shapes in mixed:
        random.shuffle(shapes)  # type: ignore[attr-defined]
    assert told(*mixed) == expected


@given(LISTS, LISTS)
def test_what_is_too_far_apart_to_be_looked_at_would_not_have_matched(
    before: list[Shape], after: list[Shape]
) -> None:
    found = match(before, after, SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "agir_cvtoolkit.corrections._match._Measures.near",
            lambda _, first, second: [(x, y) for x in range(len(first)) for y in range(len(second))],
        )
        assert match(before, after, SIZE) == found


@given(LISTS, LISTS)
def test_every_shape_is_told_once(before: list[Shape], after: list[Shape]) -> None:
    found = match(before, after, SIZE)
    assert [m.before for m in found if m.before is not None] == list(range(len(before)))
    assert sorted(m.after for m in found if m.after is not None) == list(range(len(after)))


@given(LISTS)
def test_nothing_changed_means_all_accepted(shapes: list[Shape]) -> None:
    assert {m.outcome for m in match(shapes, shapes[::-1], SIZE)} <= {"accepted"}


def test_hashes_alone_tell_what_they_can() -> None:
    assert [m.outcome for m in match_hashes(["a", "b"], ["b", "a"])] == ["accepted", "accepted"]
    assert [m.outcome for m in match_hashes(["a", "a"], ["a"])] == ["accepted", "deleted"]
    assert [m.outcome for m in match_hashes(["a"], ["a", "c"])] == ["accepted", "added"]
    assert [m.outcome for m in match_hashes(["a", "b"], ["a", "c"])] == ["accepted", "unknown", "unknown"]
