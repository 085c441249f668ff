"""What is pushed and pulled under faults: the groups of rows of the matrix, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agir_cvtoolkit.pictures import save_png
from tests.integration.plants import draw
from tests.integration.workspace import Workspace

Json = dict[str, Any]
Prepare = Callable[[Workspace], None]


@dataclass(frozen=True)
class Scenario:
    """A command in a prepared folder, against a prepared server.

    Attributes:
        prepare: brings a folder with three predicted pictures to where the command is called.
        words: the command.
        by_export: whether jobs are read by export, as those with large pictures are.
    """

    name: str
    prepare: Prepare
    words: tuple[str, ...]
    by_export: bool = False


def _in_project(space: Workspace) -> None:
    """Two jobs, each with several bodies of annotations."""
    project = space.project({"name": "weed"})
    space.conf("cvat_upload", {"project_id": project, "segment_size": 2, "per_component": True})


def _several_tasks(space: Workspace) -> None:
    space.conf("cvat_upload", {"images_per_task": 2, "task_name": "Barley"})


def _pushed(space: Workspace) -> None:
    _in_project(space)
    space.conf("cvat_upload", _settings_of(space) | {"task_name": "Barley"})
    space.upload()


def _settings_of(space: Workspace) -> Json:
    import yaml

    text = (space.root / "conf" / "cvat_upload" / "default.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _grown(space: Workspace) -> None:
    """Pushed; then two more pictures came."""
    _pushed(space)
    for number in (8, 9):
        space.add(f"img_{number}", draw(number), number=number)
    space.database()
    space.predicted()


def _predicted_anew(space: Workspace) -> None:
    """Pushed; then one picture of each job was predicted differently."""
    _pushed(space)
    for record_id in ("img_0", "img_2"):
        mask = np.array(space.predicted_mask(record_id))
        mask[40:44, 4:30] = 255
        save_png(mask, space.run / space.manifest()[record_id]["mask_path"])


def _corrected(space: Workspace) -> None:
    """Pushed; people removed, moved and added shapes, and finished."""
    _pushed(space)
    (task,) = space.tasks()
    _correct(space, task["id"])
    space.complete(task["id"])


def _correct(space: Workspace, task_id: int) -> None:
    path = f"/api/tasks/{task_id}/annotations/"
    first, second = space.shapes(task_id)[:2]
    dropped = {"version": 0, "tags": [], "tracks": [], "shapes": [first]}
    assert space.plain("PATCH", f"{path}?action=delete", dropped).status == 200
    moved = second | {"points": [*second["points"][:-4], *_moved(second["points"][-4:])]}
    changed = {"version": 0, "tags": [], "tracks": [], "shapes": [moved]}
    assert space.plain("PATCH", f"{path}?action=update", changed).status == 200
    drawn = {"type": "polygon", "frame": 2, "label_id": second["label_id"], "points": [3, 3, 20, 4, 9, 17]}
    added = {"version": 0, "tags": [], "tracks": [], "shapes": [drawn | {"source": "manual"}]}
    assert space.plain("PATCH", f"{path}?action=create", added).status == 200


def _moved(box: list[float]) -> list[float]:
    left, top, right, bottom = box
    return [left + 1, top, right + 1, bottom]


def _reopened(space: Workspace) -> None:
    """Pulled; then one job was corrected further and finished again."""
    _corrected(space)
    space.cli("download-cvat")
    (task,) = space.tasks()
    job = space.jobs(task["id"])[1]
    space.set_job(job["id"], state="in progress")
    path = f"/api/jobs/{job['id']}/annotations/"
    shape = space.plain("GET", path).json["shapes"][0]
    dropped = {"version": 0, "tags": [], "tracks": [], "shapes": [shape]}
    assert space.plain("PATCH", f"{path}?action=delete", dropped).status == 200
    space.set_job(job["id"], state="completed")


_UP = ("upload-cvat",)
_DOWN = ("download-cvat",)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("push", _in_project, _UP),
    Scenario("push of several tasks", _several_tasks, _UP),
    Scenario("push of new records", _grown, _UP),
    Scenario("push of changed predictions", _predicted_anew, _UP),
    Scenario("pull", _corrected, _DOWN),
    Scenario("pull by export", _corrected, _DOWN, by_export=True),
    Scenario("pull with originals", _corrected, (*_DOWN, "-o", "cvat_download.include_images=true")),
    Scenario("pull of a changed job", _reopened, _DOWN),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
