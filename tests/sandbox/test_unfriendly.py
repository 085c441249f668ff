"""The parts of a real server that nobody wishes for, as they were measured on 2.42."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

from .plain import Plain, pictures, rectangle, shapes

pytestmark = pytest.mark.integration


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Plain]:
    """A server that needs a while for a task, and forgets at once that it made it."""
    options = SandboxOptions(tmp_path, simulated_work=0.4, creation_memory=0)
    with Sandbox(options) as sandbox:
        client = Plain(sandbox.url)
        client.log_in()
        yield client


def _bare(plain: Plain) -> int:
    return int(plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]}).json["id"])


def test_a_request_is_forgotten_and_the_task_is_there(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path, creation_memory=0)) as sandbox:
        client = Plain(sandbox.url)
        client.log_in()
        task_id = _bare(client)
        begun = client.send(task_id, pictures(2)).json["rq_id"]
        while client("GET", f"/api/tasks/{task_id}").json["size"] == 0:
            pass
        while (got := client("GET", f"/api/requests/{quote(begun, safe='')}")).status == 200:
            assert got.json["status"] != "finished"
        assert (got.status, got.data) == (404, b"There is no request with specified id")
        assert client("GET", "/api/requests").json["count"] == 0
        assert client("GET", f"/api/tasks/{task_id}/status").json["state"] == "Finished"
        assert len(client.names(task_id)) == 2


def test_while_a_task_is_made(slow: Plain) -> None:
    first, second, third = (_bare(slow) for _ in range(3))
    rq_ids = [slow.send(task_id, pictures(1)).json["rq_id"] for task_id in (first, second, third)]
    while slow("GET", f"/api/tasks/{first}/status").json["state"] == "Queued":
        pass
    assert slow("GET", f"/api/tasks/{first}/status").json == {
        "state": "Started",
        "message": "Media files are being extracted...",
        "progress": 0.0,
    }
    assert slow("GET", f"/api/tasks/{first}").json["size"] == 0
    assert slow("DELETE", f"/api/tasks/{first}").status == 500
    path = f"/api/requests/{quote(rq_ids[0], safe='')}/cancel"
    refused = slow("POST", path)
    text = b"Only requests that have not yet been started can be cancelled"
    assert (refused.status, refused.data) == (400, text)
    assert slow("GET", f"/api/tasks/{third}/status").json["state"] == "Queued"
    cancelled = slow("POST", f"/api/requests/{quote(rq_ids[2], safe='')}/cancel")
    assert (cancelled.status, cancelled.data) == (200, b"")
    assert slow("GET", f"/api/requests/{quote(rq_ids[2], safe='')}").status == 404
    finish = {"Upload-Finish": ""}
    again = slow("POST", f"/api/tasks/{third}/data/", {"image_quality": 70}, headers=finish)
    assert again.status == 202
    assert slow("DELETE", f"/api/tasks/{third}").status == 204
    gone = slow("GET", f"/api/requests/{quote(rq_ids[2], safe='')}")
    assert (gone.status, gone.json) == (400, ["Task matching query does not exist."])
    while slow("GET", f"/api/tasks/{first}").json["size"] == 0:
        pass
    assert slow("POST", "/api/requests/nope/cancel").status == 404


def test_an_order_that_does_not_match_says_what_has_arrived_and_harms_nothing(plain: Plain) -> None:
    task_id = _bare(plain)
    path = f"/api/tasks/{task_id}/data/"
    order = ["f00.png", "f01.png", "f02.png"]
    refused = plain.send(task_id, pictures(2), sorting_method="predefined", upload_file_order=order)
    assert (refused.status, "f02.png (missing)" in refused.json[0]) == (400, True)
    late = {"image_quality": "70", "client_files[0]": ("f02.png", pictures(3)["f02.png"], "image/png")}
    assert plain.multipart(path, late, {"Upload-Multiple": ""}).status == 200
    content = {"image_quality": 70, "sorting_method": "predefined", "upload_file_order": order}
    begun = plain("POST", path, content, headers={"Upload-Finish": ""})
    assert plain.wait(begun.json["rq_id"])["status"] == "finished"
    assert plain.names(task_id) == order


def test_an_order_of_files_of_which_none_has_arrived_fails_late_and_harms_nothing(plain: Plain) -> None:
    task_id = _bare(plain)
    path = f"/api/tasks/{task_id}/data/"
    order = {"image_quality": 70, "sorting_method": "predefined", "upload_file_order": ["f00.png"]}
    begun = plain("POST", path, order, headers={"Upload-Finish": ""})
    assert begun.status == 202
    ended = plain.wait(begun.json["rq_id"])
    assert (ended["status"], ended["message"]) == ("failed", "ValueError: No media data found\n")
    again = plain.send(task_id, pictures(1), sorting_method="predefined", upload_file_order=["f00.png"])
    assert plain.wait(again.json["rq_id"])["status"] == "finished"


def test_a_group_with_a_known_name_is_not_taken_at_all(plain: Plain) -> None:
    task_id = _bare(plain)
    path = f"/api/tasks/{task_id}/data/"

    def sent(*names: str) -> int:
        files: dict[str, object] = {
            f"client_files[{i}]": (name, pictures(1)["f00.png"], "image/png") for i, name in enumerate(names)
        }
        return plain.multipart(path, {"image_quality": "70", **files}, {"Upload-Multiple": ""}).status

    assert sent("a.png") == 200
    assert sent("b.png", "a.png") == 500
    assert sent("c.png", "x/c.png") == 500
    assert sent("b.png", "c.png") == 200


@pytest.fixture
def task(plain: Plain) -> dict[str, Any]:
    project = plain.project()
    found = plain.task(pictures(4), project_id=project["id"], spec={"segment_size": 2})
    label = plain.labels(project["id"])["plant"]["id"]
    return found | {"label": label, "path": f"/api/tasks/{found['id']}"}


def _dates(plain: Plain, task: dict[str, Any]) -> dict[str, str]:
    jobs = plain("GET", f"/api/jobs?task_id={task['id']}&sort=id").json["results"]
    dates = {f"job {place}": job["updated_date"] for place, job in enumerate(jobs)}
    dates["task"] = plain("GET", task["path"]).json["updated_date"]
    dates["project"] = plain("GET", f"/api/projects/{task['project_id']}").json["updated_date"]
    return dates


_ALL = {"job 0", "job 1", "task", "project"}
_ITEM: dict[str, Any] = {"type": "rectangle", "frame": 0, "points": [1, 1, 5, 5]}


@pytest.mark.parametrize(
    ("method", "where", "content", "moved"),
    [
        ("PATCH", "job/annotations/?action=create", {"shapes": [_ITEM]}, {"job 0", "task", "project"}),
        (
            "PATCH",
            "job/annotations/?action=create",
            {"shapes": [{**_ITEM, "frame": 99}]},
            {"job 0", "task", "project"},
        ),
        (
            "PATCH",
            "job/annotations/?action=delete",
            {"shapes": [{**_ITEM, "id": 999999}]},
            {"job 0", "task", "project"},
        ),
        ("PATCH", "job/annotations/?action=create", {"shapes": []}, set()),
        (
            "PATCH",
            "task/annotations/?action=create",
            {"shapes": [{**_ITEM, "frame": 3}]},
            {"job 1", "task", "project"},
        ),
        ("PUT", "job/annotations/", {}, set()),
        ("DELETE", "job/annotations/", None, set()),
        ("PUT", "job/annotations/", {"shapes": [{**_ITEM, "label_id": 999}]}, set()),
        ("PATCH", "job", {"state": "new"}, {"job 0"}),
        ("PATCH", "task", {"name": "other"}, {"task", "project"}),
        ("PATCH", "task/data/meta", {"deleted_frames": [1]}, set()),
        ("PATCH", "job/data/meta", {"deleted_frames": [1]}, {"task", "project"}),
        ("PATCH", "label", {"color": "#112233"}, _ALL),
        ("GET", "job/annotations/", None, set()),
    ],
)
def test_what_moves_a_date(
    plain: Plain, task: dict[str, Any], method: str, where: str, content: Any, moved: set[str]
) -> None:
    job = plain("GET", f"/api/jobs?task_id={task['id']}&sort=id").json["results"][0]
    kind, slash, rest = where.partition("/")
    start = {"job": f"/api/jobs/{job['id']}", "task": task["path"], "label": f"/api/labels/{task['label']}"}[
        kind
    ]
    for item in (content or {}).get("shapes", ()):
        item.setdefault("label_id", task["label"])
    before = _dates(plain, task)
    plain(method, f"{start}{slash}{rest}", content)
    after = _dates(plain, task)
    assert {name for name in _ALL if after[name] != before[name]} == moved


def test_errors_come_in_four_shapes(plain: Plain, task: dict[str, Any]) -> None:
    path = f"{task['path']}/annotations/"
    bodies = [
        plain("GET", "/api/tasks/999999").json,
        plain("POST", "/api/tasks", {}).json,
        plain("PUT", path, shapes(rectangle(999999))).json,
        plain("POST", f"{task['path']}/data/", headers={"Upload-Start": ""}).json,
    ]
    assert [type(body) for body in bodies] == [dict, dict, list, str]
    assert (list(bodies[0]), list(bodies[1])) == (["detail"], ["name"])
    assert plain("GET", "/api/nowhere").headers["content-type"].startswith("text/html")


def test_deleting_looks_at_nothing_but_the_id(plain: Plain, task: dict[str, Any]) -> None:
    path = f"{task['path']}/annotations/"
    triangle = {"type": "polygon", "frame": 1, "label_id": task["label"], "points": [1, 1, 5, 1, 5, 5]}
    made = plain("PUT", path, shapes(triangle)).json["shapes"][0]
    dummy = {"id": made["id"], "type": "rectangle", "frame": 99, "label_id": 999999, "points": [0, 0, 1, 1]}
    got = plain("PATCH", f"{path}?action=delete", {"shapes": [dummy]})
    assert (got.status, got.json["shapes"][0]["id"]) == (200, made["id"])
    assert plain("GET", path).json["shapes"] == []


def test_attribute_values_are_stripped_and_long_ones_refused(plain: Plain) -> None:
    attribute = {"name": "note", "mutable": False, "input_type": "text", "values": [""]}
    project = plain.project([{"name": "a", "attributes": [attribute]}])
    task = plain.task(pictures(1), project_id=project["id"])
    label = plain.labels(project["id"])["a"]
    path = f"/api/tasks/{task['id']}/annotations/"

    def put(value: object) -> Any:
        values = [{"spec_id": label["attributes"][0]["id"], "value": value}]
        return plain("PUT", path, shapes(rectangle(label["id"], attributes=values)))

    assert put("  a b\nc ").json["shapes"][0]["attributes"][0]["value"] == "a b\nc"
    assert put(True).json["shapes"][0]["attributes"][0]["value"] == "True"
    assert put("x" * 4096).status == 200
    assert put("x" * 4097).status == 400


def test_a_long_subset_is_refused(plain: Plain, task: dict[str, Any]) -> None:
    got = plain("PATCH", task["path"], {"subset": "x" * 65})
    assert got.json == {"subset": ["Ensure this field has no more than 64 characters."]}
    assert plain("PATCH", task["path"], {"subset": "x" * 64}).status == 200


def test_unknown_frames_are_not_deleted(plain: Plain, task: dict[str, Any]) -> None:
    got = plain("PATCH", f"{task['path']}/data/meta", {"deleted_frames": [77]})
    assert (got.status, got.json) == (400, ["Unknown frames 77 requested for removal"])
