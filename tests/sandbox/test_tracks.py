from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile
from typing import Any

import pytest

from agir_cvtoolkit.sandbox import Sandbox

from .plain import Plain, pictures

pytestmark = pytest.mark.integration


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


def _key(frame: int, points: list[float], **more: Any) -> dict[str, Any]:
    return {"type": "rectangle", "frame": frame, "points": points, **more}


def _track(label_id: int, *shapes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"label_id": label_id, "frame": shapes[0]["frame"], "shapes": list(shapes), **more}


def _images(plain: Plain, path: str) -> dict[int, ET.Element]:
    begun = plain("POST", f"{path}/dataset/export?format=CVAT%20for%20images%201.1")
    url = plain.wait(begun.json["rq_id"])["result_url"].removeprefix(plain.url)
    archive = zipfile.ZipFile(io.BytesIO(plain("GET", url).data))
    root = ET.fromstring(archive.read("annotations.xml"))
    assert root.find(".//track") is None
    return {int(image.get("id", "")): image for image in root.findall("image")}


@pytest.fixture
def task(plain: Plain) -> dict[str, Any]:
    attributes = [
        {"name": "kind", "mutable": False, "input_type": "text", "values": ["wild"]},
        {"name": "state", "mutable": True, "input_type": "text", "values": ["dry"]},
    ]
    dog = {"name": "dog", "type": "skeleton", "sublabels": [{"name": "nose"}, {"name": "tail"}]}
    project = plain.project([{"name": "plant", "attributes": attributes}, dog])
    found = plain.task(pictures(8), project_id=project["id"])
    return found | {"labels": plain.labels(project["id"])}


def _put(plain: Plain, task: dict[str, Any], *tracks: dict[str, Any]) -> Any:
    content = {"version": 0, "tags": [], "shapes": [], "tracks": list(tracks)}
    got = plain("PUT", f"/api/tasks/{task['id']}/annotations/", content)
    assert got.status == 200, got.data
    return got.json["tracks"]


def _corners(image: ET.Element) -> list[str]:
    return [
        ",".join(box.get(key, "") for key in ("xtl", "ytl", "xbr", "ybr")) for box in image.findall("box")
    ]


def test_a_track_is_exported_as_a_shape_of_each_frame(plain: Plain, task: dict[str, Any]) -> None:
    keys = (
        _key(0, [0, 0, 10, 10]),
        _key(4, [40, 40, 50.5, 51], occluded=True),
        _key(6, [60, 60, 70, 70], outside=True),
    )
    _put(plain, task, _track(task["labels"]["plant"]["id"], *keys))
    images = _images(plain, f"/api/tasks/{task['id']}")
    assert _corners(images[0]) == ["0.00,0.00,10.00,10.00"]
    assert _corners(images[1]) == ["10.00,10.00,20.12,20.25"]
    assert _corners(images[5]) == ["50.00,50.00,60.25,60.50"]
    assert [len(images[n].findall("box")) for n in range(8)] == [1] * 6 + [0] * 2
    box = images[5].find("box")
    assert box is not None
    assert list(box.attrib) == ["label", "source", "occluded", "xtl", "ytl", "xbr", "ybr", "z_order"]
    assert box.get("occluded") == "1"


def test_a_track_without_end_goes_on_and_turns_the_short_way(plain: Plain, task: dict[str, Any]) -> None:
    still = [2.0, 2.0, 9.0, 9.0]
    keys = (_key(2, still, rotation=350), _key(4, still, rotation=10))
    _put(plain, task, _track(task["labels"]["plant"]["id"], *keys))
    images = _images(plain, f"/api/tasks/{task['id']}")
    found = [box.get("rotation") for n in range(8) for box in images[n].findall("box")]
    assert found == ["350.00", None, *["10.00"] * 4]


def test_attributes_stand_where_they_belong(plain: Plain, task: dict[str, Any]) -> None:
    label = task["labels"]["plant"]
    ids = {attribute["name"]: attribute["id"] for attribute in label["attributes"]}
    wet = [{"spec_id": ids["state"], "value": " wet "}]
    keys = (_key(0, [0, 0, 1, 1]), _key(2, [0, 0, 1, 1], attributes=wet), _key(4, [0, 0, 1, 1]))
    track = _put(plain, task, _track(label["id"], *keys))[0]
    assert track["attributes"] == [{"spec_id": ids["kind"], "value": "wild"}]
    values = [[value["value"] for value in shape["attributes"]] for shape in track["shapes"]]
    assert values == [["dry"], ["wet"], ["wet"]]
    assert len({shape["id"] for shape in track["shapes"]}) == 3
    image = _images(plain, f"/api/tasks/{task['id']}")[3]
    assert [(a.get("name"), a.text) for a in image.iter("attribute")] == [("state", "wet"), ("kind", "wild")]


def test_a_skeleton_track_ends_when_all_its_elements_do(plain: Plain, task: dict[str, Any]) -> None:
    dog = task["labels"]["dog"]
    nose, tail = (sub["id"] for sub in dog["sublabels"])

    def element(label_id: int, *keys: tuple[int, float, bool]) -> dict[str, Any]:
        points = [{"type": "points", "frame": f, "points": [x, x], "outside": o} for f, x, o in keys]
        return {"label_id": label_id, "frame": 0, "shapes": points}

    elements = [element(nose, (0, 0, False), (4, 8, True)), element(tail, (0, 1, False), (6, 1, True))]
    whole = {"type": "skeleton", "frame": 0, "points": []}
    made = _put(plain, task, _track(dog["id"], whole, elements=elements))[0]
    assert len({part["id"] for part in made["elements"]}) == 2
    images = _images(plain, f"/api/tasks/{task['id']}")
    found = {n: images[n].find("skeleton") for n in range(8)}
    assert [n for n, skeleton in found.items() if skeleton is not None] == list(range(6))
    parts = [(p.get("label"), p.get("points"), p.get("outside")) for p in found[2] or []]
    assert parts == [("nose", "4.00,4.00", "0"), ("tail", "1.00,1.00", "0")]
    ended = [(p.get("label"), p.get("outside")) for p in found[5] or []]
    assert ended == [("nose", "1"), ("tail", "0")]


def test_curves_with_other_numbers_of_points(plain: Plain, task: dict[str, Any]) -> None:
    label = task["labels"]["plant"]["id"]
    keys = (
        {"type": "polyline", "frame": 0, "points": [0, 0, 10, 0]},
        {"type": "polyline", "frame": 2, "points": [0, 10, 5, 10, 10, 10]},
    )
    _put(plain, task, _track(label, *keys))
    line = _images(plain, f"/api/tasks/{task['id']}")[1].find("polyline")
    assert line is not None
    assert line.get("points") == "0.00,5.00;2.50,5.00;10.00,5.00"


def test_a_mask_track_keeps_the_mask_of_its_key_frame(plain: Plain, task: dict[str, Any]) -> None:
    keys = (
        {"type": "mask", "frame": 0, "points": [0, 4, 1, 1, 2, 2]},
        {"type": "mask", "frame": 2, "points": [1, 3, 1, 1, 2, 2]},
    )
    _put(plain, task, _track(task["labels"]["plant"]["id"], *keys))
    images = _images(plain, f"/api/tasks/{task['id']}")
    masks = [mask.get("rle") for image in images.values() for mask in image.findall("mask")]
    assert masks[:3] == ["0, 4", "0, 4", "1, 3"]


def test_key_frames_on_deleted_frames_do_not_count(plain: Plain, task: dict[str, Any]) -> None:
    keys = (_key(0, [0, 0, 4, 4]), _key(2, [90, 90, 94, 94]), _key(4, [4, 4, 8, 8]))
    _put(plain, task, _track(task["labels"]["plant"]["id"], *keys))
    assert plain("PATCH", f"/api/tasks/{task['id']}/data/meta", {"deleted_frames": [2]}).status == 200
    images = _images(plain, f"/api/tasks/{task['id']}")
    assert 2 not in images
    assert _corners(images[1]) == ["1.00,1.00,5.00,5.00"]


def test_a_half_turn_takes_neither_way(plain: Plain, task: dict[str, Any]) -> None:
    keys = (_key(0, [0, 0, 4, 4]), _key(4, [0, 0, 4, 4], rotation=180))
    _put(plain, task, _track(task["labels"]["plant"]["id"], *keys))
    images = _images(plain, f"/api/tasks/{task['id']}").values()
    found = [box.get("rotation") for image in images for box in image.findall("box")]
    assert found[:5] == [None, "0.25", "0.50", "0.75", "180.00"]


def test_a_track_stays_in_its_job(plain: Plain) -> None:
    task = plain.task(pictures(4), spec={"segment_size": 2})
    label = plain("GET", f"/api/labels?task_id={task['id']}").json["results"][0]["id"]
    _put(plain, task, _track(label, _key(0, [0, 0, 5, 5])))
    images = _images(plain, f"/api/tasks/{task['id']}")
    assert [len(images[n].findall("box")) for n in range(4)] == [1, 1, 0, 0]


def test_a_track_without_shapes_is_a_500(plain: Plain, task: dict[str, Any]) -> None:
    bare = {"label_id": task["labels"]["plant"]["id"], "frame": 0, "shapes": []}
    content = {"version": 0, "tags": [], "shapes": [], "tracks": [bare]}
    assert plain("PUT", f"/api/tasks/{task['id']}/annotations/", content).status == 500
