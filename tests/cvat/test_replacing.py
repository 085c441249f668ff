"""Proposals taken out by id and put in beside: what counts as changed, and what is sent."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from agir_cvtoolkit.cvat.annotations import BODY_BYTES
from agir_cvtoolkit.cvat.labels import AttributeSpec, LabelSet, LabelSpec
from agir_cvtoolkit.cvat.replacing import (
    HeldShape,
    NewShape,
    create_beside,
    delete_by_id,
    in_bodies,
    read_content,
    signature_of,
)

from .fakes import FakeTransport, ok, opened

SURE = AttributeSpec(11, "sure", "checkbox", ("false",), "false")
LABELS = LabelSet(
    (
        LabelSpec(1, "weed", attributes=(SURE,)),
        LabelSpec(2, "plant"),
        LabelSpec(
            3, "dog", "skeleton", sublabels=(LabelSpec(4, "nose", attributes=(SURE,)), LabelSpec(5, "tail"))
        ),
    )
)
BOX: dict[str, Any] = {
    "id": 7,
    "type": "rectangle",
    "frame": 3,
    "label_id": 1,
    "group": 0,
    "source": "auto",
    "occluded": False,
    "outside": False,
    "z_order": 0,
    "rotation": 10.0,
    "attributes": [{"spec_id": 11, "value": "false"}],
    "elements": [],
    "points": [1.0, 2.0, 3.0, 4.0],
}
NOSE: dict[str, Any] = {
    "id": 8,
    "label_id": 4,
    "points": [1.0, 2.0],
    "occluded": False,
    "outside": False,
    "attributes": [],
}
DOG = BOX | {
    "type": "skeleton",
    "label_id": 3,
    "points": [],
    "attributes": [],
    "elements": [NOSE, NOSE | {"id": 9, "label_id": 5, "points": [5.0, 6.0]}],
}


@pytest.mark.parametrize(
    "change",
    [
        {"frame": 4},
        {"type": "ellipse"},
        {"label_id": 2, "attributes": []},
        {"group": 1},
        {"source": "manual"},
        {"occluded": True},
        {"outside": True},
        {"z_order": 1},
        {"rotation": 10.01},
        {"attributes": [{"spec_id": 11, "value": "true"}]},
        {"points": [1.0, 2.0, 3.0, 4.01]},
        {"points": [1.0, 2.0, 3.0, 4.0, 4.0]},
    ],
    ids=",".join,
)
def test_all_that_a_person_can_change_counts(change: dict[str, Any]) -> None:
    assert signature_of(BOX | change, LABELS) != signature_of(BOX, LABELS)


@pytest.mark.parametrize(
    "change",
    [
        {"label_id": 5, "points": [5.0, 6.0]},
        {"points": [1.0, 2.01]},
        {"occluded": True},
        {"outside": True},
        {"attributes": [{"spec_id": 11, "value": "true"}]},
    ],
    ids=",".join,
)
def test_elements_of_a_skeleton_count(change: dict[str, Any]) -> None:
    changed = deepcopy(DOG)
    changed["elements"][0] |= change
    assert signature_of(changed, LABELS) != signature_of(DOG, LABELS)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 99},
        {"score": 0.5},
        {"attributes": []},
        {"mood": "good"},
        {"points": [1.0, 2.0, 3.0, 4.0 + 1e-9]},
        {"group": None},
    ],
    ids=",".join,
)
def test_what_the_server_adds_or_turns_round_does_not_count(change: dict[str, Any]) -> None:
    assert signature_of(BOX | change, LABELS) == signature_of(BOX, LABELS)
    turned = DOG | {"elements": DOG["elements"][::-1]}
    assert signature_of(turned, LABELS) == signature_of(DOG, LABELS)


def test_tags_tracks_and_what_is_not_understood_are_others() -> None:
    path = "GET /api/jobs/5/annotations/"
    content = {"version": 0, "tags": [{"id": 1}], "tracks": [{"id": 2}], "shapes": [BOX, {"id": 3}]}
    found = read_content(opened(FakeTransport({path: ok(content)})), 5, LABELS)
    assert [(shape.id, shape.frame) for shape in found.shapes] == [(7, 3)]
    assert found.others == 3


def test_a_deletion_names_ids_alone_and_a_creation_none() -> None:
    transport = FakeTransport({"PATCH /api/jobs/5/annotations/": ok({})})
    session = opened(transport)
    delete_by_id(session, 5, [HeldShape(7, 3, "a"), HeldShape(9, 4, "b")], LABELS)
    create_beside(session, 5, [NewShape(b'{"frame":3}', "c")])
    deletion, creation = transport.of("PATCH /api/jobs/5/annotations/")
    assert deletion.params == {"action": "delete"}
    assert [shape["id"] for shape in deletion.json["shapes"]] == [7, 9]
    assert creation.params == {"action": "create"}
    assert creation.json["shapes"] == [{"frame": 3}]
    for call in (deletion, creation):
        assert (call.json["tags"], call.json["tracks"]) == ([], [])


def test_nothing_to_write_sends_nothing() -> None:
    transport = FakeTransport()
    session = opened(transport)
    delete_by_id(session, 5, [], LABELS)
    create_beside(session, 5, [])
    assert transport.of("PATCH /api/jobs/5/annotations/") == []


def test_bodies_stay_below_their_bound_and_one_that_is_larger_goes_alone() -> None:
    sizes = [30, 30, 30, 200, 10, 10]
    shapes = [NewShape(b"x" * size, str(number)) for number, size in enumerate(sizes)]
    bodies = list(in_bodies(shapes, 100))
    assert [[len(shape.body) for shape in body] for body in bodies] == [[30, 30, 30], [200], [10, 10]]
    assert [shape for body in bodies for shape in body] == shapes


def test_the_bound_is_one_that_every_server_takes() -> None:
    assert 100_000 < BODY_BYTES < 20_000_000
