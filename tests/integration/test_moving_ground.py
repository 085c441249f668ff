"""Tasks, projects and labels that somebody deletes or renames while a command is under way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .annotator import Wire, predict_anew
from .workspace import Json, Outcome, Workspace

pytestmark = pytest.mark.integration


def before(monkeypatch: pytest.MonkeyPatch, pattern: str, act: Callable[[], object]) -> list[str]:
    """Do something before the first request that fits, and return the requests."""
    done: list[str] = []

    def look(_number: int, request: str) -> None:
        if not done and re.search(pattern, request):
            done.append(request)
            act()

    Wire(look).tapped(monkeypatch)
    return done


def delete_tasks(workspace: Workspace) -> None:
    for task in workspace.tasks():
        # A server does not delete a task whose pictures it prepares right now.
        for _ in range(12_000):
            if workspace.plain("DELETE", f"/api/tasks/{task['id']}").status == 204:
                break
            time.sleep(0.01)
    assert workspace.tasks() == []


def said(outcome: Outcome) -> str:
    assert "This is a bug" not in outcome.text
    assert "(500)" not in outcome.text
    return outcome.stderr


@pytest.mark.parametrize(
    "moment",
    [
        "POST tasks/[0-9]+/data",
        "GET requests",
        "GET tasks/[0-9]+/data/meta",
        "GET labels",
        "GET jobs[?]",
        "GET jobs/[0-9]+/annotations",
        "PATCH jobs/[0-9]+/annotations",
    ],
)
def test_a_task_is_deleted_while_it_is_filled(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patched:
        done = before(patched, moment, lambda: delete_tasks(predicted))
        text = said(predicted.cli("upload-cvat", code=3))
    assert done
    assert re.search(r"[tT]ask \d+|job \d+", text)
    assert "again" in text
    assert predicted.tasks() == []
    assert predicted.upload()["uploaded_annotations"] == 3
    assert len(predicted.tasks()) == 1
    assert len(predicted.shapes(predicted.tasks()[0]["id"])) == 3


def test_a_task_is_deleted_after_its_shapes_were_counted(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last list of jobs lacks them: nothing is called uploaded that is not there."""
    looks = []

    def look(_number: int, request: str) -> None:
        if request.startswith("GET jobs?"):
            looks.append(request)
            if len(looks) == 2:
                delete_tasks(predicted)

    with monkeypatch.context() as patched:
        Wire(look).tapped(patched)
        text = said(predicted.cli("upload-cvat", code=3))
    assert "lost jobs" in text
    assert predicted.upload()["uploaded_annotations"] == 3


@pytest.mark.parametrize("moment", ["POST tasks$", "GET requests", "PATCH jobs/[0-9]+/annotations"])
@pytest.mark.parametrize("what", ["project", "label"])
def test_a_project_or_its_label_is_deleted_during_a_push(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch, what: str, moment: str
) -> None:
    project = predicted.project("weed", "soil")
    listed = predicted.plain("GET", f"/api/labels?project_id={project}").json["results"]
    label = next(item["id"] for item in listed if item["name"] == "weed")
    path = f"/api/projects/{project}" if what == "project" else f"/api/labels/{label}"
    with monkeypatch.context() as patched:
        done = before(patched, moment, lambda: predicted.plain("DELETE", path))
        text = said(predicted.cli("upload-cvat", "-o", f"cvat_upload.project_id={project}", code=3))
    assert done
    assert predicted.tasks() == []
    if what == "label":
        assert "A label was deleted in CVAT" in text
        again = predicted.cli("upload-cvat", "-o", f"cvat_upload.project_id={project}", code=4)
        assert "Labels there are: 'soil'" in again.stderr
    else:
        again = predicted.cli("upload-cvat", "-o", f"cvat_upload.project_id={project}", code=3)
        assert f"Project {project} not found" in again.stderr


@pytest.mark.parametrize(
    "moment",
    [
        "GET tasks/[0-9]+/data/meta",
        "GET jobs/[0-9]+$",
        "GET jobs/[0-9]+/annotations",
        "action=delete",
        "action=create",
    ],
)
def test_a_task_is_deleted_while_its_proposals_are_replaced(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The other task gets its new proposals all the same, and the next call pushes what is gone anew."""
    predicted.upload("-o", "cvat_upload.images_per_task=2")
    first, second = sorted(task["id"] for task in predicted.tasks())
    predict_anew(predicted, 1, "img_0", "img_2")
    with monkeypatch.context() as patched:
        done = before(patched, moment, lambda: predicted.plain("DELETE", f"/api/tasks/{first}"))
        result = predicted.cli("upload-cvat", "-o", "cvat_upload.images_per_task=2", code=1)
    assert done
    assert "img_0" in said(result)
    assert "deleted while this ran; run upload-cvat again" in result.stderr
    assert [task["id"] for task in predicted.tasks()] == [second]
    again = predicted.upload("-o", "cvat_upload.images_per_task=2")
    assert (again["uploaded_annotations"], again["skipped"], again["failed"]) == (3, 0, 0)
    names = sorted(frame["name"] for task in predicted.tasks() for frame in predicted.frames(task["id"]))
    assert names == ["img_0.png", "img_1.png", "img_2.png"]


@pytest.mark.parametrize(
    "moment", ["GET jobs[?]", "GET tasks[?]", "GET labels", "data/meta", "GET jobs/[0-9]+/annotations"]
)
def test_a_task_is_deleted_while_it_is_pulled(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """It is named, and the other one is pulled."""
    predicted.upload("-o", "cvat_upload.images_per_task=2")
    first, second = sorted(task["id"] for task in predicted.tasks())
    for task_id in (first, second):
        predicted.complete(task_id)
    with monkeypatch.context() as patched:
        done = before(patched, moment, lambda: predicted.plain("DELETE", f"/api/tasks/{first}"))
        outcome = predicted.cli("download-cvat", code=None)
    assert done
    assert outcome.code in {0, 1}
    assert re.search(f"ask {first}|job [0-9]+", said(outcome))
    assert set(predicted.pulled(second)) == {"img_2"}
    predicted.cli("download-cvat")
    assert set(predicted.pulled(second)) == {"img_2"}


def test_tasks_that_are_all_gone(predicted: Workspace) -> None:
    predicted.upload()
    delete_tasks(predicted)
    outcome = predicted.cli("download-cvat", code=3)
    assert "were deleted" in said(outcome)
    assert "agir-cvtoolkit upload-cvat" in outcome.stderr
    assert predicted.upload()["uploaded_annotations"] == 3


@pytest.mark.parametrize("name", ["mine", "a\n/../b", "ü" * 200, "😀", "\u202eb"])
def test_a_task_that_was_renamed_is_still_ours(predicted: Workspace, name: str) -> None:
    task_id = predicted.upload()["task_id"]
    predicted.plain("PATCH", f"/api/tasks/{task_id}", {"name": name})
    predict_anew(predicted, 1, "img_0")
    again = predicted.upload()
    assert (again["task_id"], again["uploaded_annotations"], again["skipped"]) == (task_id, 3, 0)
    predicted.complete(task_id)
    predicted.cli("download-cvat")
    assert set(predicted.pulled(task_id)) == {"img_0", "img_1", "img_2"}
    assert {path.parent for path in (predicted.run / "cvat_downloads").rglob("frame_map.json")} == {
        next((predicted.run / "cvat_downloads").glob(f"{task_id}_*"))
    }


def ledger_of(workspace: Workspace) -> list[Path]:
    return sorted((workspace.root / "outputs").glob("ledger.db*"))


def test_a_run_without_its_ledger(predicted: Workspace) -> None:
    """Copied to another machine: no twins on the server, and what is there can be had by its id."""
    task_id = predicted.upload()["task_id"]
    predicted.complete(task_id)
    for path in ledger_of(predicted):
        path.unlink()
    outcome = predicted.cli("download-cvat", code=2)
    assert f"cvat_download.task_ids=[{task_id}]" in said(outcome)
    outcome = predicted.cli("upload-cvat", code=4)
    assert f"task {task_id} " in said(outcome).lower()
    assert "ledger" in outcome.stderr
    assert "cvat_upload.task_name" in outcome.stderr
    assert [task["id"] for task in predicted.tasks()] == [task_id]
    predicted.cli("download-cvat", "-o", f"cvat_download.task_ids=[{task_id}]")
    assert set(predicted.pulled(task_id)) == {"img_0", "img_1", "img_2"}
    other = predicted.upload("-o", "cvat_upload.task_name=anew")
    assert other["uploaded_annotations"] == 3
    assert other["task_id"] != task_id


def test_two_ledgers(predicted: Workspace) -> None:
    first: Json = predicted.upload()
    outcome = predicted.cli("upload-cvat", "-o", "io.ledger_url=sqlite:///other.db", code=4)
    assert "two ledgers" in said(outcome)
    before_ = predicted.state()
    assert predicted.upload()["task_id"] == first["task_id"]
    assert predicted.state() == before_


def test_what_another_ledger_is_filling_right_now_is_not_deleted(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task has no pictures yet; only what this ledger has asked for itself, and came late, is taken away."""

    def stop(_number: int, request: str) -> None:
        if request.endswith("/data/"):
            wire.stop = 0
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        wire = Wire(stop).tapped(patched)
        predicted.cli("upload-cvat", code=130)
    (task,) = predicted.tasks()
    assert not task.get("size")
    outcome = predicted.cli("upload-cvat", "-o", "io.ledger_url=sqlite:///other.db", code=4)
    assert "two ledgers" in said(outcome)
    assert [found["id"] for found in predicted.tasks()] == [task["id"]]
    pushed = predicted.upload()
    assert pushed["uploaded_annotations"] == 3
    predicted.cli("undo", pushed["push_id"], "--yes")
    late = {"name": task["name"], "labels": [{"name": "weed"}]}
    assert predicted.plain("POST", "/api/tasks", late).status == 201
    assert predicted.upload()["uploaded_annotations"] == 3
    assert len(predicted.tasks()) == 1
