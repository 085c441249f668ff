"""A server on its bad days: a push ends whole or not at all, and the next one makes it whole."""

from __future__ import annotations

import re
from typing import Literal

import pytest

from agir_cvtoolkit.sandbox import Fault
from agir_cvtoolkit.stages import upload_cvat as stage_module

from .workspace import Outcome, Workspace

pytestmark = pytest.mark.integration

REQUESTS = (
    ("GET", r"/api/server/about"),
    ("POST", r"/api/auth/login"),
    ("GET", r"/api/users/self"),
    ("GET", r"/api/projects/\d+$"),
    ("GET", r"/api/labels\?"),
    ("POST", r"/api/tasks$"),
    ("POST", r"/api/tasks/\d+/data/"),
    ("GET", r"/api/requests/"),
    ("GET", r"/api/tasks/\d+/data/meta"),
    ("GET", r"/api/jobs\?"),
    ("GET", r"/api/jobs/\d+/annotations"),
    ("PATCH", r"/api/jobs/\d+/annotations"),
)


@pytest.fixture
def batch(predicted: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A push into a project, in two jobs, with annotations in several bodies."""
    predicted.plain.log_in()
    project = predicted.project("weed")
    settings = {"project_id": project, "segment_size": 2, "per_component": True}
    predicted.conf("cvat_upload", settings)
    import agir_cvtoolkit.cvat.annotations as annotations

    monkeypatch.setattr(annotations.write_new, "__kwdefaults__", {**defaults(annotations), "body_bytes": 100})
    return predicted


def defaults(module: object) -> dict[str, object]:
    return dict(module.write_new.__kwdefaults__)  # type: ignore[attr-defined]


def whole(workspace: Workspace) -> None:
    """Check that there is one task with every picture and every shape once."""
    (task,) = workspace.tasks()
    assert [frame["name"] for frame in workspace.frames(task["id"])] == [
        "img_0.png",
        "img_1.png",
        "img_2.png",
    ]
    shapes = workspace.shapes(task["id"])
    assert sorted(shape["frame"] for shape in shapes) == [0, 0, 1, 1, 2, 2]
    assert len({(shape["frame"], *shape["points"]) for shape in shapes}) == 6


def clear(outcome: Outcome) -> None:
    assert "This is a bug" not in outcome.text
    assert "Traceback" not in outcome.text
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("Error: ")]
    assert len(line) > 30
    assert re.search(r"[.?] [A-Z]", line), f"no next step: {line}"


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_a_refusal_at_any_request(batch: Workspace, method: str, path: str, status: int) -> None:
    """What passes is in the matrix of faults; a refusal ends the call, and nothing half-made stays."""
    body: Literal["json", "html"] = "json" if status == 400 else "html"
    batch.sandbox.add_fault(Fault(path, method=method, status=status, body=body))
    outcome = batch.cli("upload-cvat", code=None)
    assert outcome.code in {0, 3}, outcome.text
    assert batch.sandbox.faults.describe()[0]["matched"] > 0
    batch.sandbox.faults.replace(())
    if outcome.code == 0:
        whole(batch)
    else:
        clear(outcome)
        assert batch.tasks() == []
    again = batch.upload()
    assert again["uploaded_annotations"] == 3
    whole(batch)
    batch.sandbox.forget_requests()
    batch.upload()
    assert batch.writes() == []


def test_a_half_made_task_that_cannot_be_removed_is_named_and_cleared_by_the_next_call(
    batch: Workspace,
) -> None:
    batch.sandbox.add_fault(
        Fault(r"/api/tasks/\d+/data/", method="POST", status=400, body="json", nth=2, times=0)
    )
    batch.sandbox.add_fault(Fault(r"/api/tasks/\d+$", method="DELETE", times=0))
    outcome = batch.cli("upload-cvat", code=3)
    (task,) = batch.tasks()
    assert f"{batch.sandbox.url}/tasks/{task['id']}" in outcome.stderr
    batch.sandbox.faults.replace(())
    batch.upload()
    whole(batch)


def test_an_unfinished_task_in_which_somebody_works_is_left_alone(
    batch: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before its annotations, taken over by a person: nothing of hers is changed or removed."""
    batch.sandbox.add_fault(Fault(r"/api/jobs/\d+/annotations", times=0))
    batch.sandbox.add_fault(Fault(r"/api/tasks/\d+$", method="DELETE", times=0))
    batch.cli("upload-cvat", code=3)
    batch.sandbox.faults.replace(())
    (task,) = batch.tasks()
    first, _second = batch.jobs(task["id"])
    label = next(iter(batch.labels(task["id"])))
    drawn = {"type": "rectangle", "frame": 0, "label_id": label, "points": [1, 1, 9, 9], "source": "manual"}
    content = {"version": 0, "tags": [], "tracks": [], "shapes": [drawn]}
    assert batch.plain("PUT", f"/api/jobs/{first['id']}/annotations/", content).status == 200
    batch.set_job(first["id"], state="in progress")
    outcome = batch.cli("upload-cvat", code=1)
    assert f"job {first['id']}" in outcome.stderr
    assert "without 2 of its 2 proposals" in outcome.text
    shapes = batch.shapes(task["id"])
    assert [(s["frame"], s["type"]) for s in shapes if s["frame"] < 2] == [(0, "rectangle")]
    assert [s["frame"] for s in shapes if s["frame"] == 2] == [2, 2]
    assert batch.metrics()["upload-cvat"]["shapes"] == 2


def test_ctrl_c_leaves_no_half_made_task(batch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import agir_cvtoolkit.stages._push_shapes as push

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(push, "write_new", interrupted)
    outcome = batch.cli("upload-cvat", code=130)
    assert "Interrupted" in outcome.stderr
    assert batch.tasks() == []
    monkeypatch.undo()


def test_download_goes_on_where_a_fault_stopped_it(batch: Workspace) -> None:
    task_id = batch.upload()["task_id"]
    batch.complete(task_id)
    batch.sandbox.add_fault(Fault(r"/api/jobs/\d+/annotations", nth=2, times=0))
    outcome = batch.cli("download-cvat", "-o", "cvat_download.parallel_requests=1", code=1)
    assert "(500)" in outcome.text
    assert len(batch.pulled(task_id)) in {1, 2}
    batch.sandbox.faults.replace(())
    batch.sandbox.forget_requests()
    batch.cli("download-cvat")
    read = [s for s in batch.sandbox.requests() if "annotations" in s.target]
    assert len(read) == 1
    assert len(batch.pulled(task_id)) == 3


def test_the_server_is_not_there(predicted: Workspace) -> None:
    predicted.keys(url="http://127.0.0.1:9")
    outcome = predicted.cli("upload-cvat", code=3)
    assert "http://127.0.0.1:9" in outcome.stderr
    clear(outcome)
    assert stage_module.STAGE == "upload-cvat"
