"""The same push never happens twice; what is new joins, what people have touched is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agir_cvtoolkit.pictures import save_png

from .plants import draw
from .workspace import Workspace

pytestmark = pytest.mark.integration


def nothing_changed(workspace: Workspace, before: Any) -> bool:
    return workspace.writes() == [] and workspace.state() == before


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("cvat_upload.source.type=detections",),
        ("cvat_upload.mask_strategy=polygon",),
        ("cvat_upload.task_name='Barley 1'", "cvat_upload.images_per_task=1"),
    ],
)
def test_a_second_upload_changes_nothing_and_says_so(predicted: Workspace, words: tuple[str, ...]) -> None:
    options = [part for word in words for part in ("-o", word)]
    first = predicted.upload(*options)
    before = predicted.state()
    predicted.sandbox.forget_requests()
    outcome = predicted.cli("upload-cvat", *options)
    assert nothing_changed(predicted, before)
    assert "nothing was changed on the server" in outcome.stdout
    assert f"Task URL: {first['task_url']}" in outcome.stdout
    again = predicted.upload(*options)
    assert again["already_there"] == again["uploaded_annotations"] == first["uploaded_annotations"]
    assert again["tasks"] == first["tasks"]
    assert again["shapes"] == first["shapes"]
    assert "upload-cvat" not in predicted.metrics()["history"]


def test_a_second_upload_leaves_what_a_person_did(predicted: Workspace) -> None:
    task_id = predicted.upload()["task_id"]
    path = f"/api/tasks/{task_id}/annotations/"
    shape = predicted.shapes(task_id)[0]
    content = {"version": 0, "tags": [], "tracks": [], "shapes": [shape]}
    assert predicted.plain("PATCH", f"{path}?action=delete", content).status == 200
    predicted.complete(task_id)
    before = predicted.state()
    predicted.sandbox.forget_requests()
    predicted.upload()
    assert nothing_changed(predicted, before)


def test_another_task_name_is_another_push(predicted: Workspace) -> None:
    first = predicted.upload("-o", "cvat_upload.task_name=Round1")
    before = predicted.state()
    second = predicted.upload("-o", "cvat_upload.task_name=Round2")
    assert first["task_id"] != second["task_id"]
    assert predicted.state()[str(first["task_id"])] == before[str(first["task_id"])]
    assert predicted.metrics()["history"]["upload-cvat"][0]["task_id"] == first["task_id"]
    third = predicted.upload("-o", "cvat_upload.task_name=Round1")
    assert third["task_id"] == first["task_id"]
    assert len(predicted.tasks()) == 2


def test_images_per_task_makes_several_tasks(empty: Workspace) -> None:
    empty.fill(5)
    empty.predicted()
    outcome = empty.cli("upload-cvat", "-o", "cvat_upload.images_per_task=2")
    tasks = empty.metrics()["upload-cvat"]["tasks"]
    assert [task["records"] for task in tasks] == [2, 2, 1]
    assert outcome.stdout.count("Task URL: ") == 3
    names = [frame["name"] for task in tasks for frame in empty.frames(task["task_id"])]
    assert names == [f"img_{n}.png" for n in range(5)]
    assert [len(empty.shapes(task["task_id"])) for task in tasks] == [2, 2, 1]


def test_segment_size_makes_several_jobs(empty: Workspace) -> None:
    empty.fill(5)
    empty.predicted()
    result = empty.upload("-o", "cvat_upload.segment_size=2")
    jobs = empty.jobs(result["task_id"])
    assert [(job["start_frame"], job["stop_frame"]) for job in jobs] == [(0, 1), (2, 3), (4, 4)]
    assert [shape["frame"] for shape in empty.shapes(result["task_id"])] == list(range(5))


def test_new_records_join_in_a_further_task(empty: Workspace) -> None:
    empty.fill(2)
    empty.predicted()
    name = ("-o", "cvat_upload.task_name=Barley")
    first = empty.upload(*name)
    before = empty.state()
    empty.add("img_9", draw(9))
    empty.database()
    empty.predicted()
    second = empty.upload(*name)
    assert (second["uploaded_annotations"], second["already_there"]) == (3, 2)
    assert [task["records"] for task in second["tasks"]] == [2, 1]
    assert second["task_id"] == first["task_id"]
    after = empty.state()
    assert after[str(first["task_id"])] == before[str(first["task_id"])]
    assert [frame["name"] for frame in empty.frames(second["tasks"][1]["task_id"])] == ["img_9.png"]


def test_changed_predictions_are_left_alone_in_a_job_in_work(predicted: Workspace) -> None:
    task_id = predicted.upload()["task_id"]
    predicted.set_job(predicted.jobs(task_id)[0]["id"], state="in progress")
    before = predicted.state()
    mask = predicted.predicted_mask("img_1").copy()
    mask[:4, :4] = 255
    save_png(mask, predicted.run / predicted.manifest()["img_1"]["mask_path"])
    predicted.sandbox.forget_requests()
    outcome = predicted.cli("upload-cvat", code=1)
    assert nothing_changed(predicted, before)
    assert "img_1" in outcome.stderr
    assert f"tasks/{task_id}/jobs/" in outcome.stderr
    assert "cvat_upload.task_name" in outcome.stderr
    stage = predicted.metrics()["upload-cvat"]
    assert (stage["uploaded_annotations"], stage["skipped"], stage["left_alone"]) == (2, 1, 1)


def test_a_task_that_was_deleted_is_pushed_anew(predicted: Workspace) -> None:
    first = predicted.upload()
    assert predicted.plain("DELETE", f"/api/tasks/{first['task_id']}").status == 204
    second = predicted.upload()
    assert second["task_id"] != first["task_id"]
    assert second["already_there"] == 0
    assert len(predicted.shapes(second["task_id"])) == 3
    predicted.sandbox.forget_requests()
    predicted.upload()
    assert predicted.writes() == []


def test_a_task_that_was_renamed_is_not_pushed_anew(predicted: Workspace) -> None:
    first = predicted.upload()
    path = f"/api/tasks/{first['task_id']}"
    assert predicted.plain("PATCH", path, {"name": "done by Ann"}).status == 200
    predicted.sandbox.forget_requests()
    assert predicted.upload()["task_id"] == first["task_id"]
    assert predicted.writes() == []
    predicted.complete(first["task_id"])
    predicted.cli("download-cvat")
    assert set(predicted.pulled(first["task_id"])) == {"img_0", "img_1", "img_2"}


def files_of(workspace: Workspace) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("source", ["segmentations", "detections"])
def test_a_dry_run_changes_nothing(predicted: Workspace, source: str) -> None:
    before = files_of(predicted)
    predicted.sandbox.forget_requests()
    outcome = predicted.cli("upload-cvat", "--dry-run", "-o", f"cvat_upload.source.type={source}")
    count = 3 if source == "segmentations" else 6
    assert f"Would upload {count} of {count} records" in outcome.stdout
    assert predicted.writes() == []
    assert predicted.tasks() == []
    assert files_of(predicted) == before


def test_a_dry_run_of_boxes_before_any_other_stage_makes_nothing(workspace: Workspace) -> None:
    """Neither originals nor a ledger; what it says is what the call then does."""
    (workspace.root / "pictures" / "images" / "img_1.png").unlink()
    workspace.cli("query", "--db", "semif")
    before = files_of(workspace)
    words = ("-o", "cvat_upload.source.type=detections")
    planned = json.loads(workspace.cli("upload-cvat", "--dry-run", "--json", *words, code=1).stdout)
    assert files_of(workspace) == before
    assert not (workspace.root / "outputs" / "ledger.db").exists()
    done = workspace.upload(*words, code=1)
    for name in ("total_records", "uploaded_annotations", "skipped", "failed", "items"):
        assert planned[name] == done[name], name
    again = json.loads(workspace.cli("upload-cvat", "--dry-run", "--json", *words, code=1).stdout)
    assert again["already_there"] == done["uploaded_annotations"] == 4


@pytest.mark.parametrize("source", ["segmentations", "detections"])
def test_a_wrong_password_is_said_before_the_pictures_are_looked_at(
    predicted: Workspace, source: str
) -> None:
    for path in [*(predicted.run / "images").iterdir(), *(predicted.run / "masks").iterdir()]:
        path.write_bytes(b"broken")
    predicted.keys(password="wrong")
    outcome = predicted.cli("upload-cvat", "-o", f"cvat_upload.source.type={source}", code=3)
    assert "Authentication failed" in outcome.stderr
    assert "img_" not in outcome.text


def test_what_is_pushed_is_written_down_without_secrets(predicted: Workspace) -> None:
    predicted.upload()
    predicted.cli("download-cvat")
    for path in predicted.run.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".yaml", ".jsonl", ".log"}:
            assert "admin123" not in path.read_text(encoding="utf-8"), path
    assert (predicted.run / "cfg.upload-cvat.yaml").is_file()
    outcome = predicted.cli("why", "img_1", "--json")
    kinds = [event["kind"] for event in json.loads(outcome.stdout)["events"]]
    assert kinds == ["predicted", "pushed"]


def test_download_without_a_push_names_the_line_to_type(predicted: Workspace) -> None:
    outcome = predicted.cli("download-cvat", code=2)
    assert "agir-cvtoolkit upload-cvat" in outcome.stderr
    assert "cvat_download.project_id" in outcome.stderr


def test_preprocess_before_anything_came_back(predicted: Workspace) -> None:
    predicted.upload()
    predicted.cli("download-cvat")
    outcome = predicted.cli("preprocess", code=2)
    assert "agir-cvtoolkit download-cvat" in outcome.stderr
    assert predicted.cli("train", code=2).stderr == outcome.stderr


def test_download_of_a_project_takes_its_finished_tasks(predicted: Workspace) -> None:
    project = predicted.project("weed")
    words = ["-o", f"cvat_upload.project_id={project}", "-o", "cvat_upload.images_per_task=1"]
    tasks = [task["task_id"] for task in predicted.upload(*words)["tasks"]]
    predicted.complete(tasks[0])
    predicted.complete(tasks[2])
    predicted.upload("-o", "cvat_upload.task_name=elsewhere")
    outcome = predicted.cli("download-cvat", "--json", "-o", f"cvat_download.project_id={project}")
    result = json.loads(outcome.stdout)
    assert [task["task_id"] for task in result["tasks"]] == [tasks[0], tasks[2]]
    assert (result["jobs"], result["waiting"]) == (2, 1)
    missing = predicted.cli("download-cvat", "-o", "cvat_download.project_id=98765", code=3)
    assert "Project 98765 not found" in missing.stderr
    unknown = predicted.cli("download-cvat", "-o", "cvat_download.task_ids=[98765]", code=3)
    assert "Task 98765 not found" in unknown.stderr


def test_of_two_rounds_the_newer_correction_counts(predicted: Workspace) -> None:
    first = predicted.upload("-o", "cvat_upload.task_name=Round1")["task_id"]
    second = predicted.upload("-o", "cvat_upload.task_name=Round2")["task_id"]
    path = f"/api/tasks/{second}/annotations/"
    assert predicted.plain("DELETE", path).status == 204
    for task_id in (first, second):
        predicted.complete(task_id)
    predicted.cli("download-cvat")
    predicted.cli("preprocess")
    stage = predicted.metrics()["preprocess"]
    assert (stage["pairs"], stage["tasks"]) == (3, [first, second])
    masks = list((predicted.run / "dataset" / "masks").rglob("*.png"))
    from agir_cvtoolkit.pictures import load_mask

    assert masks
    assert not any(load_mask(path).any() for path in masks)


def test_a_run_downloads_tasks_that_another_run_made_of_the_same_records(predicted: Workspace) -> None:
    first = predicted.upload("-o", "cvat_upload.task_name=shared")
    predicted.cli("query", "-o", "project.name=second")
    predicted.cli("infer-seg")
    again = predicted.upload("-o", "cvat_upload.task_name=shared")
    assert again["already_there"] == first["total_records"]

    predicted.complete(first["task_id"])
    predicted.cli("download-cvat")
    assert predicted.metrics()["frames"] == first["total_records"]
