"""Captures to CVAT with the device's key points, corrected there, and back: both commands on one server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.firebase import CaptureStore, EmbeddedStore
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.firebase_return import firebase_return
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from tests.sandbox.plain import picture
from tests.stages.returning import SIZE, dog, export, image

from .workspace import Workspace

pytestmark = pytest.mark.integration
JOINTS = load_schema("dog24").joints
OPTIONS = ("firebase.store=embedded", "firebase.retraining_threshold=3")
IDS = ("plain", "with space & ü", "a/../b", "x" * 200)


def _pose(left: float) -> Pose:
    return Pose({joint: Keypoint(left + n, 10.0 + 4 * n, "visible", 0.9) for n, joint in enumerate(JOINTS)})


def _submit(store: CaptureStore) -> None:
    now = datetime.now(UTC)
    for number, capture_id in enumerate(IDS):
        poses = (_pose(5.0 + number), _pose(120.0)) if number == 1 else (_pose(5.0 + number),)
        capture = Capture(capture_id, 0.2, 7, taken=now, poses=poses)
        store.create(capture, picture(number, (200, 150), "JPEG"))


@pytest.mark.parametrize("style", ["points", "skeleton"])
def test_every_capture_comes_back_under_its_own_id(empty: Workspace, style: str) -> None:
    store = EmbeddedStore(empty.root / "outputs" / "firebase")
    _submit(store)
    overrides = (*OPTIONS, f"firebase.pose.style={style}")
    sent = firebase_transfer(Call(overrides=overrides), output_dir=empty.root / "captures", create_task=True)
    assert sent.transferred == len(IDS)
    folder = empty.root / "captures"
    assert firebase_return(Call(overrides=overrides), output_dir=folder).jobs == 0
    for task in empty.tasks():
        empty.complete(task["id"])
    result = firebase_return(Call(overrides=overrides), output_dir=folder, trigger_retraining=True)
    assert result.items == ()
    assert (result.matched, result.animals, result.new, result.completed) == (4, 5, 5, 4)
    assert result.trigger is not None
    found: dict[str, list[Any]] = {}
    for pose in store.all_labeled():
        found.setdefault(pose.capture_id, []).append(pose)
    assert set(found) == set(IDS)
    for number, capture_id in enumerate(IDS):
        for pose, left in zip(found[capture_id], (5.0 + number, 120.0), strict=False):
            assert set(pose.keypoints) == set(JOINTS)
            for n, joint in enumerate(JOINTS):
                point = pose.keypoints[joint]
                assert (point.x, point.y, point.visibility) == (left + n, 10.0 + 4 * n, "visible")
    assert {capture.status for capture in store.get(IDS).values()} == {"completed"}
    store.close()


@pytest.fixture
def on_google(
    google: Firebase, google_store: CaptureStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Call:
    """A call whose store is Google's emulator."""
    monkeypatch.chdir(tmp_path)
    call = Call()
    group = google.model_copy(update={"output_dir": ".", "retraining_threshold": 3})
    call._composed.append(Call().settings().model_copy(update={"firebase": group}))
    return call


def test_an_export_into_firestore(on_google: Call, google_store: CaptureStore, tmp_path: Path) -> None:
    _submit(google_store)
    images = [
        image(0, "plain.jpg", dog(10)),
        image(1, "with space & ü.jpg", dog(10, group=1) + dog(300, group=2)),
    ]
    path = tmp_path / "annotations.xml"
    path.write_text(export([*images, image(2, "stranger.jpg", dog(10))]), encoding="utf-8")
    first = firebase_return(on_google, annotations=path, trigger_retraining=True)
    assert (first.new, first.completed, first.exit_code) == (3, 2, 1)
    assert first.trigger is not None
    assert (first.trigger.count, first.unreserved) == (3, 0)
    again = firebase_return(on_google, annotations=path, trigger_retraining=True)
    assert (again.new, again.changed, again.same, again.completed, again.trigger) == (0, 0, 3, 0, None)
    path.write_text(export([image(0, "plain.jpg", dog(11))]), encoding="utf-8")
    moved = firebase_return(on_google, annotations=path, trigger_retraining=True)
    assert (moved.changed, moved.unreserved) == (1, 1)
    (pose,) = google_store.labeled(["plain"])["plain"]
    assert (pose.revision, pose.keypoints["nose"].x, pose.size) == (2, 11, SIZE)
    assert len(google_store.triggers()) == 1
