from __future__ import annotations

from typing import Any

import pytest

from agir_cvtoolkit.cvat import LabelSet, NewLabel, read_labels
from agir_cvtoolkit.cvat.labels import LabelSpec, labels_from_json
from agir_cvtoolkit.errors import LabelError

from .fakes import FakeTransport, ok, opened

LABELS = LabelSet((LabelSpec(1, "hairy_vetch"), LabelSpec(2, "Weed", "mask"), LabelSpec(3, "weed", "mask")))


@pytest.mark.parametrize("name", ["hairy vetch", "Hairy_Vetch", " HAIRY VETCH ", "hairy_vetch"])
def test_case_space_and_underscore_make_no_difference(name: str) -> None:
    assert LABELS.find(name).id == 1


def test_the_exact_spelling_wins_and_ambiguity_is_an_error() -> None:
    assert LABELS.find("Weed").id == 2
    assert LABELS.find("weed").id == 3
    with pytest.raises(LabelError, match="'Weed', 'weed'"):
        LABELS.find("WEED")


def test_a_missing_label_is_named_with_those_there_are() -> None:
    with pytest.raises(LabelError) as caught:
        LABELS.find("hairy vetsch")
    text = str(caught.value)
    assert "Label 'hairy vetsch' not in task" in text
    assert "'hairy_vetch', 'Weed', 'weed'" in text
    assert "Did you mean 'hairy_vetch'?" in text


@pytest.mark.parametrize(
    ("label_type", "kind", "takes"),
    [
        ("any", "mask", True),
        ("any", "polygon", True),
        ("any", "skeleton", False),
        ("mask", "mask", True),
        ("mask", "polygon", False),
        ("polygon", "mask", False),
        ("skeleton", "skeleton", True),
        ("hologram", "mask", True),
    ],
)
def test_types_of_labels_take_their_shapes(label_type: str, kind: str, takes: bool) -> None:
    assert LabelSpec(1, "x", label_type).takes(kind) is takes


def test_labels_are_read_tolerantly() -> None:
    items: list[dict[str, Any]] = [
        {
            "id": 5,
            "name": "dog",
            "type": "skeleton",
            "sublabels": [{"id": 6, "name": "nose"}, {"id": "?"}],
            "new": 1,
        },
        {"id": 6, "name": "nose", "has_parent": True},
        {"name": "no id"},
        {"id": 7, "name": "x", "attributes": [{"id": 1, "name": "a", "values": None}, {}], "sublabels": None},
    ]
    dog, x = labels_from_json(items)
    assert [sub.name for sub in dog.sublabels] == ["nose"]
    assert x.type == "any"
    assert [attribute.name for attribute in x.attributes] == ["a"]


def test_labels_of_a_task_are_asked_for_by_its_id() -> None:
    answer = ok({"next": None, "results": [{"id": 1, "name": "weed"}]})
    transport = FakeTransport({"GET /api/labels": answer})
    assert read_labels(opened(transport), task_id=8).names == ("weed",)
    assert transport.of("GET /api/labels")[0].params["task_id"] == "8"


def test_a_new_label_is_written_as_the_server_wants_it() -> None:
    wanted = NewLabel("dog", "skeleton", "#112233", sublabels=("nose",), svg="<circle/>").as_request()
    assert wanted["sublabels"] == [{"name": "nose", "type": "points", "attributes": []}]
    assert wanted["color"] == "#112233"
    assert "svg" not in NewLabel("weed").as_request()
