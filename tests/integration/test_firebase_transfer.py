"""Captures into CVAT by ``firebase transfer``, and one of them out again by ``forget``."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agir_cvtoolkit.cvat.pose_labels import pose_labels
from agir_cvtoolkit.errors import LabelError, UsageError
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.poses import Keypoint, Pose, read_poses
from agir_cvtoolkit.runs import list_runs, open_run
from agir_cvtoolkit.stages import Call, _transfer_publish, _transferring
from agir_cvtoolkit.stages.download_cvat import download_cvat
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from agir_cvtoolkit.stages.forget import forget
from agir_cvtoolkit.stages.undo import undo
from agir_cvtoolkit.stages.upload_cvat import upload_cvat
from tests.stages.capture_queue import Queue, capture, jpeg
from tests.stages.test_firebase_transfer_faults import in_child

from .workspace import Workspace

pytestmark = pytest.mark.integration
OUT_ROOT = Path("outputs/runs")


@pytest.fixture
def queue(empty: Workspace) -> Queue:
    found = Queue(empty.root)
    for number in range(4):
        found.store.create(capture(number, confidence=0.5 - number / 10), jpeg(number, (160, 120)))
    return found


def call(queue: Queue) -> Call:
    """Return a call with the workspace's own runs and keys."""
    return Call(overrides=queue.overrides()[:3])


def tasks(workspace: Workspace) -> list[dict[str, object]]:
    found: list[dict[str, object]] = workspace.plain("GET", "/api/tasks?page_size=100").json["results"]
    return found


def frames(workspace: Workspace, task_id: object) -> dict[str, object]:
    found: dict[str, object] = workspace.plain("GET", f"/api/tasks/{task_id}/data/meta").json
    return found


def names(workspace: Workspace, task_id: object) -> list[str]:
    listed = frames(workspace, task_id)["frames"]
    assert isinstance(listed, list)
    return [frame["name"] for frame in listed]


def test_a_task_is_made_with_the_worst_first_and_the_key_points_of_the_device(
    empty: Workspace, queue: Queue
) -> None:
    result = firebase_transfer(call(queue), dataset_name="Batch1")
    (task,) = tasks(empty)
    assert result.tasks == (f"{empty.sandbox.url}/tasks/{task['id']}",)
    assert str(task["name"]).startswith("Batch1")
    project = empty.plain("GET", f"/api/projects/{task['project_id']}").json
    assert project["name"] == "DataDogs Pose Estimation"
    assert names(empty, task["id"]) == [f"pose-{n:04}.jpg" for n in (3, 2, 1, 0)]
    shapes = empty.plain("GET", f"/api/tasks/{task['id']}/annotations").json["shapes"]
    labels = {l["id"]: l["name"] for l in empty.plain("GET", f"/api/labels?task_id={task['id']}&page_size=100").json["results"]}  # fmt: skip # noqa: E501, E741
    placed = {(s["frame"], labels[s["label_id"]]): s["points"] for s in shapes if not s.get("outside")}
    assert placed[0, "nose"] == [10, 12]
    # The device's tail is less sure than a joint must be.
    visible = {v["value"] for s in shapes if labels[s["label_id"]] == "tail_base" for v in s["attributes"]}
    assert "visible" not in visible
    assert queue.statuses() == {"in_progress": 4}


def test_killed_before_and_after_the_push_it_is_one_task_all_the_same(empty: Workspace, queue: Queue) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def before() -> None:
        _transfer_publish._pushed = die  # type: ignore[assignment]
        firebase_transfer(call(queue), dataset_name="Batch1")

    def after() -> None:
        _transfer_publish._finish = die
        firebase_transfer(call(queue), dataset_name="Batch1")

    for work in (before, after):
        assert in_child(work) == signal.SIGKILL
        assert queue.statuses() == {"in_progress": 4}
    result = firebase_transfer(call(queue), dataset_name="Another")
    assert (result.transferred, result.resumed) == (4, 4)
    (task,) = tasks(empty)
    assert task["size"] == 4
    store = queue.store
    assert {c.claimed_by for c in store.get(result.captures).values()} == {None}


def test_transfers_at_one_time_share_a_name_and_no_capture(empty: Workspace, queue: Queue) -> None:
    children = []
    # None begins before the last is there: what is forked while the server works has copies of the locks that it holds.
    begin, begun = os.pipe()
    for _ in range(2):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(begun)
                os.read(begin, 1)
                status = firebase_transfer(call(queue), dataset_name="Batch1", limit=2).exit_code
            finally:
                os._exit(status)
        children.append(child)
    os.close(begun)
    os.close(begin)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    found = [name for task in tasks(empty) for name in names(empty, task["id"])]
    assert sorted(found) == [f"pose-{number:04}.jpg" for number in range(4)]
    assert queue.statuses() == {"in_progress": 4}


def test_what_another_took_after_the_push_is_not_in_cvat_twice(empty: Workspace, queue: Queue) -> None:
    def work() -> None:
        _transfer_publish._finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        firebase_transfer(call(queue), dataset_name="Batch1")

    assert in_child(work) == signal.SIGKILL
    store = queue.store
    store.release_expired(datetime.now(UTC) + timedelta(hours=1))
    free = store.get(["pose-0001"])["pose-0001"]
    assert store.claim(free, "another machine", datetime.now(UTC) + timedelta(hours=1)) is not None
    result = firebase_transfer(call(queue))
    assert sorted(result.captures) == ["pose-0000", "pose-0002", "pose-0003"]
    (task,) = tasks(empty)
    assert frames(empty, task["id"])["deleted_frames"] == [2]
    assert not (queue.folder / "pose-0001.jpg").exists()


def test_what_another_took_during_the_push_is_not_in_cvat_twice(
    empty: Workspace, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that slept for longer than its lease, or a clock elsewhere that goes fast."""
    push = _transfer_publish._push

    def overtaken(*given: object) -> None:
        push(*given)  # type: ignore[arg-type]
        store = queue.store
        free = store.release(store.get(["pose-0001"])["pose-0001"])
        assert free is not None
        assert store.claim(free, "another machine", datetime.now(UTC) + timedelta(hours=1)) is not None

    monkeypatch.setattr(_transfer_publish, "_push", overtaken)
    result = firebase_transfer(call(queue), dataset_name="Batch1")
    assert sorted(result.captures) == ["pose-0000", "pose-0002", "pose-0003"]
    assert [(item.record_id, item.outcome) for item in result.items] == [("pose-0001", "lost")]
    (task,) = tasks(empty)
    assert frames(empty, task["id"])["deleted_frames"] == [2]
    assert not (queue.folder / "pose-0001.jpg").exists()


def test_a_photograph_sent_again_with_another_pose_fails_and_names_the_first(
    empty: Workspace, queue: Queue
) -> None:
    other = Pose({"nose": Keypoint(90, 80, confidence=0.9)})
    again = capture(9, confidence=0.45, poses=(other,), capture_id="pose/again")
    queue.store.create(again, jpeg(3, (160, 120)))
    result = firebase_transfer(call(queue), dataset_name="Batch1")
    assert (result.transferred, result.failed) == (4, 1)
    (item,) = [item for item in result.items if item.outcome == "failed"]
    assert item.record_id == "pose/again"
    assert item.reason == "its picture is that of capture 'pose-0003', which is being corrected"
    found = queue.store.get(["pose/again", "pose-0003"])
    assert (found["pose/again"].status, found["pose/again"].reason) == ("failed", item.reason)
    assert found["pose-0003"].status == "in_progress"
    (task,) = tasks(empty)
    assert names(empty, task["id"]) == [f"pose-{n:04}.jpg" for n in (3, 2, 1, 0)]
    assert not (queue.folder / f"{again.stem}.jpg").exists()


def test_where_nothing_waits_nobody_logs_in(empty: Workspace, queue: Queue) -> None:
    assert firebase_transfer(call(queue)).transferred == 4
    empty.sandbox.forget_requests()
    assert firebase_transfer(call(queue)).transferred == 0
    assert list(empty.sandbox.requests()) == []


def test_a_forgotten_capture_is_out_of_its_task(empty: Workspace, queue: Queue) -> None:
    firebase_transfer(call(queue), dataset_name="Batch1")
    (task,) = tasks(empty)
    before = empty.plain("GET", f"/api/tasks/{task['id']}/annotations").json["shapes"]
    result = forget("pose-0002", call(queue))
    assert frames(empty, task["id"])["deleted_frames"] == [1]
    after = empty.plain("GET", f"/api/tasks/{task['id']}/annotations").json["shapes"]
    assert [s["id"] for s in after] == [s["id"] for s in before if s["frame"] != 1]
    (left,) = result.left
    assert "the picture itself" in left
    assert result.exit_code == 1
    with Ledger.open(None, OUT_ROOT) as ledger:
        assert ledger.frames_of_record("pose-0002") == []
        assert len(ledger.frames_of_record("pose-0001")) == 1
    assert len(open_run(OUT_ROOT).read_manifest()) == 3
    for number in (0, 1):
        forget(f"pose-{number:04}", call(queue))
    last = forget("pose-0003", call(queue))
    assert tasks(empty) == []
    assert last.left == ()


def the_push(workspace: Workspace) -> str:
    with Ledger.open(None, OUT_ROOT) as ledger:
        ((push_id, _, _),) = ledger.pushes()
    return push_id


def test_captures_of_an_undone_push_wait_again_and_go_into_the_next_task(
    empty: Workspace, queue: Queue
) -> None:
    assert firebase_transfer(call(queue), dataset_name="Batch1").transferred == 4
    first, store, now = open_run(OUT_ROOT), queue.store, datetime.now(UTC)
    push = the_push(empty)
    store.complete(["pose-0003"], now)
    planned = undo(push, replace(call(queue), dry_run=True))
    assert sorted(planned.captures) == ["pose-0000", "pose-0001", "pose-0002"]
    assert queue.statuses() == {"completed": 1, "in_progress": 3}

    def work() -> None:
        Ledger.undo_task = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        undo(push, call(queue))

    assert in_child(work) == signal.SIGKILL
    assert tasks(empty) == []
    theirs = store.claim(store.get(["pose-0000"])["pose-0000"], "another machine", now)
    assert theirs is not None
    assert store.transferred(theirs, now) is not None
    again = undo(push, call(queue))
    assert [task.outcome for task in again.tasks] == ["gone"]
    assert (again.exit_code, again.captures) == (0, ())
    assert undo(push, call(queue)).tasks == ()
    assert queue.statuses() == {"completed": 1, "in_progress": 1, "pending": 2}
    waiting = store.get(["pose-0001", "pose-0002"]).values()
    assert {(c.claimed_by, c.claimed_until, c.transferred_by) for c in waiting} == {(None, None, None)}
    assert [path.name for path in queue.folder.glob("*.jpg")] == ["pose-0003.jpg"]
    assert [entry.record_id for entry in first.read_manifest()] == ["pose-0003"]
    assert not list(first.path("images").glob("pose-000[012]*"))
    second = firebase_transfer(call(queue), dataset_name="Batch2")
    assert (second.transferred, second.resumed) == (2, 0)
    (task,) = tasks(empty)
    assert names(empty, task["id"]) == ["pose-0002.jpg", "pose-0001.jpg"]


def test_captures_of_a_task_in_work_stay_and_so_they_do_where_that_is_wanted(
    empty: Workspace, queue: Queue
) -> None:
    for number in (1, 2):
        firebase_transfer(call(queue), dataset_name="Batch", limit=2, priority=number)
    touched = tasks(empty)[0]
    (job,) = empty.plain("GET", f"/api/jobs?task_id={touched['id']}").json["results"]
    assert empty.plain("PATCH", f"/api/jobs/{job['id']}", {"state": "in progress"}).status == 200
    kept = undo("Batch", call(queue), keep_captures=True)
    assert sorted(task.outcome for task in kept.tasks) == ["deleted", "left"]
    assert (kept.captures, kept.place) == ((), None)
    assert queue.statuses() == {"in_progress": 4}


def test_what_was_pushed_by_hand_can_be_pushed_by_hand_again(empty: Workspace, queue: Queue) -> None:
    assert firebase_transfer(call(queue), create_task=False).transferred == 4
    for _ in range(2):
        pushed = upload_cvat(call(queue))
        assert pushed.added == 4
        result = undo(the_push(empty), call(queue))
        assert (result.captures, queue.statuses()) == ((), {"in_progress": 4})


def test_captures_of_another_store_are_told_before_a_task_is_deleted(empty: Workspace, queue: Queue) -> None:
    firebase_transfer(call(queue))
    other = Call(overrides=(*call(queue).overrides, f"firebase.embedded_dir={empty.root / 'other'}"))
    with pytest.raises(UsageError, match="the configured store is") as failure:
        undo(the_push(empty), other)
    assert "--keep-captures" in failure.value.next_step
    assert len(tasks(empty)) == 1


def test_while_cvat_is_away_its_frame_is_not_forgotten(empty: Workspace, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip # noqa: E501
    firebase_transfer(call(queue), dataset_name="Batch1")
    with monkeypatch.context() as away:
        away.setenv("CVAT_URL", "http://127.0.0.1:9")
        result = forget("pose-0002", call(queue))
        assert "until the same command is run again" in " ".join(result.left)
    again = forget("pose-0002", call(queue))
    assert any("frame 1" in line for line in again.removed)


def test_a_wrong_password_is_said_before_anything_is_taken(empty: Workspace, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip # noqa: E501
    from agir_cvtoolkit.errors import AuthenticationError

    monkeypatch.setenv("CVAT_USERNAME", "admin")
    monkeypatch.setenv("CVAT_PASSWORD", "wrong")
    with pytest.raises(AuthenticationError):
        firebase_transfer(call(queue))
    assert queue.statuses() == {"pending": 4}


def test_a_schema_of_the_user_goes_with_the_run_to_cvat_and_home(empty: Workspace, queue: Queue) -> None:
    """Once the transfer has said which joints there are, nobody has to say it again, and the file may go."""
    schema = empty.root / "mouse.yaml"
    schema.write_text("label: mouse\njoints: [nose, tail_base]\naliases: {tailBase: tail_base}\n", "utf-8")
    labels = [label.as_request() for label in pose_labels(load_schema(str(schema)))]
    made = empty.plain.project(labels)
    home = Call(overrides=(*queue.overrides()[:3], f"cvat_upload.project_id={made['id']}"))
    first = Call(overrides=(*home.overrides, f"firebase.pose.joints={schema}"))
    assert firebase_transfer(first, create_task=False).transferred == 4
    schema.unlink()
    pushed = upload_cvat(home)
    assert (pushed.uploaded_annotations, pushed.exit_code) == (4, 0)
    (task,) = tasks(empty)
    (job,) = empty.plain("GET", f"/api/jobs?task_id={task['id']}").json["results"]
    assert empty.plain("PATCH", f"/api/jobs/{job['id']}", {"state": "completed"}).status == 200
    pulled = download_cvat(Call(overrides=(*home.overrides, "cvat_download.required_status=completed")))
    assert pulled.exit_code == 0
    found = [*OUT_ROOT.glob("transfer-*/cvat_downloads/*/poses/*.json")]
    assert len(found) == 4
    assert {read_poses(path)[0] for path in found} == {"mouse"}


@pytest.mark.parametrize("begun_with", ["packaged", "own"])
def test_an_interrupted_run_goes_on_as_it_was_begun_whatever_is_configured_since(
    empty: Workspace, queue: Queue, begun_with: str
) -> None:
    """Joints, style, least confidence and project: half of the run may be in CVAT already."""
    schema = empty.root / "mouse.yaml"
    schema.write_text("label: mouse\njoints: [nose, tail_base]\naliases: {tailBase: tail_base}\n", "utf-8")
    joints = str(schema) if begun_with == "own" else "dog24"
    begun = (f"firebase.pose.joints={joints}", "firebase.pose.style=points", "firebase.cvat_project=First")

    def work() -> None:
        _transfer_publish._pushed = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        firebase_transfer(Call(overrides=(*call(queue).overrides, *begun)))

    assert in_child(work) == signal.SIGKILL
    schema.write_text("label: bee\njoints: [wing, sting]\n", "utf-8")
    for pose in queue.folder.iterdir():
        pose.unlink()  # so that poses are written anew
    today = ("firebase.pose.joints=vision25", "firebase.pose.style=skeleton", "firebase.cvat_project=Second")
    queue.store.create(capture(9, 9), jpeg(9, (160, 120)))
    result = firebase_transfer(
        Call(overrides=(*call(queue).overrides, *today, "firebase.min_confidence=0.1")), limit=4
    )
    assert (result.transferred, result.resumed, result.exit_code) == (4, 4, 0)
    (task,) = tasks(empty)
    assert empty.plain("GET", f"/api/projects/{task['project_id']}").json["name"] == "First"
    found = empty.plain("GET", f"/api/labels?task_id={task['id']}&page_size=100").json["results"]
    assert {label["type"] for label in found} == {"points"}
    known = load_schema("dog24").joints if begun_with == "packaged" else ("nose", "tail_base")
    assert [label["name"] for label in found] == list(known)
    shapes = empty.plain("GET", f"/api/tasks/{task['id']}/annotations").json["shapes"]
    tail = next(label["id"] for label in found if label["name"] == "tail_base")
    visible = {v["value"] for s in shapes if s["label_id"] == tail for v in s["attributes"]}
    assert "visible" not in visible
    # What comes after it is today's.
    assert firebase_transfer(Call(overrides=(*call(queue).overrides, *today))).transferred == 1
    assert len(tasks(empty)) == 2


def test_labels_that_do_not_take_the_poses_hold_up_nobody(empty: Workspace, queue: Queue) -> None:
    """They are told before any capture is taken; in the middle of it everything goes back."""
    assert firebase_transfer(call(queue), limit=1).transferred == 1
    other = Call(overrides=(*call(queue).overrides, "firebase.pose.joints=dog5"))
    for _ in range(2):
        with pytest.raises(LabelError, match="hindlegs"):
            firebase_transfer(other, limit=2)
    assert queue.statuses() == {"in_progress": 1, "pending": 3}
    assert len(list_runs(OUT_ROOT)) == 1

    with pytest.MonkeyPatch.context() as late:
        late.setattr(_transferring.Transfer, "_check_cvat", lambda self: None)
        with pytest.raises(LabelError):
            firebase_transfer(other, limit=2)
    assert queue.statuses() == {"in_progress": 1, "pending": 3}
    done = firebase_transfer(call(queue))
    assert (done.transferred, queue.statuses()) == (3, {"in_progress": 4})
    assert sum(len(names(empty, task["id"])) for task in tasks(empty)) == 4
