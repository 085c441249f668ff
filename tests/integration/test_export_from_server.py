"""``export`` of tasks and projects that this workspace never pushed: they are brought from the server first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.runs import CURRENT
from tests.sandbox.plain import Plain, pictures

from .workspace import Workspace

pytestmark = pytest.mark.integration


def made(workspace: Workspace, name: str, *, completed: bool = True) -> tuple[int, int]:
    """Make a project with one task of two pictures, as somebody else would; return the ids of both."""
    plain: Plain = workspace.plain
    project = int(plain("POST", "/api/projects", {"name": name, "labels": [{"name": "weed"}]}).json["id"])
    number = int(plain.task(pictures(2), project_id=project)["id"])
    label = plain.labels(project)["weed"]["id"]
    mask = {"type": "mask", "frame": 0, "label_id": label, "points": [0, 4, 0, 0, 3, 0], "source": "manual"}
    (job,) = workspace.jobs(number)
    content = {"version": 0, "tags": [], "shapes": [mask], "tracks": []}
    assert plain("PUT", f"/api/jobs/{job['id']}/annotations", content).status == 200
    if completed:
        workspace.complete(number)
    return project, number


def coco(outcome: Any) -> Any:
    told = json.loads(outcome.stdout)
    return json.loads((Path(told["out"]) / "annotations/instances_default.json").read_text())


def test_a_project_is_exported_by_its_name_without_a_run(empty: Workspace) -> None:
    project, _ = made(empty, "plants of others")
    made(empty, "something else")
    done = empty.cli("export", "coco", "--project", "plants of others", "--json")
    content = coco(done)
    assert (len(content["images"]), len(content["annotations"])) == (2, 1)
    assert json.loads(done.stdout)["run_id"] == f"export/project_{project}"
    assert not (empty.root / "outputs/runs" / CURRENT).exists()
    assert all(
        (Path(json.loads(done.stdout)["out"]) / "images" / i["file_name"]).is_file()
        for i in content["images"]
    )


def test_a_task_that_the_current_run_lacks_is_brought_and_kept_apart(predicted: Workspace) -> None:
    before = predicted.run
    _, task = made(predicted, "plants of others")
    content = coco(predicted.cli("export", "coco", "--task-id", str(task), "--json"))
    assert len(content["images"]) == 2
    assert predicted.run == before
    assert not (before / "cvat_downloads").exists()


def test_it_is_brought_up_to_date_each_time(empty: Workspace) -> None:
    project, task = made(empty, "plants")
    assert len(coco(empty.cli("export", "coco", "--project", str(project), "--json"))["annotations"]) == 1
    (job,) = empty.jobs(task)
    label = empty.plain.labels(project)["weed"]["id"]
    more = {"type": "mask", "frame": 1, "label_id": label, "points": [0, 2, 0, 0, 1, 0], "source": "manual"}
    content = {"version": 0, "tags": [], "shapes": [more], "tracks": []}
    assert empty.plain("PATCH", f"/api/jobs/{job['id']}/annotations?action=create", content).status == 200
    again = empty.cli("export", "coco", "--project", str(project), "--overwrite", "--json")
    assert len(coco(again)["annotations"]) == 2


def test_what_cannot_be_exported_is_said(empty: Workspace) -> None:
    made(empty, "plants", completed=False)
    wrong = empty.cli("export", "coco", "--project", "plant", code=3)
    assert "no project 'plant' on" in wrong.stderr
    assert "Did you mean 'plants'?" in wrong.stderr
    open_ = empty.cli("export", "coco", "--project", "plants", code=2)
    assert "no finished work" in open_.stderr
    assert "--unfinished" in open_.stderr
    assert (
        len(coco(empty.cli("export", "coco", "--project", "plants", "--unfinished", "--json"))["images"]) == 2
    )
    made(empty, "plants")
    twins = empty.cli("export", "coco", "--project", "plants", "--overwrite", code=2)
    assert "projects are called 'plants'" in twins.stderr
    missing = empty.cli("export", "coco", "--task-id", "999999", code=3)
    assert "999999" in missing.stderr
    rehearsal = empty.cli("export", "coco", "--task-id", "999998", "--dry-run", code=2)
    assert "was not brought from the server yet" in rehearsal.stderr
    nothing = empty.cli("export", "coco", code=2)
    assert "--project NAME" in nothing.stderr
