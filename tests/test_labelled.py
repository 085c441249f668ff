from __future__ import annotations

from collections.abc import Iterator

from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.labelled import (
    COLOURS,
    LabelEntry,
    LabelledPicture,
    LabelledSet,
    coloured,
    labels_of_shapes,
)
from agir_cvtoolkit.shapes import Points, Polygon, Skeleton, Tag

TRIANGLE = ((0.0, 0.0), (2.0, 0.0), (0.0, 2.0))


def test_a_set_can_be_read_again_and_makes_its_pictures_each_time() -> None:
    begun: list[int] = []

    def pictures() -> Iterator[LabelledPicture]:
        begun.append(1)
        yield LabelledPicture("a", "a.jpg", None, 4, 3)

    found = LabelledSet("run", (LabelEntry("weed"),), 1, pictures)
    assert not begun
    assert [picture.size for picture in found] == [(4, 3)]
    assert [picture.record_id for picture in found] == ["a"]
    assert len(begun) == 2
    assert found.label("weed") == LabelEntry("weed")
    assert found.label("crop") is None


def test_known_labels_keep_their_order_and_others_follow_by_name() -> None:
    skeleton = Skeleton(
        label="dog",
        elements=(Points(label="tail", points=((1.0, 1.0),)), Points(label="nose", points=((2.0, 2.0),))),
    )
    shapes = (skeleton, Polygon(label="weed", points=TRIANGLE), Polygon(label="bean", points=TRIANGLE))
    known = (LabelEntry("weed", "mask", "#112233", 7),)
    found = labels_of_shapes((*shapes, Tag(label="dry")), known)
    assert [label.name for label in found] == ["weed", "bean", "dog", "dry"]
    assert found[0] is known[0]
    assert found[2].joints == ("tail", "nose")
    assert [label.kind for label in found] == ["mask", "any", "skeleton", "tag"]


def test_labels_without_a_colour_get_one_in_turn() -> None:
    colours = coloured([LabelEntry("a"), LabelEntry("b", color="#010203"), LabelEntry("c")])
    assert colours == {"a": COLOURS[0], "b": "#010203", "c": COLOURS[2]}


def test_a_pose_schema_becomes_a_skeleton_label() -> None:
    schema = load_schema("dog24")
    label = LabelEntry.of_schema(schema)
    assert (label.name, label.kind, label.joints) == (schema.label, "skeleton", schema.joints)
    assert label.mirrored[schema.index("left_eye")] == schema.index("right_eye")
