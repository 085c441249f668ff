from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from agir_cvtoolkit.sandbox import Sandbox

from .generations import Generations
from .plain import Got, Plain, pictures, rectangle, shapes

pytestmark = pytest.mark.integration

_FORMAT = "format=CVAT%201.1"


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


@pytest.fixture
def task(plain: Plain) -> dict[str, Any]:
    return _task(plain)


def _task(plain: Plain) -> dict[str, Any]:
    attribute = {"name": "state", "mutable": False, "input_type": "text", "values": ["dry"]}
    dog = {"name": "dog", "type": "skeleton", "sublabels": [{"name": "nose"}, {"name": "tail"}]}
    project = plain.project([{"name": "plant", "attributes": [attribute]}, dog])
    task = plain.task(pictures(3), project_id=project["id"])
    return task | {"labels": plain.labels(project["id"]), "path": f"/api/tasks/{task['id']}/annotations/"}


def _import(plain: Plain, path: str, content: bytes, query: str = _FORMAT) -> Got:
    fields = {"annotation_file": ("a.xml", content, "application/octet-stream")}
    return plain.multipart(f"{path}?{query}", fields)


def _export(plain: Plain, task: dict[str, Any]) -> bytes:
    begun = plain("POST", f"/api/tasks/{task['id']}/dataset/export?format=CVAT%20for%20images%201.1")
    url = plain.wait(begun.json["rq_id"])["result_url"].removeprefix(plain.url)
    return plain("GET", url).data


def _without_ids(annotations: dict[str, Any]) -> list[Any]:
    found = []
    for item in (*annotations["tags"], *annotations["shapes"]):
        elements = sorted(
            ({k: v for k, v in e.items() if k != "id"} for e in item.get("elements", [])), key=str
        )
        found.append({k: v for k, v in item.items() if k != "id"} | {"elements": elements})
    return sorted(found, key=str)


def test_what_was_exported_can_be_imported(plain: Plain, task: dict[str, Any]) -> None:
    plant, dog = task["labels"]["plant"]["id"], task["labels"]["dog"]
    elements = [
        {"type": "points", "frame": 1, "label_id": sub["id"], "points": [i, 2.5], "outside": i == 1}
        for i, sub in enumerate(dog["sublabels"])
    ]
    kinds: list[tuple[str, list[float]]] = [
        ("polygon", [1, 1, 9, 1, 9, 9]),
        ("polyline", [1, 1, 9, 9]),
        ("points", [3.25, 4]),
        ("ellipse", [10, 8, 14, 5]),
        ("mask", [1, 2, 1, 3, 3, 4, 4]),
    ]
    sent = shapes(
        rectangle(plant, 0, rotation=33.5, occluded=True, z_order=2, source="auto", group=4),
        *({"type": kind, "frame": 2, "label_id": plant, "points": points} for kind, points in kinds),
        {"type": "skeleton", "frame": 1, "label_id": dog["id"], "elements": elements},
    )
    plain("PUT", task["path"], sent | {"tags": [{"frame": 0, "label_id": plant}]})
    before = plain("GET", task["path"]).json
    archive = _export(plain, task)
    plain("DELETE", task["path"])
    begun = _import(plain, task["path"], archive)
    assert begun.status == 202
    ended = plain.wait(begun.json["rq_id"])
    assert ended["status"] == "finished", ended
    assert ended["operation"]["type"] == "import:annotations"
    assert _without_ids(plain("GET", task["path"]).json) == _without_ids(before)


def _xml(body: str) -> bytes:
    return f"<annotations><version>1.1</version>{body}</annotations>".encode()


_BOX = '<image id="7" name="folder/f01.jpg"><box label="plant" xtl="1" ytl="1" xbr="5" ybr="5"/></image>'


def test_it_replaces_and_matches_names_without_folder_and_ending(plain: Plain, task: dict[str, Any]) -> None:
    plain("PUT", task["path"], shapes(rectangle(task["labels"]["plant"]["id"])))
    assert plain.wait(_import(plain, task["path"], _xml(_BOX)).json["rq_id"])["status"] == "finished"
    assert [shape["frame"] for shape in plain("GET", task["path"]).json["shapes"]] == [1]
    job = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]
    of_job = _import(plain, f"/api/jobs/{job['id']}/annotations/", _xml(""))
    assert plain.wait(of_job.json["rq_id"])["status"] == "finished"
    assert plain("GET", task["path"]).json["shapes"] == []


def test_tracks_are_imported(plain: Plain, task: dict[str, Any]) -> None:
    box = '<box frame="{}" keyframe="{}" outside="{}" occluded="0" xtl="1" ytl="1" xbr="5" ybr="5"/>'
    body = box.format(0, 1, 0) + box.format(1, 0, 0) + box.format(2, 1, 1)
    begun = _import(plain, task["path"], _xml(f'<track id="0" label="plant">{body}</track>'))
    assert plain.wait(begun.json["rq_id"])["status"] == "finished"
    keys = plain("GET", task["path"]).json["tracks"][0]["shapes"]
    assert [(key["frame"], key["outside"]) for key in keys] == [(0, False), (2, True)]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (_xml(_BOX.replace('"plant"', '"nope"')), "Label 'nope' is not registered for this task"),
        (_xml(_BOX.replace("f01", "zzz")), "Could not match item id: 'zzz' with any task frame"),
        (_xml(_BOX.replace("box", "polygon")), "invalid length"),
        (b"<annotations", "Failed to parse"),
    ],
)
def test_a_failed_import_leaves_what_was_there(
    plain: Plain, task: dict[str, Any], content: bytes, text: str
) -> None:
    plain("PUT", task["path"], shapes(rectangle(task["labels"]["plant"]["id"])))
    before = plain("GET", task["path"]).json
    ended = plain.wait(_import(plain, task["path"], content).json["rq_id"])
    assert ended["status"] == "failed"
    assert text in ended["message"]
    assert plain("GET", task["path"]).json == before


def test_an_archive_without_a_document(plain: Plain, task: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("note.txt", "hello")
    ended = plain.wait(_import(plain, task["path"], buffer.getvalue()).json["rq_id"])
    assert ended["status"] == "failed"


def test_imports_that_cannot_be(plain: Plain, task: dict[str, Any]) -> None:
    assert _import(plain, task["path"], b"", "format=Nope").status == 400
    assert _import(plain, task["path"], b"", "").status == 400
    assert plain.multipart(f"{task['path']}?{_FORMAT}", {"x": "y"}).status == 400
    finish = {"Upload-Finish": ""}
    assert plain("POST", f"{task['path']}?{_FORMAT}&filename=none", headers=finish).status == 400


@pytest.mark.parametrize("version", ["2.60.0", "2.74.0"])
def test_appending_came_with_2_66(generations: Generations, version: str) -> None:
    plain = generations.plain(version)
    task = _task(plain)
    plain("PUT", task["path"], shapes(rectangle(task["labels"]["plant"]["id"])))
    begun = _import(plain, task["path"], _xml(_BOX), f"{_FORMAT}&import_mode=append")
    assert plain.wait(begun.json["rq_id"])["status"] == "finished"
    frames = [shape["frame"] for shape in plain("GET", task["path"]).json["shapes"]]
    assert frames == ([0, 1] if version == "2.74.0" else [1])
    wrong = _import(plain, task["path"], _xml(_BOX), f"{_FORMAT}&import_mode=merge")
    assert wrong.status == (400 if version == "2.74.0" else 202)
