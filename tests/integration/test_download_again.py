"""Work that came back once stays, whatever happens to its jobs; what could not be taken is said every time."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.cvat import FrameMap, read_frame_map
from agir_cvtoolkit.errors import FrameMapError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.sandbox import Fault
from agir_cvtoolkit.stages import _pull, _pull_plan, _pull_task
from agir_cvtoolkit.stages.download_cvat import download_cvat

from .annotator import Person
from .workspace import Workspace

pytestmark = pytest.mark.integration
ALL = {"img_0", "img_1", "img_2"}


def download(workspace: Workspace, *words: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(workspace.cli("download-cvat", "--json", *words, code=code).stdout))


@pytest.fixture
def pulled(predicted: Workspace) -> Workspace:
    """One task of three jobs with a picture each, all completed and downloaded."""
    task_id = predicted.upload("-o", "cvat_upload.segment_size=1")["task_id"]
    predicted.complete(task_id)
    assert download(predicted)["frames"] == 3
    return predicted


def task_of(workspace: Workspace) -> int:
    (task,) = workspace.tasks()
    return int(task["id"])


def masks(workspace: Workspace) -> dict[str, bytes | None]:
    found = workspace.pulled(task_of(workspace))
    return {name: mask.tobytes() if mask is not None else None for name, mask in found.items()}


def change(workspace: Workspace, job_id: int) -> None:
    """Remove what is drawn in a job."""
    assert workspace.plain("DELETE", f"/api/jobs/{job_id}/annotations/").status == 204


@pytest.mark.parametrize("reopened", [1, 3])
def test_reopened_jobs_keep_what_they_had_when_they_were_finished(pulled: Workspace, reopened: int) -> None:
    before = masks(pulled)
    jobs = pulled.jobs(task_of(pulled))[:reopened]
    for job in jobs:
        pulled.set_job(job["id"], state="in progress")
        change(pulled, job["id"])
    for _ in range(2):
        result = download(pulled)
        assert (result["frames"], result["jobs"], result["waiting"]) == (3, 3 - reopened, reopened)
        assert (result["reopened"], result["jobs_read"], result["items"]) == (reopened, 0, [])
        assert result["tasks"][0]["reopened"] == [job["id"] for job in jobs]
        assert masks(pulled) == before
    assert pulled.metrics()["download-cvat"]["reopened"] == reopened
    said = pulled.cli("download-cvat").stdout
    assert f"reopened since they were read, kept as they were finished: jobs {jobs[0]['id']}" in said
    pulled.cli("preprocess")
    assert pulled.metrics()["preprocess"]["pairs"] == 3
    for job in jobs:
        pulled.set_job(job["id"], state="completed")
    result = download(pulled)
    assert (result["reopened"], result["jobs_read"], result["frames"]) == (0, reopened, 3)
    after = pulled.pulled(task_of(pulled))
    changed = after["img_0"]
    assert changed is not None
    assert not changed.any()
    assert set(after) == ALL


def test_unfinished_work_that_was_read_on_request_is_not_taken_for_finished(predicted: Workspace) -> None:
    task_id = predicted.upload("-o", "cvat_upload.segment_size=1")["task_id"]
    jobs = predicted.jobs(task_id)
    predicted.set_job(jobs[0]["id"], state="completed")
    predicted.set_job(jobs[1]["id"], state="in progress")
    outcome = predicted.cli("download-cvat", "-o", "cvat_download.required_status=null")
    assert (
        "2 of 3 jobs are not completed: proposals that nobody has opened count as accepted" in outcome.stderr
    )
    assert predicted.metrics()["download-cvat"]["frames"] == 3
    assert predicted.metrics()["download-cvat"]["not_completed"] == 2
    assert "2 of 3 pictures come from jobs that are not completed" in predicted.cli("preprocess").stderr
    assert predicted.metrics()["preprocess"]["unfinished_pictures"] == 2
    predicted.set_job(jobs[1]["id"], state="rejected")
    result = download(predicted)
    assert (result["frames"], result["reopened"]) == (1, 0)
    assert set(predicted.pulled(task_id)) == {"img_0"}


def test_a_box_beside_a_mask_is_said_every_time(predicted: Workspace) -> None:
    task_id = predicted.upload()["task_id"]
    (job,) = predicted.jobs(task_id)
    Person(predicted, task_id, job["id"]).send(
        "create",
        {
            "type": "rectangle",
            "frame": 0,
            "label_id": next(iter(predicted.labels(task_id))),
            "points": [1.0, 1.0, 5.0, 5.0],
        },
    )
    predicted.complete(task_id)
    for _ in range(2):
        outcome = predicted.cli("download-cvat")
        assert (
            "1 frame holds shapes that a mask cannot show (rectangle); they are in annotations/"
            in outcome.stderr
        )
        assert predicted.metrics()["download-cvat"]["frames_not_in_mask"] == 1


def test_a_kept_mask_that_was_removed_is_missed_aloud(pulled: Workspace) -> None:
    job = pulled.jobs(task_of(pulled))[0]
    pulled.set_job(job["id"], state="in progress")
    for path in (pulled.run / "cvat_downloads").glob("*/masks/img_0.png"):
        path.unlink()
    result = download(pulled, code=1)
    assert [item["record_id"] for item in result["items"]] == ["img_0"]
    assert set(pulled.pulled(task_of(pulled))) == ALL - {"img_0"}


def test_frames_that_were_deleted_leave(pulled: Workspace) -> None:
    """People delete frames in a job; only the date of its task tells."""
    path = f"/api/jobs/{pulled.jobs(task_of(pulled))[1]['id']}/data/meta"
    assert pulled.plain("PATCH", path, {"deleted_frames": [1]}).status == 200
    pulled.set_job(pulled.jobs(task_of(pulled))[2]["id"], state="in progress")
    result = download(pulled)
    assert (result["frames"], result["jobs_read"]) == (2, 0)
    assert set(pulled.pulled(task_of(pulled))) == ALL - {"img_1"}
    (folder,) = (pulled.run / "cvat_downloads").glob("*_*")
    assert json.loads((folder / "frame_map.json").read_text(encoding="utf-8"))["deleted_frames"] == [1]
    assert mask_names(folder) == {"img_0.png", "img_2.png"}
    assert download(pulled)["frames"] == 2
    assert pulled.plain("PATCH", path, {"deleted_frames": []}).status == 200
    assert download(pulled)["frames"] == 3
    assert mask_names(folder) == {"img_0.png", "img_1.png", "img_2.png"}


def mask_names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "masks").iterdir()}


def test_files_of_what_has_left_go_although_a_pull_is_killed_before(
    pulled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = (pulled.run / "cvat_downloads").glob("*_*")
    (folder / "masks" / "mine.png").write_bytes(b"a person's own")
    gone = folder / "annotations" / "job_99999.json"
    gone.write_text("{}", encoding="utf-8")
    path = f"/api/jobs/{pulled.jobs(task_of(pulled))[1]['id']}/data/meta"
    assert pulled.plain("PATCH", path, {"deleted_frames": [1]}).status == 200
    with monkeypatch.context() as patched:
        patched.setattr(_pull_task, "remove_leavers", _killed)
        with pytest.raises(SystemExit):
            download_cvat()
    assert set(pulled.pulled(task_of(pulled))) == ALL - {"img_1"}
    assert download(pulled)["frames"] == 2
    assert mask_names(folder) == {"img_0.png", "img_2.png", "mine.png"}
    assert not gone.exists()


def _killed(*_: object) -> None:
    raise SystemExit


@pytest.mark.parametrize("way", ["after a while", "on request"])
def test_frames_that_a_program_deleted_leave_later(
    pulled: Workspace, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Through the task they leave no date behind."""
    path = f"/api/tasks/{task_of(pulled)}/data/meta"
    assert pulled.plain("PATCH", path, {"deleted_frames": [1]}).status == 200
    if way == "after a while":
        monkeypatch.setattr(_pull_plan, "FRAMES_LAST", timedelta(0))
        words = []
    else:
        words = ["-o", "cvat_download.overwrite_existing=true"]
    assert download(pulled, *words)["frames"] == 2
    assert set(pulled.pulled(task_of(pulled))) == ALL - {"img_1"}


def put(workspace: Workspace, job: dict[str, Any], **content: Any) -> None:
    known = {"version": 0, "tags": [], "shapes": [], "tracks": []} | content
    got = workspace.plain("PUT", f"/api/jobs/{job['id']}/annotations/", known)
    assert got.status == 200, got.data


def test_what_cannot_be_taken_is_said_until_it_is_mended(pulled: Workspace) -> None:
    job = pulled.jobs(task_of(pulled))[1]
    label = next(iter(pulled.labels(task_of(pulled))))
    broken = {
        "type": "mask",
        "frame": 1,
        "label_id": label,
        "points": [0, 5, 3, 3, 40, 40],
        "source": "manual",
    }
    put(pulled, job, shapes=[broken])
    for _ in range(2):
        result = download(pulled, code=1)
        assert [(i["record_id"], i["outcome"]) for i in result["items"]] == [("img_1", "failed")]
        assert result["jobs_read"] == 1
        assert set(pulled.pulled(task_of(pulled))) == ALL - {"img_1"}
    point = {"type": "cuboid", "frame": 1, "label_id": label, "points": [1.0] * 16, "source": "manual"}
    put(pulled, job, shapes=[point])
    for _ in range(2):
        result = download(pulled, code=1)
        assert [(i["record_id"], i["outcome"]) for i in result["items"]] == [("img_1", "skipped")]
        assert result["jobs_read"] == 1
    put(pulled, job)
    assert (download(pulled)["jobs_read"], download(pulled)["jobs_read"]) == (1, 0)
    assert set(pulled.pulled(task_of(pulled))) == ALL


def test_a_job_read_again_for_its_faults_is_told_once(pulled: Workspace) -> None:
    job = pulled.jobs(task_of(pulled))[1]
    label = next(iter(pulled.labels(task_of(pulled))))
    cuboid = {"type": "cuboid", "frame": 1, "label_id": label, "points": [1.0] * 16, "source": "manual"}
    put(pulled, job, shapes=[cuboid])
    for _ in range(3):
        download(pulled, code=1)
    with Ledger.open(None, pulled.root / "outputs" / "runs") as ledger:
        kinds = [event.kind for event in ledger.events_of_record("img_1")]
    assert kinds == ["predicted", "pushed", "corrected", "pulled", "corrected", "pulled"]


@pytest.mark.parametrize("trouble", ["404", "500", "doubled names", "damaged frame map"])
def test_one_bad_task_does_not_stop_the_others(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    project = predicted.project("weed")
    words = ["-o", f"cvat_upload.project_id={project}", "-o", "cvat_upload.images_per_task=1"]
    tasks = [task["task_id"] for task in predicted.upload(*words)["tasks"]]
    for task_id in tasks:
        predicted.complete(task_id)
    bad = tasks[1]
    if trouble in {"404", "500"}:
        path = rf"/api/tasks/{bad}/data/meta"
        predicted.sandbox.add_fault(Fault(path, method="GET", status=int(trouble), times=0))
    elif trouble == "doubled names":

        def doubled(session: Any, task_id: int) -> FrameMap:
            if task_id == bad:
                raise FrameMapError(f"Task {bad} has several frames of one name: 'a'", "Rename the pictures.")
            return read_frame_map(session, task_id)

        monkeypatch.setattr(_pull, "read_frame_map", doubled)
    else:
        folder = predicted.run / "cvat_downloads" / f"{bad}_x"
        folder.mkdir(parents=True)
        (folder / "frame_map.json").write_text("{", encoding="utf-8")
    result = download(predicted, "-o", f"cvat_download.project_id={project}", code=1)
    assert [task["task_id"] for task in result["tasks"]] == [tasks[0], tasks[2]]
    assert (result["tasks_found"], result["tasks_downloaded"]) == (3, 2)
    (item,) = result["items"]
    assert item["record_id"] == predicted.task(bad)["name"]
    assert (item["outcome"], str(bad) in item["reason"]) == ("failed", True)
    alone = predicted.cli("download-cvat", "-o", f"cvat_download.task_ids=[{bad}]", code=None)
    assert alone.code == (3 if trouble in {"404", "500"} else 4)


def test_a_dry_run_of_a_download_makes_nothing(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    before = sorted(workspace.root.rglob("*"))
    outcome = workspace.cli("download-cvat", "--dry-run", code=2)
    assert "has pushed no task" in outcome.stderr
    project = workspace.project("weed")
    workspace.cli("download-cvat", "--dry-run", "-o", f"cvat_download.project_id={project}")
    assert sorted(workspace.root.rglob("*")) == before


def test_only_pictures_of_jobs_that_were_read_are_compared(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read all pictures of a large data set at every call would take longer than all the rest."""
    task_id = predicted.upload("-o", "cvat_upload.segment_size=2")["task_id"]
    predicted.complete(task_id)
    predicted.cli("download-cvat")
    hashed: list[str] = []

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr("agir_cvtoolkit.stages._originals.sha256_of", counted)
    assert predicted.plain("PATCH", f"/api/tasks/{task_id}", {"name": "renamed"}).status == 200
    predicted.cli("download-cvat")
    assert hashed == []
    predicted.set_job(predicted.jobs(task_id)[1]["id"], state="completed")
    predicted.cli("download-cvat")
    assert len(hashed) == 1


def test_a_picture_that_could_not_be_fetched_is_fetched_by_the_next_call(predicted: Workspace) -> None:
    """Although something else of its name lies in the run."""
    task_id = predicted.upload()["task_id"]
    predicted.complete(task_id)
    (sent,) = predicted.run.glob("images/img_0.*")
    content = sent.read_bytes()
    for path in predicted.root.rglob(sent.name):
        if path.read_bytes() == content:
            path.write_bytes(content + b"another")
    predicted.sandbox.add_fault(Fault("quality=original", status=404, body="json", times=1))
    predicted.cli("download-cvat", code=1)
    predicted.sandbox.faults.replace(())
    predicted.cli("download-cvat")
    assert [p.read_bytes() for p in predicted.run.glob(f"cvat_downloads/{task_id}_*/images/*")] == [content]
