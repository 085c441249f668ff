from __future__ import annotations

from typing import Any

import pytest

from agir_cvtoolkit.sandbox import Sandbox

from .plain import Plain, pictures, rectangle, shapes

pytestmark = pytest.mark.integration


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


@pytest.fixture
def task(plain: Plain) -> dict[str, Any]:
    attribute = {"name": "score", "mutable": False, "input_type": "number", "values": ["0", "100", "1"]}
    dog: dict[str, Any] = {
        "name": "dog",
        "type": "skeleton",
        "sublabels": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
    }
    labels: list[dict[str, Any]] = [{"name": "plant"}, {"name": "scored", "attributes": [attribute]}, dog]
    project = plain.project(labels)
    found = plain.task(pictures(6), project_id=project["id"], spec={"segment_size": 3})
    return found | {"labels": plain.labels(project["id"]), "path": f"/api/tasks/{found['id']}/annotations/"}


def _jobs(plain: Plain, task: dict[str, Any]) -> list[dict[str, Any]]:
    return list(plain("GET", f"/api/jobs?task_id={task['id']}&sort=id").json["results"])


def test_put_replaces_and_answers_with_everything(plain: Plain, task: dict[str, Any]) -> None:
    plant = task["labels"]["plant"]["id"]
    first = plain("PUT", task["path"], shapes(rectangle(plant, 0), rectangle(plant, 5))).json
    second = plain("PUT", task["path"], shapes(rectangle(plant, 1, source="auto", score=0.5))).json
    assert len(second["shapes"]) == 1
    found = second["shapes"][0]
    assert found["id"] not in {shape["id"] for shape in first["shapes"]}
    assert found == {
        "id": found["id"],
        "label_id": plant,
        "type": "rectangle",
        "frame": 1,
        "group": None,
        "source": "auto",
        "occluded": False,
        "outside": False,
        "z_order": 0,
        "rotation": 0.0,
        "points": [1.0, 2.0, 10.0, 12.0],
        "attributes": [],
        "elements": [],
    }
    assert plain("GET", task["path"]).json == second


@pytest.mark.parametrize("content", [None, {}, {"version": 0}])
def test_put_without_shapes_wipes(plain: Plain, task: dict[str, Any], content: object) -> None:
    plain("PUT", task["path"], shapes(rectangle(task["labels"]["plant"]["id"])))
    assert plain("PUT", task["path"], content).status == 200
    assert plain("GET", task["path"]).json["shapes"] == []


def test_frames_outside_are_dropped_silently(plain: Plain, task: dict[str, Any]) -> None:
    got = plain("PUT", task["path"], shapes(rectangle(task["labels"]["plant"]["id"], 6)))
    assert (got.status, got.json["shapes"]) == (200, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"points": [1, 2, 3]},
        {"type": "polygon", "points": [1, 2, 3, 4]},
        {"type": "blob"},
        {"rotation": -1},
        {"frame": -1},
        {"frame": None},
        {"points": ["x", 1, 2, 3]},
        {"type": "skeleton", "points": []},
        {"type": "skeleton", "points": [1, 2], "elements": [{"type": "points", "points": [1, 2]}]},
        {"attributes": [{"spec_id": 999, "value": "1"}]},
    ],
)
def test_one_bad_shape_refuses_all(plain: Plain, task: dict[str, Any], wrong: dict[str, Any]) -> None:
    plant = task["labels"]["plant"]["id"]
    plain("PUT", task["path"], shapes(rectangle(plant)))
    before = plain("GET", task["path"]).json
    bad = shapes(rectangle(plant), rectangle(plant) | wrong)
    assert plain("PUT", task["path"], bad).status == 400
    assert plain("PATCH", task["path"] + "?action=create", bad).status == 400
    assert plain("GET", task["path"]).json == before


def test_foreign_labels(plain: Plain, task: dict[str, Any]) -> None:
    got = plain("PUT", task["path"], shapes(rectangle(999)))
    assert (got.status, got.json) == (400, ["label_id `999` is invalid"])


def test_what_is_not_checked(plain: Plain, task: dict[str, Any]) -> None:
    dog = task["labels"]["dog"]
    nonsense = [
        rectangle(dog["id"]),
        rectangle(dog["sublabels"][0]["id"]),
        rectangle(task["labels"]["plant"]["id"], points=[900, 900, -5, -5]),
        rectangle(task["labels"]["plant"]["id"]) | {"type": "mask", "points": [-3, 2.5, 1, 90, 90, 5, 5]},
    ]
    assert len(plain("PUT", task["path"], shapes(*nonsense)).json["shapes"]) == 4


def test_missing_attributes_get_their_defaults(plain: Plain, task: dict[str, Any]) -> None:
    got = plain("PUT", task["path"], shapes(rectangle(task["labels"]["scored"]["id"]))).json["shapes"][0]
    assert [value["value"] for value in got["attributes"]] == ["0"]


def test_patch_create_update_delete(plain: Plain, task: dict[str, Any]) -> None:
    plant = task["labels"]["plant"]["id"]
    made = plain("PATCH", task["path"] + "?action=create", shapes(rectangle(plant))).json["shapes"]
    plain("PATCH", task["path"] + "?action=create", shapes(rectangle(plant)))
    assert len(plain("GET", task["path"]).json["shapes"]) == 2
    moved = made[0] | {"points": [3.0, 3.0, 4.0, 4.0]}
    plain("PATCH", task["path"] + "?action=update", shapes(moved))
    found = {shape["id"]: shape for shape in plain("GET", task["path"]).json["shapes"]}
    assert len(found) == 2
    assert found[made[0]["id"]]["points"] == [3.0, 3.0, 4.0, 4.0]
    inserted = rectangle(plant, 2) | {"id": 7777}
    assert plain("PATCH", task["path"] + "?action=update", shapes(inserted)).status == 200
    assert len(plain("GET", task["path"]).json["shapes"]) == 3
    later = plain("PATCH", task["path"] + "?action=create", shapes(rectangle(plant))).json["shapes"][0]
    assert later["id"] > 7777
    assert plain("PATCH", task["path"] + "?action=delete", shapes(moved, moved | {"id": 9999})).status == 200
    assert made[0]["id"] not in {shape["id"] for shape in plain("GET", task["path"]).json["shapes"]}


def test_patch_refusals(plain: Plain, task: dict[str, Any]) -> None:
    one = shapes(rectangle(task["labels"]["plant"]["id"]))
    assert plain("PATCH", task["path"], one).status == 400
    assert plain("PATCH", task["path"] + "?action=frobnicate", one).status == 400
    assert plain("PATCH", task["path"] + "?action=delete", one).status == 400
    one["shapes"][0]["id"] = 5
    assert plain("PATCH", task["path"] + "?action=create", one).status == 400


def test_jobs_use_task_frame_numbers(plain: Plain, task: dict[str, Any]) -> None:
    plant = task["labels"]["plant"]["id"]
    plain("PUT", task["path"], shapes(rectangle(plant, 1), rectangle(plant, 4)))
    first, second = _jobs(plain, task)
    frames = [s["frame"] for s in plain("GET", f"/api/jobs/{second['id']}/annotations/").json["shapes"]]
    assert frames == [4]
    plain("PUT", f"/api/jobs/{first['id']}/annotations/", {})
    assert [s["frame"] for s in plain("GET", task["path"]).json["shapes"]] == [4]
    stored = plain(
        "PATCH", f"/api/jobs/{first['id']}/annotations/?action=create", shapes(rectangle(plant, 5))
    )
    assert len(stored.json["shapes"]) == 1


def test_only_jobs_that_changed_get_a_new_date(plain: Plain, task: dict[str, Any]) -> None:
    before = [job["updated_date"] for job in _jobs(plain, task)]
    plain("PATCH", task["path"] + "?action=create", shapes(rectangle(task["labels"]["plant"]["id"], 4)))
    after = [job["updated_date"] for job in _jobs(plain, task)]
    assert after[0] == before[0]
    assert after[1] > before[1]


def test_twins_on_overlapping_frames_are_merged(plain: Plain) -> None:
    task = plain.task(pictures(10), spec={"segment_size": 4, "overlap": 1})
    label = plain("GET", f"/api/labels?task_id={task['id']}").json["results"][0]["id"]
    path = f"/api/tasks/{task['id']}/annotations/"
    assert len(plain("PUT", path, shapes(rectangle(label, 3), rectangle(label, 4))).json["shapes"]) == 2
    counts = [
        len(plain("GET", f"/api/jobs/{job['id']}/annotations/").json["shapes"]) for job in _jobs(plain, task)
    ]
    assert counts == [1, 2, 0]


def test_skeleton_elements_come_in_any_order(plain: Plain, task: dict[str, Any]) -> None:
    dog = task["labels"]["dog"]
    elements = [
        {"type": "points", "frame": 0, "label_id": sub["id"], "points": [i, i], "outside": i == 1}
        for i, sub in enumerate(dog["sublabels"])
    ]
    shape = {"type": "skeleton", "frame": 0, "label_id": dog["id"], "elements": elements}
    orders = set()
    for _ in range(3):
        found = plain("PUT", task["path"], shapes(shape)).json["shapes"][0]
        assert "elements" not in found["elements"][0]
        by_label = {e["label_id"]: e["points"] for e in found["elements"]}
        assert by_label == {sub["id"]: [float(i), float(i)] for i, sub in enumerate(dog["sublabels"])}
        orders.add(tuple(e["label_id"] for e in found["elements"]))
    assert len(orders) > 1


def test_delete_and_tags(plain: Plain, task: dict[str, Any]) -> None:
    plant = task["labels"]["plant"]["id"]
    content = shapes(rectangle(plant)) | {"tags": [{"frame": 2, "label_id": plant}]}
    assert plain("PUT", task["path"], content).json["tags"][0]["frame"] == 2
    assert plain("DELETE", task["path"]).status == 204
    empty = {"version": 0, "tags": [], "shapes": [], "tracks": []}
    assert plain("GET", task["path"]).json == empty


def test_old_export_endpoints_are_gone(plain: Plain, task: dict[str, Any]) -> None:
    assert plain("GET", f"/api/tasks/{task['id']}/dataset?format=x").status == 410
    assert plain("GET", task["path"] + "?format=x").status == 410


def test_a_frame_is_not_listed_in_the_order_of_ids(plain: Plain) -> None:
    task = plain.task()
    label = plain("GET", f"/api/labels?task_id={task['id']}").json["results"][0]["id"]
    path = f"/api/tasks/{task['id']}/annotations/"
    plain("PUT", path, shapes(rectangle(label, 1), rectangle(label, 0), rectangle(label, 0)))
    listed = [(shape["frame"], shape["id"]) for shape in plain("GET", path).json["shapes"]]
    assert [frame for frame, _ in listed] == [0, 0, 1]
    assert listed[0][1] > listed[1][1]


def test_a_source_of_more_than_sixteen_characters_is_a_500(plain: Plain) -> None:
    task = plain.task()
    label = plain("GET", f"/api/labels?task_id={task['id']}").json["results"][0]["id"]
    path = f"/api/tasks/{task['id']}/annotations/"
    assert plain("PUT", path, shapes(rectangle(label, source="x" * 16))).status == 200
    assert plain("PUT", path, shapes(rectangle(label, source="x" * 17))).status == 500
    assert len(plain("GET", path).json["shapes"]) == 1
