"""A server on its bad days: a push ends whole or not at all, and the next one makes it whole."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from agir_cvtoolkit.sandbox import Fault
from agir_cvtoolkit.stages import upload_cvat as stage_module

from .workspace import Outcome, Workspace

pytestmark = pytest.mark.integration

Make = Callable[[str, str], Fault]


def status(code: int, *, times: int = 1, body: str = "html", retry_after: int | None = None) -> Make:
    return lambda method, path: Fault(
        path,
        method=method,
        status=code,
        times=times,
        body=body,  # type: ignore[arg-type]
        retry_after=retry_after,
    )


def cut(action: str, *, times: int = 1) -> Make:
    return lambda method, path: Fault(path, action=action, method=method, times=times)  # type: ignore[arg-type]


FAULTS: dict[str, Make] = {
    "400": status(400, body="json"),
    "401": status(401, body="json"),
    "404": status(404),
    "429 twice": status(429, times=2, body="json", retry_after=3),
    "429 for ever": status(429, times=0, body="json", retry_after=30),
    "500": status(500),
    "500 for ever": status(500, times=0),
    "503 twice": status(503, times=2),
    "a page": status(200, times=0),
    "cut before": cut("cut_before"),
    "cut after": cut("cut_after"),
    "cut within": cut("cut_within"),
    "cut for ever": cut("cut_before", times=0),
}

PASSING = {"401", "429 twice", "500", "503 twice", "cut before", "cut after", "cut within"}
"""What a patient client gets over, whatever the request."""

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
    ("PUT", r"/api/jobs/\d+/annotations"),
    ("PATCH", r"/api/jobs/\d+/annotations"),
)

NAMES = list(FAULTS)
PAIRS = [
    (method, path, NAMES[(number * 3 + step * 5) % len(NAMES)])
    for number, (method, path) in enumerate(REQUESTS)
    for step in range(3)
]
"""Every request with three faults, every fault at several requests."""


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


@pytest.mark.parametrize(("method", "path", "name"), PAIRS)
def test_a_fault_at_any_request(batch: Workspace, method: str, path: str, name: str) -> None:
    batch.sandbox.add_fault(FAULTS[name](method, path))
    outcome = batch.cli("upload-cvat", code=None)
    assert outcome.code in {0, 3}, outcome.text
    matched = batch.sandbox.faults.describe()[0]["matched"]
    assert matched > 0
    if name in PASSING and not (name == "500" and method in {"POST", "PATCH"}):
        assert outcome.code == 0, outcome.text
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


def test_every_request_of_a_push_is_among_those_tried(batch: Workspace) -> None:
    batch.sandbox.forget_requests()
    batch.upload()
    for seen in batch.sandbox.requests():
        assert any(seen.method == m and re.search(p, seen.target) for m, p in REQUESTS), seen
    for method, path in REQUESTS:
        assert any(s.method == method and re.search(path, s.target) for s in batch.sandbox.requests()), path


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
    outcome = batch.cli("upload-cvat")
    assert f"job {first['id']}" in outcome.stderr
    shapes = batch.shapes(task["id"])
    assert [(s["frame"], s["type"]) for s in shapes if s["frame"] < 2] == [(0, "rectangle")]
    assert [s["frame"] for s in shapes if s["frame"] == 2] == [2, 2]
    assert batch.metrics()["upload-cvat"]["shapes"] == 3


def test_ctrl_c_leaves_no_half_made_task(batch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import agir_cvtoolkit.stages._push as push

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
    outcome = batch.cli("download-cvat", code=3)
    clear(outcome)
    assert len(batch.pulled(task_id)) == 2
    batch.sandbox.faults.replace(())
    batch.sandbox.forget_requests()
    batch.cli("download-cvat")
    read = [s for s in batch.sandbox.requests() if "annotations" in s.target]
    assert len(read) == 1
    assert len(batch.pulled(task_id)) == 3


@pytest.mark.parametrize("name", ["401", "404", "429 for ever", "500 for ever", "a page", "cut for ever"])
@pytest.mark.parametrize(
    "path", [r"/api/jobs\?", r"/data/meta", r"/api/labels\?", r"/api/jobs/\d+/annotations"]
)
def test_a_fault_at_any_request_of_a_download(pushed: Workspace, path: str, name: str) -> None:
    pushed.sandbox.add_fault(FAULTS[name]("GET", path))
    outcome = pushed.cli("download-cvat", code=None)
    assert outcome.code == (0 if name == "401" else 3), outcome.text
    if outcome.code:
        clear(outcome)
    pushed.sandbox.faults.replace(())
    pushed.cli("download-cvat")
    (task,) = pushed.tasks()
    assert set(pushed.pulled(task["id"])) == {"img_0", "img_1", "img_2"}


@pytest.fixture
def pushed(predicted: Workspace) -> Workspace:
    predicted.complete(predicted.upload()["task_id"])
    return predicted


def test_the_server_is_not_there(predicted: Workspace) -> None:
    predicted.keys(url="http://127.0.0.1:9")
    outcome = predicted.cli("upload-cvat", code=3)
    assert "http://127.0.0.1:9" in outcome.stderr
    clear(outcome)
    assert stage_module.STAGE == "upload-cvat"
