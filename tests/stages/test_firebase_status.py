"""``firebase status``: reads what can be read, says what cannot, changes nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agir_cvtoolkit.captures import Capture, LabeledPose, PublishedModel
from agir_cvtoolkit.credentials import Credentials
from agir_cvtoolkit.cvat import CvatSession, NewLabel, create_project
from agir_cvtoolkit.cvat.tasks import TaskRequest, create_task
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.poses import Keypoint
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.firebase_status import firebase_status

NOW = datetime.now(UTC)
EMBEDDED = ("firebase.store=embedded", "firebase.embedded_dir=store")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("CVAT_", "GOOGLE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    store = EmbeddedStore(tmp_path / "store")
    for number in range(6):
        taken = NOW - timedelta(hours=number * 20)
        capture = Capture(f"c{number}", 0.2, 4 + number % 2, taken=taken, device_id=f"phone{number % 2}")
        store.create(capture, b"picture")
    return store


def _corrections(store: EmbeddedStore, first: int, last: int) -> None:
    store.write_labeled(
        [LabeledPose(f"cvat_c{n}_t", f"c{n}", {"nose": Keypoint(n, 2)}, 0.9, NOW) for n in range(first, last)]
    )


def _call(*more: str) -> Call:
    return Call(overrides=(*EMBEDDED, *more))


def test_captures_are_counted_by_status_priority_age_and_device(store: EmbeddedStore) -> None:
    first = store.pending(1, 1)[0]
    store.claim(first, "me", NOW - timedelta(minutes=1))
    result = firebase_status(_call())
    assert result.store is not None
    captures = result.store.captures
    assert captures.by_status == {"pending": 5, "in_progress": 1}
    assert sum(captures.pending_by_priority.values()) == 5
    assert captures.by_device == {"phone0": 3, "phone1": 3}
    assert captures.expired == 1
    assert captures.pending_by_age == {"under an hour": 1, "under a day": 1, "under a week": 3, "older": 0}
    assert result.store.oldest_waiting_s is not None
    assert 60 * 3600 < result.store.oldest_waiting_s < 101 * 3600
    assert store.get(["c0"])["c0"].status == "pending"


def test_corrections_since_the_training_are_those_of_open_triggers_and_those_of_none(
    store: EmbeddedStore,
) -> None:
    _corrections(store, 0, 4)
    trigger = store.reserve_trigger(3, NOW)
    assert trigger is not None
    _corrections(store, 4, 6)
    first = firebase_status(_call("firebase.retraining_threshold=3")).store
    assert first is not None
    assert (first.corrections_since_training, first.unreserved, first.until_next_trigger) == (6, 2, 1)
    assert [(t.trigger_id, t.status) for t in first.open_triggers] == [(trigger.trigger_id, "pending")]
    claimed = store.claim_trigger("me", NOW, NOW + timedelta(hours=1))
    assert claimed is not None
    store.finish_trigger(claimed, {f"cvat_c{n}_t": 1 for n in range(4)}, "model1", NOW)
    after = firebase_status(_call("firebase.retraining_threshold=3")).store
    assert after is not None
    assert (after.corrections_since_training, after.open_triggers) == (2, ())
    assert after.last_trigger is not None
    assert after.last_trigger.model == "model1"


def test_the_published_model_is_told_with_its_figures(store: EmbeddedStore, tmp_path: Path) -> None:
    (tmp_path / "best.pth").write_bytes(b"weights")
    model = PublishedModel("v1", "dog24", NOW, metrics={"pck@0.05": 0.5})
    store.publish(model, {"pth": tmp_path / "best.pth"})
    result = firebase_status(_call()).store
    assert result is not None
    assert result.model is not None
    assert (result.model.version, result.model.metrics["pck@0.05"]) == ("v1", 0.5)


def test_the_newest_pose_model_of_the_ledger_is_told(store: EmbeddedStore) -> None:
    settings = _call().settings()
    with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
        ledger.record_model("old", "a.pth", "heatmap", None, {"kind": "pose"})
        ledger.record_model("plants", "b.pth", "unet", None, {"kind": "segmentation"})
        ledger.promote("old")
    found = firebase_status(_call()).model
    assert found is not None
    assert (found.version, found.is_champion) == ("old", True)


def test_tasks_and_jobs_of_the_project_are_counted(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(SandboxOptions(root=tmp_path / "sandbox")) as sandbox:
        session = CvatSession.open(Credentials(sandbox.url, "admin", "admin123"))
        monkeypatch.setenv("CVAT_URL", sandbox.url)
        monkeypatch.setenv("CVAT_USERNAME", "admin")
        monkeypatch.setenv("CVAT_PASSWORD", "admin123")
        before = firebase_status(_call()).cvat
        assert before is not None
        assert before.project_id is None
        label = NewLabel("nose", type="points")
        project = create_project(session, "DataDogs Pose Estimation", [label])
        create_project(session, "DataDogs Pose Estimation, old", [label])
        task = create_task(session, TaskRequest("round 1", project.id))
        after = firebase_status(_call()).cvat
    assert after is not None
    assert (after.project_id, after.project) == (project.id, "DataDogs Pose Estimation")
    assert [(t.task_id, t.name) for t in after.tasks] == [(task.id, "round 1")]
    assert sum(after.jobs.values()) == sum(after.tasks[0].jobs.values())


def test_a_side_that_is_down_is_named_and_the_other_shown(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVAT_URL", NOWHERE)
    monkeypatch.setenv("CVAT_USERNAME", "ann")
    monkeypatch.setenv("CVAT_PASSWORD", "hunter2")
    result = firebase_status(_call())
    assert result.store is not None
    assert result.cvat is None
    (unread,) = result.unread
    assert (unread.side, unread.configured) == ("cvat", True)
    assert NOWHERE.removeprefix("http://") in unread.problem
    assert "hunter2" not in str(result)
    assert result.exit_code == 1


def test_a_side_that_nobody_configured_is_no_failure(store: EmbeddedStore) -> None:
    result = firebase_status(_call())
    assert [(unread.side, unread.configured) for unread in result.unread] == [("cvat", False)]
    assert result.exit_code == 0


def test_nothing_to_be_read_is_a_failure_of_the_remote_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVAT_URL", NOWHERE)
    monkeypatch.setenv("CVAT_USERNAME", "ann")
    monkeypatch.setenv("CVAT_PASSWORD", "hunter2")
    result = firebase_status(_call())
    assert {unread.side for unread in result.unread} == {"store", "cvat"}
    assert result.exit_code == 3
    assert not (tmp_path / "store").exists()


def test_nothing_configured_is_a_wrong_call() -> None:
    assert firebase_status(_call()).exit_code == 2
