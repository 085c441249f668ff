from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile
from typing import Any

import pytest

from agir_cvtoolkit.sandbox import Sandbox

from .plain import Got, Plain, pictures, rectangle, shapes

pytestmark = pytest.mark.integration


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


def _label(plain: Plain, task: dict[str, Any]) -> int:
    return int(plain("GET", f"/api/labels?task_id={task['id']}").json["results"][0]["id"])


def _ground_truth(plain: Plain, task: dict[str, Any], **spec: Any) -> Got:
    content = {"type": "ground_truth", "task_id": task["id"], **spec}
    return plain("POST", "/api/jobs", content)


def _images(plain: Plain, path: str) -> dict[int, int]:
    begun = plain("POST", f"{path}/dataset/export?format=CVAT%20for%20images%201.1")
    url = plain.wait(begun.json["rq_id"])["result_url"].removeprefix(plain.url)
    archive = zipfile.ZipFile(io.BytesIO(plain("GET", url).data))
    root = ET.fromstring(archive.read("annotations.xml"))
    return {int(image.get("id", "")): len(image) for image in root.findall("image")}


@pytest.fixture
def compared(plain: Plain) -> dict[str, Any]:
    """Six pictures in two jobs, with a ground-truth job of frames 1 and 4."""
    task = plain.task(pictures(6), spec={"segment_size": 3})
    made = _ground_truth(plain, task, frame_selection_method="manual", frames=[1, 4])
    assert made.status == 201
    return task | {"gt": made.json}


def test_a_ground_truth_job_as_measured(plain: Plain, compared: dict[str, Any]) -> None:
    job = compared["gt"]
    assert (job["start_frame"], job["stop_frame"], job["frame_count"]) == (0, 5, 2)
    assert (job["stage"], job["state"], job["parent_job_id"]) == ("annotation", "new", None)
    task = plain("GET", f"/api/tasks/{compared['id']}").json
    assert (task["jobs"]["count"], task["validation_mode"]) == (3, "gt")
    listed = plain("GET", f"/api/jobs?task_id={task['id']}&type=ground_truth").json["results"]
    assert [found["id"] for found in listed] == [job["id"]]
    meta = plain("GET", f"/api/jobs/{job['id']}/data/meta").json
    assert (meta["size"], meta["start_frame"], meta["stop_frame"]) == (2, 0, 5)
    assert meta["included_frames"] == [1, 4]
    names = [frame["name"] for frame in meta["frames"]]
    assert names == ["placeholder.jpg", "f01.png", *["placeholder.jpg"] * 2, "f04.png", "placeholder.jpg"]


def test_ground_truth_is_kept_apart(plain: Plain, compared: dict[str, Any]) -> None:
    label = _label(plain, compared)
    path, own = f"/api/tasks/{compared['id']}", f"/api/jobs/{compared['gt']['id']}"
    plain("PUT", f"{path}/annotations/", shapes(rectangle(label, 1)))
    stored = plain(
        "PUT", f"{own}/annotations/", shapes(rectangle(label, 1), rectangle(label, 4), rectangle(label, 2))
    )
    assert len(stored.json["shapes"]) == 3, "a frame that is not in the job is stored all the same"
    assert len(plain("GET", f"{path}/annotations/").json["shapes"]) == 1
    assert _images(plain, path) == {0: 0, 1: 1, 2: 0, 3: 0, 4: 0, 5: 0}
    assert _images(plain, own) == {1: 1, 4: 1}


def test_pictures_through_a_ground_truth_job(plain: Plain, compared: dict[str, Any]) -> None:
    path = f"/api/jobs/{compared['gt']['id']}/data?type=frame&quality=original&number="
    inside, outside = plain("GET", f"{path}1"), plain("GET", f"{path}0")
    assert inside.status == 200
    assert inside.data != pictures(6)["f01.png"], "it is made anew"
    assert (outside.status, outside.json) == (400, "Incorrect requested frame number: 0")
    whole = plain("GET", f"/api/tasks/{compared['id']}/data?type=frame&quality=original&number=1")
    assert whole.data == pictures(6)["f01.png"]
    chunk = plain("GET", f"/api/jobs/{compared['gt']['id']}/data?type=chunk&quality=original&index=0")
    assert len(zipfile.ZipFile(io.BytesIO(chunk.data)).namelist()) == 2


def test_layouts_of_a_task_with_ground_truth(plain: Plain, compared: dict[str, Any]) -> None:
    path = f"/api/tasks/{compared['id']}/validation_layout"
    layout = {"mode": "gt", "frames_per_job_count": None, "validation_frames": [1, 4], "disabled_frames": []}
    assert plain("GET", path).json == layout
    assert plain("GET", f"/api/jobs/{compared['gt']['id']}/validation_layout").json == {}
    assert plain("PATCH", path, {"disabled_frames": [4]}).json == layout | {"disabled_frames": [4]}
    assert plain("PATCH", path, {"disabled_frames": [0]}).status == 400
    assert plain("PATCH", path, {"frame_selection_method": "random_uniform"}).status == 400
    bare = plain.task(pictures(1))
    without = {"mode": None, "frames_per_job_count": None}
    assert plain("GET", f"/api/tasks/{bare['id']}/validation_layout").json == without
    assert plain("PATCH", f"/api/tasks/{bare['id']}/validation_layout", {"disabled_frames": []}).status == 400


def test_only_ground_truth_jobs_are_made_and_removed(plain: Plain, compared: dict[str, Any]) -> None:
    again = _ground_truth(plain, compared, frame_selection_method="manual", frames=[0])
    text = 'Task with validation mode "gt" cannot have more than 1 GT job'
    assert (again.status, again.json) == (400, [text])
    first = plain("GET", f"/api/jobs?task_id={compared['id']}&sort=id").json["results"][0]
    refused = plain("DELETE", f"/api/jobs/{first['id']}")
    assert (refused.status, refused.json) == (400, ["Only ground truth jobs can be removed"])
    assert plain("POST", "/api/jobs", {"type": "annotation", "task_id": compared["id"]}).status == 400
    assert plain("DELETE", f"/api/jobs/{compared['gt']['id']}").status == 204
    task = plain("GET", f"/api/tasks/{compared['id']}").json
    assert (task["validation_mode"], task["jobs"]["count"]) == (None, 2)


@pytest.mark.parametrize(
    ("spec", "body"),
    [
        (
            {"frame_selection_method": "manual", "frames": [9]},
            ["The following frames do not exist in the task: 9"],
        ),
        ({"frame_selection_method": "manual"}, {"non_field_errors": ['The "frames" field is required']}),
        ({"frame_selection_method": "guess"}, {"frame_selection_method": ['"guess" is not a valid choice.']}),
        ({}, {"frame_selection_method": ["This field is required."]}),
    ],
)
def test_ground_truth_jobs_that_cannot_be(plain: Plain, spec: dict[str, Any], body: object) -> None:
    got = _ground_truth(plain, plain.task(pictures(6)), **spec)
    assert (got.status, got.json) == (400, body)


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({"frame_selection_method": "random_uniform", "frame_count": 3}, 3),
        ({"frame_selection_method": "random_uniform", "frame_share": 0.5}, 4),
        ({"frame_selection_method": "random_per_job", "frames_per_job_count": 1}, 2),
        ({"frame_selection_method": "random_per_job", "frames_per_job_share": 0.5}, 4),
    ],
)
def test_frames_by_chance(plain: Plain, spec: dict[str, Any], count: int) -> None:
    task = plain.task(pictures(8), spec={"segment_size": 4})
    job = _ground_truth(plain, task, random_seed=3, **spec).json
    assert job["frame_count"] == count
    frames = plain("GET", f"/api/jobs/{job['id']}/data/meta").json["included_frames"]
    assert len(frames) == count
    if "per_job" in str(spec):
        assert len([frame for frame in frames if frame < 4]) == count // 2
    plain("DELETE", f"/api/jobs/{job['id']}")
    again = _ground_truth(plain, task, random_seed=3, **spec).json
    assert plain("GET", f"/api/jobs/{again['id']}/data/meta").json["included_frames"] == frames


def test_ground_truth_at_creation(plain: Plain) -> None:
    params = {"mode": "gt", "frame_selection_method": "manual", "frames": ["f02.png"]}
    task = plain.task(pictures(3), validation_params=params)
    assert task["validation_mode"] == "gt"
    layout = plain("GET", f"/api/tasks/{task['id']}/validation_layout").json
    assert layout["validation_frames"] == [2]


_POOL = {
    "mode": "gt_pool",
    "frame_selection_method": "manual",
    "frames": ["f00.png", "f01.png"],
    "frames_per_job_count": 1,
}


@pytest.fixture
def pooled(plain: Plain) -> dict[str, Any]:
    """Eight pictures in two jobs of three with a hidden one each, and a pool of two behind."""
    return plain.task(pictures(8), spec={"segment_size": 3}, sorting_method="random", validation_params=_POOL)


def test_honeypots_as_measured(plain: Plain, pooled: dict[str, Any]) -> None:
    assert (pooled["size"], pooled["segment_size"], pooled["validation_mode"]) == (10, 0, "gt_pool")
    names = plain.names(pooled["id"])
    assert sorted(names[8:]) == ["f00.png", "f01.png"]
    assert sorted(names[:8])[2:] == [f"f{i:02d}.png" for i in range(2, 8)]
    jobs = plain("GET", f"/api/jobs?task_id={pooled['id']}&sort=id").json["results"]
    assert [(j["type"], j["start_frame"], j["stop_frame"], j["frame_count"]) for j in jobs] == [
        ("annotation", 0, 3, 4),
        ("annotation", 4, 7, 4),
        ("ground_truth", 8, 9, 2),
    ]
    layout = plain("GET", f"/api/tasks/{pooled['id']}/validation_layout").json
    assert (layout["mode"], layout["frames_per_job_count"]) == ("gt_pool", 1)
    assert (layout["validation_frames"], layout["honeypot_count"]) == ([8, 9], 2)
    for frame, real in zip(layout["honeypot_frames"], layout["honeypot_real_frames"], strict=True):
        assert names[frame] == names[real]
    first = plain("GET", f"/api/jobs/{jobs[0]['id']}/validation_layout").json
    assert first["honeypot_frames"] == [n for n in layout["honeypot_frames"] if n < 4]
    last = plain("GET", f"/api/jobs/{jobs[2]['id']}/validation_layout").json
    assert last == {"honeypot_count": 0, "honeypot_frames": [], "honeypot_real_frames": []}
    assert [f["name"] for f in plain("GET", f"/api/jobs/{jobs[2]['id']}/data/meta").json["frames"]] == names[
        8:
    ]
    frame = layout["honeypot_frames"][0]
    got = plain("GET", f"/api/tasks/{pooled['id']}/data?type=frame&quality=original&number={frame}")
    assert got.data == pictures(8)[names[frame]]


def test_what_lies_on_the_pool_is_copied_onto_honeypots(plain: Plain, pooled: dict[str, Any]) -> None:
    label = _label(plain, pooled)
    path = f"/api/tasks/{pooled['id']}/annotations/"
    layout = plain("GET", f"/api/tasks/{pooled['id']}/validation_layout").json
    hidden = dict(zip(layout["honeypot_frames"], layout["honeypot_real_frames"], strict=True))
    plain("PUT", path, shapes(*(rectangle(label, n, (n, n, n + 5, n + 5)) for n in range(10))))
    found = {shape["frame"]: shape["points"][0] for shape in plain("GET", path).json["shapes"]}
    assert found == {n: float(hidden.get(n, n)) for n in range(10)}
    assert sorted(_images(plain, f"/api/tasks/{pooled['id']}")) == sorted(set(range(10)) - set(hidden))
    job = plain("GET", f"/api/jobs?task_id={pooled['id']}&sort=id").json["results"][0]
    assert sorted(_images(plain, f"/api/jobs/{job['id']}")) == [0, 1, 2, 3]
    own = next(n for n in hidden if n < 4)
    as_sent = shapes(rectangle(label, own, (20, 3, 22, 5)))
    assert plain("PUT", f"/api/jobs/{job['id']}/annotations/", as_sent).json["shapes"][0]["points"][0] == 20.0


def test_honeypots_are_changed(plain: Plain, pooled: dict[str, Any]) -> None:
    path = f"/api/tasks/{pooled['id']}/validation_layout"
    manual = {"frame_selection_method": "manual", "honeypot_real_frames": [9, 9]}
    assert plain("PATCH", path, manual).json["honeypot_real_frames"] == [9, 9]
    wrong = {"frame_selection_method": "manual", "honeypot_real_frames": [1, 9]}
    assert plain("PATCH", path, wrong).status == 400
    plain("PATCH", path, {"disabled_frames": [9]})
    redrawn = plain("PATCH", path, {"frame_selection_method": "random_uniform"}).json
    assert redrawn["honeypot_real_frames"] == [8, 8]


def test_a_pool_demands_random_order_but_says_so_late(plain: Plain) -> None:
    task_id = plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]}).json["id"]
    begun = plain.send(task_id, pictures(4), sorting_method="predefined", validation_params=_POOL)
    assert begun.status == 202
    ended = plain.wait(begun.json["rq_id"])
    assert ended["status"] == "failed"
    assert 'can only be used with "random" sorting' in ended["message"]


@pytest.mark.parametrize(
    "params",
    [
        {"mode": "gt_pool"},
        {**_POOL, "mode": "hidden"},
        {**_POOL, "frame_selection_method": "random_per_job"},
        {key: value for key, value in _POOL.items() if key != "frames_per_job_count"},
    ],
)
def test_validation_params_that_cannot_be(plain: Plain, params: dict[str, Any]) -> None:
    task_id = plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]}).json["id"]
    assert plain.send(task_id, pictures(4), validation_params=params).status == 400


def test_a_new_stage_takes_the_assignee_away(plain: Plain) -> None:
    task = plain.task(pictures(1))
    path = f"/api/jobs/{plain('GET', '/api/jobs?task_id=' + str(task['id'])).json['results'][0]['id']}"
    assert plain("PATCH", path, {"assignee": 1}).json["assignee"]["id"] == 1
    assert plain("PATCH", path, {"state": "completed"}).json["assignee"] is not None
    assert plain("PATCH", path, {"stage": "acceptance"}).json["assignee"] is None
    assert plain("PATCH", path, {"stage": "validation", "assignee": 1}).json["assignee"]["id"] == 1
    assert plain("PATCH", path, {"stage": "validation"}).json["assignee"]["id"] == 1
