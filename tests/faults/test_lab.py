"""The matrix sees what it is there to see."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.workspace import Workspace

from .full_disk import FullDisk
from .lab import Lab
from .requests import Record, kind_of
from .scenarios import BY_NAME
from .states import differences
from .table import failures, summary, table
from .troubles import BY_NAME as TROUBLES

pytestmark = pytest.mark.integration


def _twin(space: Workspace) -> None:
    name = space.tasks()[0]["name"]
    assert space.plain("POST", "/api/tasks", {"name": name, "labels": [{"name": "a"}]}).status == 201


def _lost_shape(space: Workspace) -> None:
    (task,) = space.tasks()
    content = {"version": 0, "tags": [], "tracks": [], "shapes": space.shapes(task["id"])[:1]}
    path = f"/api/tasks/{task['id']}/annotations/?action=delete"
    assert space.plain("PATCH", path, content).status == 200


def _doubled_shape(space: Workspace) -> None:
    (task,) = space.tasks()
    shape = {k: v for k, v in space.shapes(task["id"])[0].items() if k != "id"}
    content = {"version": 0, "tags": [], "tracks": [], "shapes": [shape]}
    path = f"/api/tasks/{task['id']}/annotations/?action=create"
    assert space.plain("PATCH", path, content).status == 200


def _job_begun(space: Workspace) -> None:
    (task,) = space.tasks()
    space.set_job(space.jobs(task["id"])[0]["id"], state="in progress")


def _frame_forgotten(space: Workspace) -> None:
    with sqlite3.connect(space.root / "outputs" / "ledger.db") as database:
        database.execute("DELETE FROM push_frames WHERE frame = 0")
    database.close()


def _left_over(space: Workspace) -> None:
    (space.run / ".metrics.json.12345678.tmp").write_text("{")


def _other_mask(space: Workspace) -> None:
    path = next((space.run / "cvat_downloads").rglob("masks/*.png"))
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("scenario", "change", "where"),
    [
        ("push", _twin, "/server/tasks"),
        ("push", _lost_shape, "/server/tasks/0/annotations/shapes"),
        ("push", _doubled_shape, "/server/tasks/0/annotations/shapes"),
        ("push", _job_begun, "/server/tasks/0/jobs"),
        ("push", _frame_forgotten, "/ledger/push_frames"),
        ("push", _left_over, "/run/.metrics.json.12345678.tmp"),
        ("pull", _other_mask, "/run/cvat_downloads"),
    ],
)
def test_a_difference_is_seen(
    lab: Lab, scenario: str, change: Callable[[Workspace], None], where: str
) -> None:
    found = lab.changed(BY_NAME[scenario], change)
    assert found
    assert all(text.startswith(where) for text in found), found


def test_nothing_changed_is_no_difference(lab: Lab) -> None:
    assert lab.changed(BY_NAME["pull"], lambda space: None) == []


def test_a_trouble_that_does_not_come_fails_its_cell(lab: Lab) -> None:
    row = lab.prepared(BY_NAME["pull"]).rows[0]
    never = type(row)("GET", "^/api/nowhere$", 1, "GET /api/nowhere", body=False)
    for name in ("answer lost", "requests forgotten", "killed before"):
        cell = lab.cell(BY_NAME["pull"], never, TROUBLES[name])
        assert cell.verdict == "FAIL", name
        assert "the request did not come" in cell.problems


def test_the_table_shows_every_cell(lab: Lab) -> None:
    row = lab.prepared(BY_NAME["pull"]).rows[0]
    never = type(row)("GET", "^/api/nowhere$", 1, "GET /api/nowhere", body=False)
    good = lab.cell(BY_NAME["pull"], row, TROUBLES["answer lost"])
    bad = lab.cell(BY_NAME["pull"], never, TROUBLES["answer lost"])
    text = table([good, bad])
    assert "GET /api/server/about  ." in text
    assert "GET /api/nowhere       F" in text
    assert summary([good, bad]) == "2 cells: 1 ok, 0 ok after a second call, 1 FAIL"
    assert "the request did not come" in failures([good, bad])


def test_requests_are_told_apart() -> None:
    record = Record()
    base = "http://127.0.0.1:8080"
    record.note("GET", f"{base}/api/jobs/7/annotations/", {}, body=False)
    record.note("GET", f"{base}/api/jobs/8/annotations/", {}, body=False)
    record.note("PATCH", f"{base}/api/jobs/8/annotations/?action=create", {}, body=True)
    for _ in range(2):
        record.note("GET", f"{base}/api/requests/action%3Dcreate%26target_id%3D5", {}, body=False)
    assert [row.title for row in record.rows()] == [
        "GET /api/jobs/N/annotations/",
        "GET /api/jobs/N/annotations/ #2",
        "PATCH /api/jobs/N/annotations/?action=create",
        "GET /api/requests/action=create&target_id=5",
    ]
    assert kind_of("GET", f"{base}/api/jobs?task_id=3&page=1", {}).pattern == r"^/api/jobs\?task_id="


def test_a_full_disk_takes_nothing(tmp_path: Path) -> None:
    folder = tmp_path
    disk = FullDisk(folder / "elsewhere")
    with disk.installed():
        (folder / "before").write_text("fits")
        disk.full = True
        for mode in ("w", "a"):
            with pytest.raises(OSError, match="No space left"), (folder / "after").open(mode) as stream:
                stream.write("does not fit")
        assert (folder / "before").read_text() == "fits"
        disk.full = False
        (folder / "after").write_text("fits again")


def test_states_differ_where_they_differ() -> None:
    assert differences({"a": [1, 2]}, {"a": [1, 2]}) == []
    assert differences({"a": [1, 2]}, {"a": [1, 3], "b": 0}) == ["/a/1 is 3 for 2", "/b is too many: 0"]
    assert differences({"a": [1]}, {"a": []}) == ["/a has 0 for 1: [] for [1]"]
    assert differences({"a": 1}, {}) == ["/a is missing"]
