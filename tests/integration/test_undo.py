"""``undo`` deletes what nobody has touched, and nothing else, so that the same push can be made again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from click.testing import CliRunner

from agir_cvtoolkit.cli import main
from agir_cvtoolkit.cvat import replacing
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.sandbox import Fault
from agir_cvtoolkit.stages import _untouched

from .annotator import Wire
from .workspace import Json, Workspace

pytestmark = pytest.mark.integration
SPLIT = ("-o", "cvat_upload.images_per_task=1")


def undo(workspace: Workspace, push: str, *words: str, code: int = 0) -> Json:
    return dict(json.loads(workspace.cli("undo", push, "--json", *words, code=code).stdout))


def test_an_untouched_push_is_undone_and_can_be_made_again(predicted: Workspace) -> None:
    first = predicted.upload(*SPLIT)
    before = predicted.state()
    planned = undo(predicted, first["push_id"], "--dry-run")
    assert [task["outcome"] for task in planned["tasks"]] == ["deleted"] * 3
    assert predicted.state() == before
    done = undo(predicted, first["name"], "--yes")
    assert [(task["outcome"], task["records"]) for task in done["tasks"]] == [("deleted", 1)] * 3
    assert predicted.tasks() == []
    assert "Next: agir-cvtoolkit upload-cvat" in predicted.cli("status").stdout
    assert undo(predicted, first["push_id"], "--yes")["tasks"] == []
    life = predicted.cli("why", next(iter(predicted.manifest()))).stdout
    assert "undone" in life
    again = predicted.upload(*SPLIT)
    assert again["push_id"] == first["push_id"]
    assert again["uploaded_annotations"] == first["uploaded_annotations"]
    assert len(predicted.tasks()) == 3


def touch_shape(workspace: Workspace, task: Json) -> None:
    path = f"/api/jobs/{workspace.jobs(task['id'])[0]['id']}/annotations/"
    shape = workspace.shapes(task["id"])[0]
    content = {"version": 0, "tags": [], "tracks": [], "shapes": [shape | {"occluded": True}]}
    assert workspace.plain("PATCH", f"{path}?action=update", content).status == 200


def add_tag(workspace: Workspace, task: Json) -> None:
    job = workspace.jobs(task["id"])[0]["id"]
    label = next(iter(workspace.labels(task["id"])))
    tag = {"frame": 0, "label_id": label, "attributes": []}
    content = {"version": 0, "tags": [tag], "tracks": [], "shapes": []}
    assert workspace.plain("PATCH", f"/api/jobs/{job}/annotations/?action=create", content).status == 200


def empty_job(workspace: Workspace, task: Json) -> None:
    job = workspace.jobs(task["id"])[0]["id"]
    assert workspace.plain("DELETE", f"/api/jobs/{job}/annotations/").status == 204


def begin(workspace: Workspace, task: Json) -> None:
    workspace.set_job(workspace.jobs(task["id"])[0]["id"], state="in progress")


def review(workspace: Workspace, task: Json) -> None:
    workspace.set_job(workspace.jobs(task["id"])[0]["id"], stage="validation")


def delete_frame(workspace: Workspace, task: Json) -> None:
    got = workspace.plain("PATCH", f"/api/tasks/{task['id']}/data/meta", {"deleted_frames": [0]})
    assert got.status == 200


def assign(workspace: Workspace, task: Json) -> None:
    me = workspace.plain("GET", "/api/users/self").json["id"]
    job = workspace.jobs(task["id"])[0]["id"]
    assert workspace.plain("PATCH", f"/api/jobs/{job}", {"assignee": me}).status == 200


def judge(workspace: Workspace, task: Json) -> None:
    content = {
        "type": "ground_truth",
        "task_id": task["id"],
        "frame_selection_method": "manual",
        "frames": [0],
    }
    assert workspace.plain("POST", "/api/jobs", content).status == 201


@pytest.mark.parametrize(
    "touch", [touch_shape, add_tag, empty_job, begin, review, delete_frame, assign, judge]
)
def test_a_touched_task_is_left_and_listed_and_the_others_go(
    predicted: Workspace, touch: Callable[[Workspace, Json], None]
) -> None:
    pushed = predicted.upload(*SPLIT)
    touched = predicted.tasks()[1]
    touch(predicted, touched)
    before = predicted.state()[str(touched["id"])]
    outcome = predicted.cli("undo", pushed["push_id"], "--yes", code=1)
    assert predicted.state() == {str(touched["id"]): before}
    assert f"left: {touched['name']}" in outcome.stdout
    assert f"/tasks/{touched['id']}" in outcome.stdout
    assert "2 of 3 tasks undone, 1 left alone" in outcome.stdout
    (frame_map,) = predicted.run.glob("cvat_uploads/*/frame_map.jsonl")
    lines = frame_map.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["task_id"] for line in lines] == [touched["id"]]
    # What was left is still known: it is not pushed a second time.
    predicted.upload(*SPLIT, code=None)
    assert len(predicted.tasks()) == 3


def test_a_person_who_saves_while_it_looks_keeps_the_work(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = predicted.upload()
    task = predicted.tasks()[0]
    real = replacing.read_content

    def read_then_save(*words: object) -> object:
        found = real(*words)  # type: ignore[arg-type]
        touch_shape(predicted, task)
        return found

    monkeypatch.setattr(_untouched, "read_content", read_then_save)
    outcome = predicted.cli("undo", pushed["push_id"], "--yes", code=1)
    assert "somebody is working in it right now" in outcome.stdout
    assert [t["id"] for t in predicted.tasks()] == [task["id"]]


def test_a_task_that_is_gone_is_forgotten(predicted: Workspace) -> None:
    pushed = predicted.upload()
    assert predicted.plain("DELETE", f"/api/tasks/{pushed['task_id']}").status == 204
    done = undo(predicted, pushed["push_id"], "--yes")
    assert [task["outcome"] for task in done["tasks"]] == ["gone"]
    assert predicted.upload()["uploaded_annotations"] == 3


def test_what_was_undone_before_the_server_failed_has_left_the_run(predicted: Workspace) -> None:
    pushed = predicted.upload(*SPLIT)
    predicted.sandbox.add_fault(
        Fault(r"/api/tasks/\d+$", method="DELETE", status=403, body="json", nth=2, times=0)
    )
    predicted.cli("undo", pushed["push_id"], "--yes", code=3)
    predicted.sandbox.faults.replace(())
    there = {task["id"] for task in predicted.tasks()}
    assert len(there) == 2
    (frame_map,) = predicted.run.glob("cvat_uploads/*/frame_map.jsonl")
    lines = frame_map.read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["task_id"] for line in lines} == there


@pytest.mark.parametrize("command", ["undo", "upload-cvat"])
def test_an_undo_killed_before_it_tidied_up_is_repaired_by_the_next_command(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    pushed = predicted.upload(*SPLIT)
    undone = predicted.run
    (frame_map,) = undone.glob("cvat_uploads/*/frame_map.jsonl")
    with monkeypatch.context() as patches:
        patches.setattr("agir_cvtoolkit.stages.undo.tidy_runs", lambda *words: None)
        undo(predicted, pushed["push_id"], "--yes")
    assert len(frame_map.read_text(encoding="utf-8").splitlines()) == 3
    if command == "undo":
        undo(predicted, pushed["push_id"], "--yes")
    else:  # of another run that pushes under the same name
        predicted.predicted()
        assert predicted.run != undone
        predicted.upload(*SPLIT, "-o", f"cvat_upload.task_name={pushed['name']}")
    assert frame_map.read_text(encoding="utf-8") == ""
    assert not Run(undone.name, undone).is_done("upload-cvat")


def test_nothing_is_deleted_without_a_word(predicted: Workspace) -> None:
    pushed = predicted.upload()
    outcome = predicted.cli("undo", pushed["push_id"], code=2)
    assert "Add --yes" in outcome.stderr
    assert len(predicted.tasks()) == 1


def test_an_unknown_push_names_those_there_are(predicted: Workspace) -> None:
    pushed = predicted.upload()
    outcome = predicted.cli("undo", "nonsense", "--yes", code=2)
    assert pushed["push_id"] in outcome.stderr


def test_a_name_that_two_pushes_have_is_refused(predicted: Workspace) -> None:
    first = predicted.upload()
    second = predicted.upload("-o", "cvat_upload.source.type=detections")
    outcome = predicted.cli("undo", first["name"], "--yes", code=2)
    assert first["push_id"] in outcome.stderr
    assert second["push_id"] in outcome.stderr
    assert len(predicted.tasks()) == 2


def test_another_server_is_not_asked(predicted: Workspace) -> None:
    pushed = predicted.upload()
    predicted.keys(url="http://127.0.0.1:9")
    outcome = predicted.cli("undo", pushed["push_id"], "--yes", code=2)
    assert "CVAT_URL" in outcome.stderr


@pytest.mark.parametrize("touched", [False, True])
def test_what_an_earlier_version_has_pushed_is_known_by_its_hashes(
    predicted: Workspace, touched: bool
) -> None:
    pushed = predicted.upload()
    with closing(sqlite3.connect(predicted.root / "outputs" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE push_shapes SET geometry = NULL")
        ledger.execute("DELETE FROM push_jobs")
    if touched:
        empty_job(predicted, predicted.tasks()[0])
    predicted.cli("undo", pushed["push_id"], "--yes", code=int(touched))
    assert len(predicted.tasks()) == int(touched)


def test_an_upload_at_work_is_waited_for(predicted: Workspace) -> None:
    pushed = predicted.upload()
    runs = predicted.root / "outputs" / "runs"
    with Run(pushed["name"], runs).lock(f"push-{pushed['push_id']}"):
        outcome = predicted.cli("undo", pushed["push_id"], "--yes", code=2)
    assert "upload-cvat is pushing" in outcome.stderr
    assert len(predicted.tasks()) == 1


def walk(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """Return a push of two tasks, and the requests of an undo of it that nobody disturbs; it is pushed again."""
    pushed = workspace.upload("-o", "cvat_upload.images_per_task=2")
    with monkeypatch.context() as patches:
        wire = Wire().tapped(patches)
        undo(workspace, pushed["push_id"], "--yes")
    workspace.upload("-o", "cvat_upload.images_per_task=2")
    return pushed["push_id"], wire.seen


def test_a_save_at_every_request_is_kept_but_in_the_last_gap(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_id, requests = walk(predicted, monkeypatch)
    deletions = [number for number, request in enumerate(requests) if request.startswith("DELETE")]
    assert len(deletions) == 2
    for moment in range(len(requests)):
        first, second = sorted(predicted.tasks(), key=lambda task: int(task["id"]))
        victim = first if moment <= deletions[0] else second

        def save(number: int, request: str, at: int = moment, task: Json = victim) -> None:
            if number == at:
                begin(predicted, task)

        with monkeypatch.context() as patches:
            Wire(save).tapped(patches)
            done = undo(predicted, push_id, "--yes", code=int(moment not in deletions))
        left = {task["id"] for task in predicted.tasks()}
        if moment in deletions:
            assert left == set(), "the gap before the deletion is the one that remains"
        else:
            assert left == {victim["id"]}, f"a save before {requests[moment]} was lost"
            assert [t["task_id"] for t in done["tasks"] if t["outcome"] == "left"] == [victim["id"]]
            predicted.plain("DELETE", f"/api/tasks/{victim['id']}")
        predicted.upload("-o", "cvat_upload.images_per_task=2")


def test_killed_around_every_deletion_and_started_again(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_id, requests = walk(predicted, monkeypatch)
    deletions = [number for number, request in enumerate(requests) if request.startswith("DELETE")]
    moments = {number + step for number in deletions for step in (-1, 0, 1)}
    for moment in sorted(moments & set(range(len(requests)))):
        with monkeypatch.context() as patches:
            Wire(stop=moment).tapped(patches)
            predicted.cli("undo", push_id, "--yes", code=130)
        with monkeypatch.context() as patches:
            Wire(lost=moment).tapped(patches)
            undo(predicted, push_id, "--yes")
        assert predicted.tasks() == []
        assert undo(predicted, push_id, "--yes")["tasks"] == []
        predicted.upload("-o", "cvat_upload.images_per_task=2")
        assert len(predicted.tasks()) == 2


@pytest.mark.parametrize(
    ("state", "left"),
    [("planned", False), ("filled", False), ("filled", True)],
)
def test_what_a_killed_upload_has_left_is_undone_unless_somebody_works_there(
    predicted: Workspace, state: str, left: bool
) -> None:
    pushed = predicted.upload()
    with closing(sqlite3.connect(predicted.root / "outputs" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE push_tasks SET state = ?", (state,))
        ledger.execute("DELETE FROM push_jobs")
        if state == "planned":
            ledger.execute("UPDATE push_tasks SET task_id = NULL")
    (begin if left else empty_job)(predicted, predicted.tasks()[0])
    predicted.cli("undo", pushed["push_id"], "--yes", code=int(left))
    assert len(predicted.tasks()) == int(left)


@pytest.mark.parametrize(("answer", "there"), [("y", 0), ("n", 1)])
def test_on_a_terminal_it_lists_and_asks(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch, answer: str, there: int
) -> None:
    pushed = predicted.upload()
    monkeypatch.setattr("agir_cvtoolkit.cli.undo._on_terminal", lambda: True)
    result = CliRunner().invoke(main, ["undo", pushed["push_id"]], input=f"{answer}\n")
    assert result.exit_code == 0
    assert "would be deleted" in result.stdout
    assert "Delete them?" in result.stderr
    assert len(predicted.tasks()) == there


def test_the_check_asks_the_server_for_tasks_that_are_gone(predicted: Workspace) -> None:
    predicted.upload(*SPLIT)
    assert predicted.cli("ledger", "check", "--server").code == 0
    gone = predicted.tasks()[1]
    assert predicted.plain("DELETE", f"/api/tasks/{gone['id']}").status == 204
    assert predicted.cli("ledger", "check").code == 0
    outcome = predicted.cli("ledger", "check", "--server", code=4)
    assert f"task {gone['id']} is not on" in outcome.stdout
    assert "1 finding;" in outcome.stdout
