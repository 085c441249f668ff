"""Ground truth, replicas and honeypots never mix into a task's own work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.cvat import JobInfo, Listing, list_jobs
from agir_cvtoolkit.pictures import load_mask
from agir_cvtoolkit.sandbox import Fault, Sandbox, SandboxOptions, generation_of
from agir_cvtoolkit.stages import _pull_listing, _pull_read
from tests.sandbox.generations import VERSION
from tests.sandbox.plain import Plain, pictures

from .workspace import Workspace

pytestmark = pytest.mark.integration
Json = dict[str, Any]
APART = ("-o", "cvat_download.job_types=[annotation,ground_truth,replica]")


class Made:
    """A task of a project, and what lies of it in the run."""

    def __init__(self, workspace: Workspace, plain: Plain, project: int, task: Json) -> None:
        self.workspace = workspace
        self.plain = plain
        self.project = project
        self.task_id = int(task["id"])
        self.label = plain.labels(project)["weed"]["id"]

    def jobs(self, kind: str | None = None) -> list[Json]:
        path = f"/api/jobs?task_id={self.task_id}&page_size=100&sort=id"
        found = list(self.plain("GET", path).json["results"])
        return [job for job in found if kind in {None, job["type"]}]

    def draw(self, job: Json, *frames: int) -> None:
        """Leave one mask as wide as the job's id tells on each frame."""
        shapes = [
            {
                "type": "mask",
                "frame": frame,
                "label_id": self.label,
                "points": [0, job["id"] % 7 + 1, 0, 0, job["id"] % 7, 0],
                "source": "manual",
            }
            for frame in frames
        ]
        content = {"version": 0, "tags": [], "shapes": shapes, "tracks": []}
        assert self.plain("PUT", f"/api/jobs/{job['id']}/annotations", content).status == 200

    def complete(self) -> None:
        for job in self.jobs():
            assert self.plain("PATCH", f"/api/jobs/{job['id']}", {"state": "completed"}).status == 200

    def pull(self, *words: str, code: int = 0) -> Json:
        project = f"cvat_download.project_id={self.project}"
        return dict(
            json.loads(self.workspace.cli("download-cvat", "--json", "-o", project, *words, code=code).stdout)
        )

    @property
    def folder(self) -> Path:
        (found,) = (self.workspace.run / "cvat_downloads").glob(f"{self.task_id}_*")
        return found

    def frame_map(self, name: str = "frame_map.json") -> Json:
        return dict(json.loads((self.folder / name).read_text(encoding="utf-8")))

    def frames(self) -> list[Json]:
        return list(self.frame_map()["frames"])

    def width(self, mask: str, folder: str = ".") -> int:
        return int((load_mask(self.folder / folder / mask) > 0).sum())


def make(workspace: Workspace, plain: Plain, count: int = 6, spec: Json | None = None, **data: Any) -> Made:
    workspace.cli("query", "--db", "semif")
    project = plain.project([{"name": "weed"}])["id"]
    task = plain.task(pictures(count), project_id=project, spec={"segment_size": 3, **(spec or {})}, **data)
    return Made(workspace, plain, project, task)


def with_ground_truth(workspace: Workspace) -> Made:
    made = make(workspace, workspace.plain)
    chosen = {"task_id": made.task_id, "frame_selection_method": "manual", "frames": [1, 4]}
    got = workspace.plain("POST", "/api/jobs", {"type": "ground_truth", **chosen})
    assert got.status == 201, got.data
    return made


def test_ground_truth_is_left_out_unless_asked_for_and_stored_apart(workspace: Workspace) -> None:
    made = with_ground_truth(workspace)
    first, second = made.jobs("annotation")
    (truth,) = made.jobs("ground_truth")
    made.draw(first, 0, 1, 2)
    made.draw(second, 3, 4, 5)
    made.draw(truth, 1, 4)
    made.complete()
    result = made.pull()
    assert (result["jobs"], result["waiting"], result["frames"], result["shapes"]) == (2, 0, 6, 6)
    assert not (made.folder / "ground_truth").exists()
    own = made.frames()
    assert {frame["job_id"] for frame in own} == {first["id"], second["id"]}
    result = made.pull(*APART)
    assert (result["jobs"], result["jobs_read"], result["frames"]) == (3, 1, 6)
    assert result["tasks"][0]["apart"] == [truth["id"]]
    place = f"ground_truth/job_{truth['id']}"
    frames = made.frame_map(f"{place}/frames.json")["frames"]
    assert [(frame["frame"], frame["record_id"]) for frame in frames] == [(1, "f01"), (4, "f04")]
    assert {made.width(frame["mask"], place) for frame in frames} == {truth["id"] % 7 + 1}
    assert (made.folder / place / "annotations" / f"job_{truth['id']}.json").is_file()
    assert made.frames() == own
    workspace.sandbox.forget_requests()
    made.pull(*APART)
    assert not [seen for seen in workspace.sandbox.requests() if "/api/jobs/" in seen.target]
    workspace.cli("preprocess")
    assert workspace.metrics()["preprocess"]["pairs"] == 6


def test_ground_truth_alone_is_no_work_of_the_task(workspace: Workspace) -> None:
    made = with_ground_truth(workspace)
    (truth,) = made.jobs("ground_truth")
    made.draw(truth, 1, 4)
    made.complete()
    result = made.pull("-o", "cvat_download.job_types=[ground_truth]")
    assert (result["jobs"], result["waiting"], result["frames"]) == (1, 0, 0)
    assert made.frames() == []
    assert "no finished work" in workspace.cli("preprocess", code=2).stderr


def test_deleted_frames_leave_ground_truth_too(workspace: Workspace) -> None:
    made = with_ground_truth(workspace)
    (truth,) = made.jobs("ground_truth")
    made.complete()
    assert (
        workspace.plain("PATCH", f"/api/tasks/{made.task_id}/data/meta", {"deleted_frames": [4]}).status
        == 200
    )
    made.pull(*APART)
    frames = made.frame_map(f"ground_truth/job_{truth['id']}/frames.json")["frames"]
    assert [frame["frame"] for frame in frames] == [1]
    assert [frame["frame"] for frame in made.frames()] == [0, 1, 2, 3, 5]


@pytest.mark.parametrize(
    ("version", "key", "name"),
    [("2.42.0", "consensus_replicas", "consensus_replica"), ("2.80.0", "initial_replicas", "replica")],
)
def test_replicas_have_two_names_and_are_stored_apart(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory, version: str, key: str, name: str
) -> None:
    with Sandbox(SandboxOptions(tmp_path_factory.mktemp("sandbox"), version=version)) as server:
        plain = Plain(server.url)
        plain.log_in()
        workspace.keys(url=server.url)
        made = make(workspace, plain, 3, {key: 2})
        (parent,) = made.jobs("annotation")
        replicas = made.jobs(name)
        assert len(replicas) == 2
        for job in (parent, *replicas):
            made.draw(job, 0, 1, 2)
        made.complete()
        result = made.pull()
        assert (result["jobs"], result["frames"], result["shapes"]) == (1, 3, 3)
        result = made.pull("-o", f"cvat_download.job_types=[annotation,{name}]")
        assert (result["jobs"], result["frames"]) == (3, 3)
        for job in replicas:
            place = f"replicas/job_{job['id']}"
            frames = made.frame_map(f"{place}/frames.json")["frames"]
            assert [frame["frame"] for frame in frames] == [0, 1, 2]
            assert {made.width(frame["mask"], place) for frame in frames} == {job["id"] % 7 + 1}
        assert {made.width(frame["mask"]) for frame in made.frames()} == {parent["id"] % 7 + 1}
        plain.close()


POOL = {
    "mode": "gt_pool",
    "frame_selection_method": "manual",
    "frames": ["f00.png", "f01.png"],
    "frames_per_job_count": 1,
}


@pytest.mark.skipif(not generation_of(VERSION).validation, reason="honeypots came with 2.21")
def test_honeypots_and_their_pool_are_nobodys_records(workspace: Workspace) -> None:
    made = make(workspace, workspace.plain, 8, sorting_method="random", validation_params=POOL)
    layout = workspace.plain("GET", f"/api/tasks/{made.task_id}/validation_layout").json
    names = workspace.plain.names(made.task_id)
    hidden = dict(zip(layout["honeypot_frames"], layout["honeypot_real_frames"], strict=True))
    assert len(hidden) == 2
    for job in made.jobs():
        made.draw(job, *range(job["start_frame"], job["stop_frame"] + 1))
    made.complete()
    result = made.pull()
    content = made.frame_map()
    assert {frame["record_id"] for frame in content["frames"]} == {f"f0{n}" for n in range(2, 8)}
    assert result["frames"] == 6
    assert content["honeypots"] == [
        {"frame": frame, "real_frame": real, "file_name": names[frame], "honeypot": True}
        for frame, real in sorted(hidden.items())
    ]
    assert content["validation_frames"] == layout["validation_frames"]
    assert made.pull()["jobs_read"] == 0
    (truth,) = made.jobs("ground_truth")
    made.pull(*APART)
    frames = made.frame_map(f"ground_truth/job_{truth['id']}/frames.json")["frames"]
    assert {frame["record_id"] for frame in frames} == {"f00", "f01"}
    assert made.frames() == content["frames"]


@pytest.mark.parametrize("version", ["2.20.0", "2.32.0", "2.80.0"])
def test_large_masks_come_by_the_export_of_every_generation(
    workspace: Workspace,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
) -> None:
    with Sandbox(SandboxOptions(tmp_path_factory.mktemp("sandbox"), version=version)) as server:
        plain = Plain(server.url)
        plain.log_in()
        workspace.keys(url=server.url)
        made = make(workspace, plain, 3)
        (job,) = made.jobs()
        made.draw(job, 0, 1, 2)
        made.complete()
        made.pull()
        as_json = {frame["frame"]: (made.folder / frame["mask"]).read_bytes() for frame in made.frames()}
        monkeypatch.setattr(_pull_read, "EXPORT_FROM_PIXELS", 0)
        server.forget_requests()
        assert made.pull("-o", "cvat_download.overwrite_existing=true")["shapes"] == 3
        asked = [f"{seen.method} {seen.target.partition('?')[0]}" for seen in server.requests()]
        assert f"POST /api/jobs/{job['id']}/dataset/export" in asked
        assert f"GET /api/jobs/{job['id']}/annotations/" not in asked
        if version == "2.20.0":
            # A server on which only the old way works.
            server.add_fault(Fault("/dataset/export", status=404, times=0, body="json"))
            assert made.pull("-o", "cvat_download.overwrite_existing=true")["shapes"] == 3
        again = {frame["frame"]: (made.folder / frame["mask"]).read_bytes() for frame in made.frames()}
        assert again == as_json
        server.add_fault(Fault("format=|/dataset/export", status=400, times=0, body="json"))
        assert made.pull("-o", "cvat_download.overwrite_existing=true")["shapes"] == 3
        plain.close()


def test_a_frame_in_two_jobs_is_one_record_of_the_job_that_was_changed_last(workspace: Workspace) -> None:
    made = make(workspace, workspace.plain, 5, {"overlap": 1})
    first, second = made.jobs()
    assert (first["stop_frame"], second["start_frame"]) == (2, 2)
    made.draw(second, 2, 3, 4)
    made.draw(first, 0, 1, 2)
    made.complete()

    def last_word(job: Json) -> None:
        shared = [frame for frame in made.frames() if frame["frame"] == 2]
        assert [frame["job_id"] for frame in shared] == [job["id"]]
        assert made.width(shared[0]["mask"]) == job["id"] % 7 + 1

    workspace.plain("PATCH", f"/api/jobs/{first['id']}", {"state": "completed"})
    result = made.pull()
    assert (result["jobs"], result["jobs_read"], result["frames"], result["shapes"]) == (2, 2, 5, 5)
    last_word(first)
    for job, frames in ((first, {"0", "1", "2"}), (second, {"2", "3", "4"})):
        content = json.loads((made.folder / "annotations" / f"job_{job['id']}.json").read_bytes())
        assert set(content) == frames
    assert made.pull()["jobs_read"] == 0
    made.draw(second, 2)
    assert made.pull()["jobs_read"] == 1
    last_word(second)
    assert made.pull("-o", "cvat_download.overwrite_existing=true")["frames"] == 5
    last_word(second)
    # Read again for its fault, an older job does not take the frame back.
    (made.folder / "masks" / "f00.png").unlink()
    assert made.pull()["jobs_read"] == 1
    last_word(second)
    workspace.plain("PATCH", f"/api/jobs/{second['id']}", {"state": "in progress"})
    assert (made.pull()["frames"], made.pull()["reopened"]) == (5, 1)
    last_word(second)


def test_a_frame_goes_to_the_finished_one_of_its_two_jobs(workspace: Workspace) -> None:
    made = make(workspace, workspace.plain, 5, {"overlap": 1})
    first, second = made.jobs()
    made.draw(first, 0, 1, 2)
    made.draw(second, 2, 3, 4)
    workspace.set_job(first["id"], state="completed")
    workspace.set_job(second["id"], state="in progress")
    assert made.pull("-o", "cvat_download.required_status=null")["frames"] == 5
    assert made.pull()["frames"] == 3
    assert {frame["job_id"] for frame in made.frames()} == {first["id"]}
    assert {made.width(frame["mask"]) for frame in made.frames()} == {first["id"] % 7 + 1}


def test_a_removed_ground_truth_job_takes_its_files_along(workspace: Workspace) -> None:
    made = with_ground_truth(workspace)
    (truth,) = made.jobs("ground_truth")
    made.draw(truth, 1, 4)
    made.complete()
    made.pull(*APART)
    folder = made.folder / "ground_truth" / f"job_{truth['id']}"
    assert (folder / "frames.json").is_file()
    (folder / "note.txt").write_text("mine", encoding="utf-8")
    assert workspace.plain("DELETE", f"/api/jobs/{truth['id']}").status == 204
    made.pull("-o", "cvat_download.overwrite_existing=true")
    assert [path.name for path in folder.rglob("*")] == ["note.txt"]
    assert len(made.frames()) == 6


def test_who_may_see_jobs_alone_can_pull_them(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the server treats an annotator: her jobs are listed and served, their task and project are refused."""
    made = make(workspace, workspace.plain)
    first, second = made.jobs()
    made.draw(first, 0, 1, 2)
    made.draw(second, 3, 4, 5)
    made.complete()
    names = workspace.plain.names(made.task_id)
    hidden = r"/api/(tasks|projects)/\d+|/api/labels\?.*(task|project)_id"
    workspace.sandbox.add_fault(Fault(hidden, status=403, times=0, body="json"))
    monkeypatch.setattr(_pull_listing, "list_tasks", lambda *_: Listing((), whole=True))
    known = list_jobs

    def own_jobs(*words: Any) -> Listing[JobInfo]:
        listed = known(*words)
        return Listing(tuple(job for job in listed.items if job.id == second["id"]), whole=listed.whole)

    monkeypatch.setattr(_pull_listing, "list_jobs", own_jobs)
    words = ("download-cvat", "--json", "-o", f"cvat_download.task_ids=[{made.task_id}]")
    result = json.loads(workspace.cli(*words).stdout)
    assert (result["jobs"], result["frames"], result["shapes"], result["items"]) == (1, 3, 3, [])
    assert [(frame["frame"], frame["file_name"]) for frame in made.frames()] == [
        (number, names[number]) for number in (3, 4, 5)
    ]
    assert {made.width(frame["mask"]) for frame in made.frames()} == {second["id"] % 7 + 1}
    sent = pictures(6)
    fetched = {path.name: path.read_bytes() for path in (made.folder / "images").iterdir()}
    assert fetched == {name: sent[name] for name in names[3:]}
    assert json.loads(workspace.cli(*words).stdout)["jobs_read"] == 0
