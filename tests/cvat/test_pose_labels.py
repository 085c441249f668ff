"""Labels for poses, and the check of labels that are there."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from agir_cvtoolkit.cvat.labels import AttributeSpec, LabelSet, LabelSpec, NewLabel
from agir_cvtoolkit.cvat.pose_labels import check_pose_labels, pose_labels, schema_of_labels
from agir_cvtoolkit.errors import ConfigError, LabelError
from agir_cvtoolkit.joints import SCHEMAS, JointSchema, load_schema

DOG = load_schema("dog24")


def as_there(labels: tuple[NewLabel, ...]) -> LabelSet:
    """Return labels as a server has them."""
    made: list[LabelSpec] = []
    for label in labels:
        attributes = tuple(
            AttributeSpec(i, str(a["name"]), str(a["input_type"]), tuple(a["values"]))  # type: ignore[arg-type]
            for i, a in enumerate(label.attributes)
        )
        sublabels = tuple(LabelSpec(100 + i, name, "points") for i, name in enumerate(label.sublabels))
        made.append(LabelSpec(len(made), label.name, label.type, "", attributes, sublabels))
    return LabelSet(tuple(made))


def test_single_points_have_a_visibility_as_annotators_know_it() -> None:
    labels = pose_labels(DOG)
    assert [label.name for label in labels] == list(DOG.joints)
    assert {label.type for label in labels} == {"points"}
    assert len({label.color for label in labels}) == len(labels)
    assert labels[0].as_request()["attributes"] == [
        {
            "name": "visibility",
            "mutable": True,
            "input_type": "select",
            "default_value": "visible",
            "values": ["visible", "occluded", "absent"],
        }
    ]


def test_a_box_label_asks_what_a_trainer_wants_to_know_of_the_animal() -> None:
    box = pose_labels(DOG, "points", "dog_bbox")[-1]
    assert (box.name, box.type) == ("dog_bbox", "rectangle")
    assert [a["name"] for a in box.attributes] == ["breed_size", "pose_type", "difficult", "crowd"]
    cat = pose_labels(JointSchema("cat", "cat", ("nose",)), "points", "cat_box")[-1]
    assert [a["name"] for a in cat.attributes] == ["difficult", "crowd"]


@pytest.mark.parametrize(("style", "name"), [("skeleton", "Dog"), ("points", "left eye")])
def test_a_box_label_differs_from_all_others(style: str, name: str) -> None:
    with pytest.raises(ConfigError, match="dog_bbox"):
        pose_labels(DOG, style, name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_drawing_names_every_joint_once_and_joins_what_is_linked(name: str) -> None:
    schema = load_schema(name)
    (label,) = pose_labels(schema, "skeleton")
    drawing = ET.fromstring(f"<svg>{label.svg}</svg>")
    circles = drawing.findall("circle")
    assert [c.get("data-label-name") for c in circles] == list(schema.joints) == list(label.sublabels)
    assert [c.get("data-element-id") for c in circles] == [str(n) for n in range(1, len(schema.joints) + 1)]
    assert {c.get("data-type") for c in circles} == {"element node"}
    places = {c.get("data-node-id"): (c.get("cx"), c.get("cy")) for c in circles}
    assert len(set(places.values())) == len(circles)
    assert all(0 <= float(value or -1) <= 100 for place in places.values() for value in place)
    lines = drawing.findall("line")
    assert len(lines) == len(schema.links)
    for line, (first, second) in zip(lines, schema.links, strict=True):
        ends = line.get("data-node-from"), line.get("data-node-to")
        assert ends == (str(schema.index(first) + 1), str(schema.index(second) + 1))
        assert places[ends[0]] == (line.get("x1"), line.get("y1"))
        assert places[ends[1]] == (line.get("x2"), line.get("y2"))


def test_names_are_safe_in_the_drawing() -> None:
    (label,) = pose_labels(JointSchema("odd", "odd", ('a"<b>', "c&d"), (('a"<b>', "c&d"),)), "skeleton")
    circles = ET.fromstring(f"<svg>{label.svg}</svg>").findall("circle")
    assert [c.get("data-label-name") for c in circles] == ['a"<b>', "c&d"]


@pytest.mark.parametrize("style", ["points", "skeleton"])
def test_labels_that_were_made_pass(style: str) -> None:
    wanted = pose_labels(DOG, style, "dog_bbox")  # type: ignore[arg-type]
    check_pose_labels(as_there((*wanted, NewLabel("more"))), DOG, style, "dog_bbox")  # type: ignore[arg-type]


def test_all_that_is_wrong_is_named() -> None:
    good = as_there(pose_labels(DOG)).labels
    bad = (
        replace(good[1], type="rectangle"),
        replace(good[2], attributes=()),
        replace(good[3], attributes=(AttributeSpec(1, "visibility", "select", ("visible",)),)),
        *good[4:],
    )
    with pytest.raises(LabelError) as caught:
        check_pose_labels(LabelSet(bad), DOG)
    text = str(caught.value)
    assert "'nose' (points) is missing" in text
    assert "'left_eye' takes shapes of type rectangle" in text
    assert "'right_eye' has no attribute visibility" in text
    assert "'left_ear' has no visibility occluded, absent" in text
    assert "right_ear" not in text


def test_a_skeleton_with_other_joints_is_refused() -> None:
    (label,) = pose_labels(DOG, "skeleton")
    other = as_there((replace(label, sublabels=(*DOG.joints[1:], "wing")),))
    with pytest.raises(LabelError, match="lacks nose and has wing too many"):
        check_pose_labels(other, DOG, "skeleton")


def test_the_first_schema_that_all_labels_are_there_for_is_found() -> None:
    schemas = [load_schema(name) for name in SCHEMAS]
    for style in ("points", "skeleton"):
        for schema in schemas:
            labels = as_there((NewLabel("weed"), *pose_labels(schema, style, "box")))
            assert schema_of_labels(labels, schemas) == schema
    assert schema_of_labels(as_there((NewLabel("weed"), *pose_labels(DOG)[1:])), schemas) is None


@pytest.mark.parametrize(("there", "asked"), [("points", "skeleton"), ("skeleton", "points")])
def test_a_project_of_the_other_style_says_so(there: str, asked: str) -> None:
    labels = as_there(pose_labels(DOG, there))  # type: ignore[arg-type]
    with pytest.raises(LabelError, match=f"set the style to {there}"):
        check_pose_labels(labels, DOG, asked)  # type: ignore[arg-type]
