from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from cvat_sdk.masks import decode_mask, encode_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from agir_cvtoolkit.cvat import LabelSet, shape_from_json, shape_to_json, validate, validate_tag
from agir_cvtoolkit.cvat.capabilities import capabilities_of
from agir_cvtoolkit.cvat.labels import AttributeSpec, LabelSpec
from agir_cvtoolkit.cvat.shapes_json import tag_from_json, tag_to_json
from agir_cvtoolkit.errors import ShapeError
from agir_cvtoolkit.masks import Runs, decode, encode
from agir_cvtoolkit.shapes import (
    Ellipse,
    Mask,
    Points,
    Polygon,
    Polyline,
    Rectangle,
    Shape,
    Skeleton,
    Tag,
)

OLD = capabilities_of("2.42.0", "http://x")
NEW = capabilities_of("2.60.0", "http://x")
DOG = LabelSpec(
    3, "dog", "skeleton", sublabels=(LabelSpec(31, "nose", "points"), LabelSpec(32, "tail", "points"))
)
PLANT = LabelSpec(
    1,
    "plant",
    "any",
    attributes=(AttributeSpec(7, "score", "number", ("0", "100", "1")), AttributeSpec(8, "note")),
)
MASKS = LabelSpec(2, "weed", "mask", attributes=(AttributeSpec(9, "Confidence"),))
STAGED = LabelSpec(
    4,
    "staged",
    "any",
    attributes=(
        AttributeSpec(41, "stage", "select", ("young", "old"), "young"),
        AttributeSpec(42, "wet", "checkbox", ("false",), "false"),
    ),
)
TAGGED = LabelSpec(5, "weed", "tag", attributes=(AttributeSpec(51, "confidence"),))
LABELS = LabelSet((PLANT, MASKS, DOG))

bitmaps = hnp.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20)))


def sent(shape: Shape, label: LabelSpec, frame: int = 4, capabilities: Any = OLD) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(shape_to_json(shape, frame, label, capabilities))
    return content


def mask_of(bitmap: NDArray[np.bool_]) -> Mask:
    runs = encode(bitmap)
    assert runs is not None
    return Mask(label="weed", runs=runs.lengths, box=runs.box)


@given(bitmaps.filter(lambda bitmap: bool(bitmap.any())))
@settings(max_examples=200, deadline=None)
def test_masks_are_what_the_official_client_makes_and_reads(bitmap: NDArray[np.bool_]) -> None:
    height, width = bitmap.shape
    mask = validate(mask_of(bitmap), 0, (width, height), MASKS)
    numbers = sent(mask, MASKS)["points"]
    assert numbers == encode_mask(bitmap)
    assert all(type(number) is int for number in numbers)
    np.testing.assert_array_equal(decode_mask(numbers, image_width=width, image_height=height), bitmap)


@given(bitmaps.filter(lambda bitmap: bool(bitmap.any())))
@settings(max_examples=200, deadline=None)
def test_masks_of_the_official_client_are_read_bit_by_bit(bitmap: NDArray[np.bool_]) -> None:
    height, width = bitmap.shape
    item = {"type": "mask", "frame": 0, "label_id": 2, "points": [float(n) for n in encode_mask(bitmap)]}
    mask = shape_from_json(item, LABELS).shape
    assert isinstance(mask, Mask)
    np.testing.assert_array_equal(decode(Runs(mask.runs, mask.box), (width, height)), bitmap)


coordinates = st.floats(0, 50, allow_nan=False).map(lambda value: round(value, 2))
points = st.tuples(coordinates, coordinates)


@given(
    st.lists(points, min_size=3, max_size=9),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(["auto", "x"]),
)
def test_point_shapes_return_unchanged(
    corners: list[tuple[float, float]], occluded: bool, z_order: int, source: str
) -> None:
    for kind in (Polygon, Polyline, Points):
        shape = kind(
            label="plant",
            points=tuple(corners),
            occluded=occluded,
            z_order=z_order,
            source=source,
            attributes={"note": "n"},
        )
        back = shape_from_json(sent(validate(shape, 0, (60, 60), PLANT), PLANT), LABELS)
        assert back.shape == shape
        assert back.frame == 4


def test_rectangles_keep_their_rotation_and_get_their_corners_in_order() -> None:
    turned = Rectangle(label="plant", points=((5.0, 40.0), (30.0, 10.0)), rotation=-30.0)
    checked = validate(turned, 0, (60, 60), PLANT)
    assert isinstance(checked, Rectangle)
    assert checked.points == ((5.0, 10.0), (30.0, 40.0))
    assert sent(checked, PLANT)["rotation"] == 330.0
    assert shape_from_json(sent(checked, PLANT), LABELS).shape == checked


def test_skeletons_are_sent_and_read_in_the_labels_order() -> None:
    elements = (
        Points(label="tail", points=((0.0, 0.0),), outside=True),
        Points(label="nose", points=((4.0, 5.0),), occluded=True),
    )
    dog = validate(Skeleton(label="dog", elements=elements), 0, (10, 10), DOG)
    content = sent(dog, DOG)
    assert [element["label_id"] for element in content["elements"]] == [31, 32]
    assert not content.get("points")
    assert [element["outside"] for element in content["elements"]] == [False, True]
    content["elements"].reverse()
    back = shape_from_json(content, LABELS).shape
    assert back == dog
    assert back is not None
    assert back.geometry_hash() == dog.geometry_hash()


@pytest.mark.parametrize(
    ("label", "capabilities", "score", "attributes"),
    [
        (PLANT, OLD, None, [{"spec_id": 7, "value": "87"}]),
        (MASKS, OLD, None, [{"spec_id": 9, "value": "0.8700"}]),
        (PLANT, NEW, 0.87, []),
    ],
)
def test_confidence_goes_where_the_server_has_room(
    label: LabelSpec, capabilities: Any, score: float | None, attributes: list[dict[str, Any]]
) -> None:
    shape = Polygon(label=label.name, points=((0, 0), (1, 0), (1, 1)), confidence=0.87)
    content = sent(shape, label, capabilities=capabilities)
    assert content.get("score") == score
    assert content["attributes"] == attributes


def test_a_given_attribute_is_not_overwritten_by_the_confidence() -> None:
    shape = Polygon(
        label="weed", points=((0, 0), (1, 0), (1, 1)), confidence=0.5, attributes={"confidence": "mine"}
    )
    assert sent(shape, MASKS)["attributes"] == [{"spec_id": 9, "value": "mine"}]


def test_confidence_of_a_person_is_none() -> None:
    item = {"type": "points", "frame": 0, "label_id": 1, "points": [1, 2], "score": 1.0}
    by_model, by_person = (shape_from_json(item | {"source": s}, LABELS).shape for s in ("auto", "manual"))
    assert by_model is not None
    assert by_person is not None
    assert by_model.confidence == 1.0
    assert by_person.confidence is None


def test_ellipses_stay_ellipses() -> None:
    item = {"type": "ellipse", "frame": 0, "label_id": 1, "points": [5.0, 4.0, 8.0, 2.5], "rotation": 90.0}
    shape = shape_from_json(item, LABELS).shape
    assert isinstance(shape, Ellipse)
    assert (shape.points, shape.radii, shape.rotation) == (((5.0, 4.0), (8.0, 2.5)), (3.0, 1.5), 90.0)
    again = sent(validate(shape, 0, (60, 60), PLANT), PLANT)
    assert (again["type"], again["points"], again["rotation"]) == ("ellipse", [5.0, 4.0, 8.0, 2.5], 90.0)


@pytest.mark.parametrize("corner", [(8.0, 2.5), (2.0, 2.5), (8.0, 5.5), (2.0, 5.5)])
def test_an_ellipse_is_sent_by_its_right_and_upper_radius(corner: tuple[float, float]) -> None:
    checked = validate(Ellipse(label="plant", points=((5.0, 4.0), corner)), 0, (60, 60), PLANT)
    assert isinstance(checked, Ellipse)
    assert checked.points == ((5.0, 4.0), (8.0, 2.5))


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"type": "mask", "frame": 0, "label_id": 2},
        {"type": "mask", "frame": 0, "label_id": 2, "points": [1, 2]},
        {"type": "mask", "frame": 0, "label_id": 2, "points": [0.5, 3.5, 0, 0, 1, 1]},
        {"type": "mask", "frame": 0, "label_id": 2, "points": [0, 1e300, 0, 0, 1, 1]},
        {"type": "mask", "frame": 0, "label_id": 2, "points": ["x"] * 6},
        {"type": "polygon", "frame": 0, "label_id": 99, "points": [1, 2, 3, 4, 5, 6]},
        {"type": "polygon", "frame": 0, "label_id": 1, "points": [1, 2, 3]},
        {"type": "cuboid", "frame": 0, "label_id": 1, "points": [1] * 16},
        {"type": "interval", "frame": 0, "label_id": 1},
        {"type": "rectangle", "frame": 0, "label_id": 1, "points": [1, 2, 3, 4, 5, 6]},
        {"type": "skeleton", "frame": 0, "label_id": 3, "elements": [{"label_id": 77, "points": [1, 2]}]},
        {"type": "polygon", "frame": "zero", "label_id": 1, "points": [1, 2, 3, 4, 5, 6]},
    ],
)
def test_what_cannot_be_understood_is_named_and_fails_nothing(item: dict[str, Any]) -> None:
    read = shape_from_json(item, LABELS)
    assert read.shape is None
    assert read.skipped


def test_unknown_and_missing_fields_do_not_matter() -> None:
    item = {"type": "polygon", "frame": 1, "label_id": 1, "points": [1, 2, 3, 4, 5, 6], "mood": "good"}
    read = shape_from_json(item, LABELS)
    assert isinstance(read.shape, Polygon)
    assert read.shape.source == "manual"


SIZE = (20, 10)


def box_mask(runs: list[int], box: tuple[int, int, int, int]) -> Mask:
    return Mask(label="weed", runs=np.array(runs, dtype=np.int32), box=box)


@pytest.mark.parametrize(
    ("shape", "label", "text"),
    [
        (box_mask([0, 3], (0, 0, 1, 1)), MASKS, "sum to 3"),
        (box_mask([0, 4], (19, 0, 20, 1)), MASKS, "does not lie in"),
        (box_mask([0, 4], (1, 1, 0, 0)), MASKS, "does not lie in"),
        (box_mask([5, -1], (0, 0, 1, 1)), MASKS, "negative"),
        (box_mask([4], (0, 0, 1, 1)), MASKS, "empty"),
        (Mask(label="weed", runs=np.array([0.5, 3.5]), box=(0, 0, 1, 1)), MASKS, "whole"),
        (box_mask([0, 4], (0, 0, 1, 1)), DOG, "only shapes of type skeleton"),
        (Polygon(label="x", points=((0, 0), (1, 1))), PLANT, "at least 3"),
        (Polygon(label="x", points=((0, 0), (1, 1), (float("nan"), 1))), PLANT, "no number"),
        (Polygon(label="x", points=((30, 0), (31, 1), (32, 1))), PLANT, "outside the picture"),
        (Polygon(label="x", points=((0, 0), (1, 1), (0, 1))), MASKS, "only shapes of type mask"),
        (Points(label="x", points=()), PLANT, "at least 1"),
        (Rectangle(label="x", points=((1, 1), (1, 5))), PLANT, "no area"),
        (Rectangle(label="x", points=((1, 1),)), PLANT, "two corners"),
        (Rectangle(label="x", points=((1, 1), (2, 2)), rotation=float("inf")), PLANT, "rotation"),
        (Rectangle(label="x", points=((30, 0), (40, 5)), rotation=10.0), PLANT, "outside the picture"),
        (Ellipse(label="x", points=((5, 5), (5, 2))), PLANT, "no area"),
        (Ellipse(label="x", points=((25, 5), (30, 2))), PLANT, "centre outside"),
        (Ellipse(label="x", points=((5, 5), (float("nan"), 2))), PLANT, "no number"),
        (Ellipse(label="x", points=((5, 5),)), PLANT, "the centre and one corner"),
        (Polyline(label="x", points=((0, 0),)), PLANT, "at least 2"),
        (Points(label="x", points=((1, 1),), confidence=float("nan")), PLANT, "confidence"),
        (Points(label="x", points=((1, 1),), source="a" * 17), PLANT, "longer than 16"),
        (Points(label="x", points=((1, 1),), group=-1), PLANT, "group"),
        (Points(label="x", points=((1, 1),), attributes={"nope": "1"}), PLANT, "'score', 'note'"),
        (Points(label="x", points=((1, 1),), attributes={"score": "101"}), PLANT, "from 0 to 100"),
        (Points(label="x", points=((1, 1),), attributes={"score": "nan"}), PLANT, "from 0 to 100"),
        (Points(label="x", points=((1, 1),), attributes={"stage": "dead"}), STAGED, "'young', 'old'"),
        (Points(label="x", points=((1, 1),), attributes={"wet": "maybe"}), STAGED, "'true', 'false'"),
        (Skeleton(label="dog", elements=()), DOG, "nose, tail missing"),
        (Skeleton(label="dog", elements=(Points(label="nose", points=((1, 1),)),) * 2), DOG, "twice"),
        (Skeleton(label="dog", elements=()), PLANT, "only shapes of type any"),
    ],
)
def test_shapes_that_the_server_would_swallow_are_refused(shape: Shape, label: LabelSpec, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        validate(shape, 3, SIZE, label)


def test_attributes_get_the_servers_names_and_spellings() -> None:
    given = Points(label="staged", points=((1, 1),), attributes={"STAGE": "old", "wet": "True"})
    checked = validate(given, 0, SIZE, STAGED)
    assert checked.attributes == {"stage": "old", "wet": "true"}
    assert sent(checked, STAGED)["attributes"] == [
        {"spec_id": 41, "value": "old"},
        {"spec_id": 42, "value": "true"},
    ]


@pytest.mark.parametrize("place", [(), ((float("nan"), 2.0),), ((-50.0, 99.0),), ((3.0, 4.0),)])
def test_an_absent_element_gets_a_place_that_the_server_can_keep(
    place: tuple[tuple[float, float], ...],
) -> None:
    elements = (
        Points(label="tail", points=place, outside=True),
        Points(label="nose", points=((4.0, 5.0),)),
    )
    dog = validate(Skeleton(label="dog", elements=elements), 0, SIZE, DOG)
    assert isinstance(dog, Skeleton)
    assert [(e.label, e.outside) for e in dog.elements] == [("nose", False), ("tail", True)]
    ((x, y),) = dog.elements[1].points
    assert 0 <= x <= SIZE[0]
    assert 0 <= y <= SIZE[1]
    assert place != ((3.0, 4.0),) or (x, y) == (3.0, 4.0)


@pytest.mark.parametrize("capabilities", [OLD, NEW], ids=["attribute", "score"])
@pytest.mark.parametrize("label", [PLANT, MASKS], ids=["percent", "text"])
def test_confidence_is_read_back_from_where_it_was_put(label: LabelSpec, capabilities: Any) -> None:
    mask = Mask(label=label.name, runs=np.array([0, 4], np.int32), box=(0, 0, 1, 1), confidence=0.87)
    content = sent(validate(mask, 0, SIZE, label), label, capabilities=capabilities)
    assert ("score" in content) == capabilities.score
    for servers_default in ({}, {} if capabilities.score else {"score": 1.0}):
        back = shape_from_json(content | servers_default, LABELS).shape
        assert back is not None
        assert back.confidence == pytest.approx(0.87)


def test_tags_there_and_back() -> None:
    tag = Tag(label="weed", source="auto", confidence=0.5, group=3)
    content = orjson.loads(tag_to_json(validate_tag(replace(tag, label="Weed"), 2, TAGGED), 2, TAGGED))
    assert content == {
        "frame": 2,
        "label_id": 5,
        "source": "auto",
        "group": 3,
        "attributes": [{"spec_id": 51, "value": "0.5000"}],
    }
    assert tag_from_json(content, LabelSet((TAGGED,))) == (
        2,
        replace(tag, attributes={"confidence": "0.5000"}),
    )
    with pytest.raises(ShapeError, match="only shapes of type skeleton"):
        validate_tag(Tag(label="dog"), 0, DOG)


def test_groups_survive() -> None:
    for shape in (
        Polygon(label="plant", points=((0, 0), (4, 0), (4, 4)), group=7),
        mask_of(np.ones((2, 2), dtype=np.bool_)),
    ):
        back = shape_from_json(sent(replace(shape, group=7), LABELS.find(shape.label)), LABELS).shape
        assert back is not None
        assert back.group == 7


def test_an_all_absent_skeleton_is_refused() -> None:
    elements = tuple(Points(label=name, points=((0.0, 0.0),), outside=True) for name in ("nose", "tail"))
    with pytest.raises(ShapeError, match="no point inside"):
        validate(Skeleton(label="dog", elements=elements), 0, SIZE, DOG)


@given(st.lists(st.tuples(st.floats(-30, 60), st.floats(-30, 60)), min_size=3, max_size=8))
def test_a_checked_polygon_lies_inside_or_is_refused(corners: list[tuple[float, float]]) -> None:
    try:
        checked = validate(Polygon(label="PLANT", points=tuple(corners)), 0, SIZE, PLANT)
    except ShapeError:
        xs, ys = zip(*corners, strict=True)
        assert max(xs) < 0 or min(xs) > 20 or max(ys) < 0 or min(ys) > 10
        return
    assert isinstance(checked, Polygon)
    assert checked.label == "plant"
    assert all(0 <= x <= 20 and 0 <= y <= 10 for x, y in checked.points)
    assert all(
        new == old
        for new, old in zip(checked.points, corners, strict=True)
        if 0 <= old[0] <= 20 and 0 <= old[1] <= 10
    )
