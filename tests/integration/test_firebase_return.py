"""``firebase return`` straight from CVAT: finished jobs, partial batches, second opinions, exports, and the watch."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.captures import Capture, LabeledPose
from agir_cvtoolkit.errors import NotFoundError, RemoteError, UsageError
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.sandbox import Fault
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._return_cvat import Looks
from agir_cvtoolkit.stages.firebase_return import ReturnResult, ReturnStep, firebase_return
from tests.sandbox.plain import picture

from .held import held
from .workspace import Workspace

pytestmark = pytest.mark.integration
Json = dict[str, Any]
JOINTS = load_schema("dog24").joints
VISIBILITY = {
    "name": "visibility",
    "mutable": True,
    "input_type": "select",
    "default_value": "visible",
    "values": ["visible", "occluded", "absent"],
}
OVERRIDES = ("firebase.store=embedded", "firebase.output_dir=.", "firebase.retraining_threshold=3")


class Kennel:
    """A project with a label for each joint, a task of six pictures in jobs of two, and captures in a store."""

    def __init__(self, workspace: Workspace, name: str = "DataDogs Pose Estimation") -> None:
        self.workspace = workspace
        self.plain = workspace.plain
        labels = [{"name": joint, "type": "points", "attributes": [VISIBILITY]} for joint in JOINTS]
        self.project = workspace.project(*labels, name=name)
        self.labels = {joint: self.plain.labels(self.project)[joint]["id"] for joint in JOINTS}
        self.task_id = self.task([f"p{n}" for n in range(6)])
        store = self.store()
        for n in range(6):
            store.create(Capture(f"p{n}", 0.3, 8, taken=datetime.now(UTC)), b"")
        store.close()

    def task(self, stems: list[str], **spec: Any) -> int:
        files = {f"{stem}.png": picture(n, (200, 150)) for n, stem in enumerate(stems)}
        spec = {"segment_size": 2, **spec}
        return int(self.plain.task(files, project_id=self.project, spec=spec)["id"])

    def jobs(self, kind: str = "annotation") -> list[Json]:
        return [job for job in self.workspace.jobs(self.task_id) if job["type"] == kind]

    def draw(self, job: Json, frames: Mapping[int, float]) -> None:
        """Leave a dog that begins at the given x on each frame, in place of what is there."""
        shapes = [
            {
                "type": "points",
                "frame": frame,
                "label_id": self.labels[joint],
                "points": [left + n, 10 + 4 * n],
                "source": "manual",
                "attributes": [],
            }
            for frame, left in frames.items()
            for n, joint in enumerate(JOINTS)
        ]
        content = {"version": 0, "tags": [], "shapes": shapes, "tracks": []}
        got = self.plain("PUT", f"/api/jobs/{job['id']}/annotations", content)
        assert got.status == 200, got.data

    def complete(self, job: Json) -> None:
        self.workspace.set_job(job["id"], state="completed")

    def store(self) -> EmbeddedStore:
        return EmbeddedStore(self.workspace.root / "outputs" / "firebase")

    def labeled(self) -> dict[str, LabeledPose]:
        store = self.store()
        found = {pose.capture_id: pose for pose in store.all_labeled() if pose.keypoints}
        store.close()
        return found

    def statuses(self) -> dict[str, str]:
        store = self.store()
        found: dict[str, str] = {
            key: capture.status for key, capture in store.get([f"p{n}" for n in range(6)]).items()
        }
        store.close()
        return found

    def bring(self, **options: Any) -> ReturnResult:
        return firebase_return(Call(overrides=OVERRIDES), **options)


@pytest.fixture
def kennel(empty: Workspace) -> Kennel:
    return Kennel(empty)


def test_only_finished_jobs_come_back_and_partial_batches_count(kennel: Kennel) -> None:
    first, second, third = kennel.jobs()
    kennel.draw(first, {0: 5, 1: 6})
    kennel.draw(second, {2: 7, 3: 8})
    kennel.complete(first)
    result = kennel.bring(task_ids=[kennel.task_id], trigger_retraining=True)
    assert (result.jobs, result.waiting, result.animals, result.new, result.completed) == (1, 2, 2, 2, 2)
    assert (result.trigger, result.unreserved) == (None, 2)
    created = datetime.fromisoformat(kennel.workspace.task(kennel.task_id)["created_date"])
    stamp = created.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    found = kennel.labeled()
    assert {key: pose.document_id for key, pose in found.items()} == {
        n: f"cvat_{n}_{stamp}" for n in ("p0", "p1")
    }
    assert found["p0"].keypoints["nose"].x == 5
    assert found["p0"].size == (200, 150)
    kennel.complete(second)
    kennel.draw(third, {5: 9})
    kennel.complete(third)
    result = kennel.bring(project_id=kennel.project, trigger_retraining=True)
    assert (result.new, result.same, result.completed) == (3, 2, 4)
    assert result.trigger is not None
    assert result.trigger.count == 5
    # Nobody drew anything on p4, and its job is done: there is no animal on it.
    assert set(kennel.statuses().values()) == {"completed"}
    assert set(kennel.labeled()) == {"p0", "p1", "p2", "p3", "p5"}
    assert result.exit_code == 0


def test_the_own_project_is_found_by_its_name(kennel: Kennel) -> None:
    kennel.draw(kennel.jobs()[0], {0: 5})
    kennel.complete(kennel.jobs()[0])
    assert kennel.bring().new == 1
    path = f"/api/projects/{kennel.project}"
    assert kennel.plain("PATCH", path, {"name": "else"}).status == 200
    with pytest.raises(UsageError, match="no project called 'DataDogs Pose Estimation'"):
        kennel.bring()
    # Who watches began before the first transfer made the project.
    look = ReturnStep(Call(overrides=OVERRIDES))
    assert (look().worked, look().frames) == (False, 0)
    assert kennel.plain("PATCH", path, {"name": "DataDogs Pose Estimation"}).status == 200
    assert look().same == 1


def test_a_task_that_is_not_there(kennel: Kennel) -> None:
    with pytest.raises(NotFoundError, match="999999"):
        kennel.bring(task_ids=[999_999])


def test_an_export_of_the_server_says_the_same(kennel: Kennel) -> None:
    for job in kennel.jobs():
        kennel.draw(job, {frame: 5 + frame / 3 for frame in range(job["start_frame"], job["stop_frame"] + 1)})
        kennel.complete(job)
    assert kennel.bring(task_ids=[kennel.task_id]).new == 6
    targets = [f"tasks/{kennel.task_id}", f"jobs/{kennel.jobs()[1]['id']}", f"projects/{kennel.project}"]
    for target, pictures in zip(targets, (6, 2, 6), strict=True):
        path = _export(kennel, target)
        result = kennel.bring(annotations=path)
        assert (result.frames, result.same, result.new, result.changed, result.items) == (
            pictures,
            pictures,
            0,
            0,
            (),
        ), target


def _export(kennel: Kennel, target: str) -> Path:
    begun = kennel.plain(
        "POST", f"/api/{target}/dataset/export?format=CVAT%20for%20images%201.1&save_images=false"
    )
    assert begun.status == 202, begun.data
    done = kennel.plain.wait(begun.json["rq_id"])
    path = kennel.workspace.root / f"{target.replace('/', '_')}.zip"
    path.write_bytes(kennel.plain("GET", done["result_url"].removeprefix(kennel.plain.url)).data)
    return path


def test_what_somebody_took_out_is_withdrawn(kennel: Kennel) -> None:
    (job, *_) = kennel.jobs()
    kennel.draw(job, {0: 5, 1: 6})
    kennel.complete(job)
    kennel.bring(task_ids=[kennel.task_id])
    kennel.draw(job, {0: 5})
    result = kennel.bring(task_ids=[kennel.task_id])
    assert (result.withdrawn, result.changed, result.same) == (1, 1, 1)
    assert set(kennel.labeled()) == {"p0"}


def test_gold_frames_and_other_tasks_are_second_opinions(kennel: Kennel) -> None:
    chosen = {"task_id": kennel.task_id, "frame_selection_method": "manual", "frames": [0, 1]}
    got = kennel.plain("POST", "/api/jobs", {"type": "ground_truth", **chosen})
    assert got.status == 201, got.data
    (job, *_) = kennel.jobs()
    (gold,) = kennel.jobs("ground_truth")
    kennel.draw(job, {0: 5, 1: 5})
    kennel.draw(gold, {0: 5, 1: 25})
    kennel.complete(job)
    kennel.complete(gold)
    kennel.bring(task_ids=[kennel.task_id])
    found = kennel.labeled()
    assert found["p0"].quality == 1.0
    assert found["p1"].quality is not None
    assert found["p1"].quality < 0.95
    assert found["p1"].keypoints["nose"].x == 5


def test_one_job_that_cannot_be_read_does_not_stop_the_others(kennel: Kennel) -> None:
    first, second, _ = kennel.jobs()
    for job, frame in ((first, 0), (second, 2)):
        kennel.draw(job, {frame: 5})
        kennel.complete(job)
    broken = Fault(path=f"/api/jobs/{first['id']}/annotations", action="status", status=500, times=100)
    kennel.workspace.sandbox.faults.replace((broken,))
    looks = Looks()
    result = kennel.bring(task_ids=[kennel.task_id], looks=looks)
    assert (result.new, result.exit_code) == (1, 1)
    assert f"job {first['id']}" in result.items[0].record_id
    assert set(looks.seen) == {second["id"]}
    kennel.workspace.sandbox.faults.replace(())
    assert kennel.bring(task_ids=[kennel.task_id], looks=looks).new == 1


def test_a_look_without_work_reads_no_corrections(kennel: Kennel, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: EmbeddedStore) -> None:
        raise AssertionError

    monkeypatch.setattr(EmbeddedStore, "all_labeled", read)
    assert ReturnStep(Call(overrides=OVERRIDES))().frames == 0


def test_a_watch_reads_each_change_once(kennel: Kennel) -> None:
    look = ReturnStep(Call(overrides=OVERRIDES), trigger_retraining=True)
    first, second, _ = kennel.jobs()
    assert not look().worked
    kennel.draw(first, {0: 5, 1: 5})
    kennel.complete(first)
    assert look().new == 2
    result = look()
    assert (result.jobs, result.unchanged, result.worked) == (0, 1, False)
    kennel.draw(first, {0: 6, 1: 5})
    kennel.draw(second, {2: 5})
    kennel.complete(second)
    result = look()
    assert (result.jobs, result.new, result.changed, result.completed) == (2, 1, 1, 2)
    assert result.trigger is not None
    assert result.trigger.count == 3


def test_a_watch_logs_in_once_and_again_after_a_failure(kennel: Kennel) -> None:
    sandbox = kennel.workspace.sandbox

    def logins() -> int:
        return sum("/auth/login" in seen.target for seen in sandbox.requests())

    look = ReturnStep(Call(overrides=OVERRIDES))
    sandbox.forget_requests()
    for _ in range(3):
        look()
    assert logins() == 1
    sandbox.faults.replace((Fault(path="/api/projects", action="status", status=403),))
    with pytest.raises(RemoteError):
        look()
    sandbox.faults.replace(())
    look()
    assert logins() == 2


def test_the_command_line_says_what_it_did(kennel: Kennel) -> None:
    kennel.draw(kennel.jobs()[0], {0: 5})
    kennel.complete(kennel.jobs()[0])
    options = [word for override in OVERRIDES for word in ("-o", override)]
    words = ["firebase", "return", "--task-id", str(kennel.task_id), "--trigger-retraining", *options]
    rehearsed = kennel.workspace.cli(*words, "--dry-run")
    assert "1 new" in rehearsed.stdout
    assert kennel.labeled() == {}
    done = kennel.workspace.cli(*words)
    assert "1 finished job" in done.stdout
    assert "no retraining yet: 1 correction of 3 wait" in done.stdout
    told = json.loads(kennel.workspace.cli(*words, "--json").stdout)
    assert (told["same"], told["new"], told["unreserved"]) == (1, 0, 1)
    kennel.workspace.cli("firebase", "return", "--annotations", "none.xml", *options, code=2)
    kennel.workspace.cli(*words, "--watch", "--dry-run", code=2)


def test_the_watching_command_stops_when_it_is_told_to(kennel: Kennel) -> None:
    options = [word for override in (*OVERRIDES, "firebase.poll_s=0.1") for word in ("-o", override)]
    process = kennel.workspace.start("firebase", "return", "--watch", *options)
    try:
        kennel.draw(kennel.jobs()[0], {0: 5, 1: 5})
        kennel.complete(kennel.jobs()[0])
        assert process.stdout is not None
        assert any("2 new" in line for line in process.stdout)
        assert len(kennel.labeled()) == 2
        os.kill(process.pid, signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=300)
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, stderr
    assert "Stopped after" in stdout


def test_killed_while_it_reads_from_the_server(kennel: Kennel) -> None:
    for job in kennel.jobs():
        kennel.draw(job, dict.fromkeys(range(job["start_frame"], job["stop_frame"] + 1), 5))
        kennel.complete(job)
    path = f"/api/jobs/{kennel.jobs()[2]['id']}/annotations"
    options = [word for override in OVERRIDES for word in ("-o", override)]
    words = ("firebase", "return", "--project-id", str(kennel.project), "--trigger-retraining", *options)
    # The second time, the frames are returned; before, they tell what is usual.
    with held(kennel.workspace.sandbox, path, nth=2) as request:
        process = kennel.workspace.start(*words)
        request.wait(process)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert kennel.labeled() == {}
    result = kennel.bring(project_id=kennel.project, trigger_retraining=True)
    assert result.exit_code == 0
    assert set(kennel.statuses().values()) == {"completed"}
    store = kennel.store()
    assert [trigger.count for trigger in store.triggers()] == [6]
    assert len(list(store.all_labeled())) == 6
    store.close()
