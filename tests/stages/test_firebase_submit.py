"""``firebase submit`` plays a device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import DataError, NoRunError, UsageError
from agir_cvtoolkit.poses import read_poses
from agir_cvtoolkit.runs import open_run
from agir_cvtoolkit.stages.firebase_submit import firebase_submit
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from tests.stages.capture_queue import Queue, jpeg


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return Queue(tmp_path)


def points(*confidences: float) -> list[dict[str, object]]:
    return [{"type": f"{side}_eye", "x": 10, "y": 12, "confidence": c} for side, c in zip(("left", "right"), confidences, strict=False)]  # fmt: skip # noqa: E501


def photos(queue: Queue, entries: dict[str, object]) -> Path:
    folder = queue.root / "photos"
    folder.mkdir()
    for number, name in enumerate(entries):
        (folder / f"{name}.jpg").write_bytes(jpeg(number))
    (queue.root / "poses.json").write_text(json.dumps(entries))
    return folder


def test_only_what_is_below_the_threshold_is_sent_with_its_priority(queue: Queue) -> None:
    entries: dict[str, object] = {
        "unsure": {"keypoints": points(0.4, 0.32)},
        "very-unsure": {"keypoints": points(0.1, 0.2)},
        "sure": {"keypoints": points(0.9, 0.8)},
        "at": {"keypoints": points(0.6, 0.6)},
        "told": {"keypoints": points(0.9), "confidence": 0.05, "timestamp": 1_700_000_000, "deviceId": "own"},
    }
    folder = photos(queue, entries)
    (folder / "unknown.jpg").write_bytes(jpeg(9))
    (folder / "broken.jpg").write_bytes(b"")
    known = json.loads((queue.root / "poses.json").read_text()) | {"broken": {"keypoints": points(0.1)}}
    (queue.root / "poses.json").write_text(json.dumps(known))
    result = firebase_submit(queue.call(), pictures=folder, poses=queue.root / "poses.json", device="phone-7")
    assert sorted(result.captures) == ["told", "unsure", "very-unsure"]
    assert (result.sure, result.failed, result.there, result.exit_code) == (2, 2, 0, 1)
    found = queue.store.get(result.captures)
    assert found["unsure"].confidence == pytest.approx(0.36)
    assert [found[i].priority for i in ("unsure", "very-unsure", "told")] == [5, 10, 10]
    assert (found["unsure"].device_id, found["told"].device_id) == ("phone-7", "own")
    assert found["told"].taken is not None
    assert found["told"].taken.year == 2023
    again = firebase_submit(queue.call(), pictures=folder, poses=queue.root / "poses.json")
    assert (again.submitted, again.there) == (0, 3)
    assert firebase_transfer(queue.call()).transferred == 3


def test_coordinates_of_vision_become_pixels_of_the_picture(queue: Queue) -> None:
    entry = {
        "keypoints": [{"type": "nose", "x": 0.25, "y": 0.75, "confidence": 0.4}],
        "coordinates": "vision",
    }
    folder = photos(queue, {"a": entry})
    firebase_submit(queue.call(), pictures=folder, poses=queue.root / "poses.json")
    firebase_transfer(queue.call())
    _, (pose,) = read_poses(open_run(queue.root / "runs").path("poses", "a.json"))
    assert (pose.at("nose").x, pose.at("nose").y) == (16, 12)


def test_files_beside_the_pictures_and_options_of_all(queue: Queue) -> None:
    folder = photos(queue, {"a": None, "b": None, "c": None})
    for number, name in enumerate("abc"):
        (folder / f"{name}.json").write_text(json.dumps({"keypoints": points(0.5 - number / 10)}))
    result = firebase_submit(
        queue.call(), pictures=folder, priority=9, limit=2, threshold=0.55, joint_group="head"
    )
    assert sorted(result.captures) == ["b", "c"]
    found = queue.store.get(result.captures)
    assert {(c.priority, c.joint_group) for c in found.values()} == {(9, "head")}


def test_the_poses_of_a_run_are_sent(queue: Queue) -> None:
    queue.fill(2)
    run = firebase_transfer(queue.call())
    for capture_id in run.captures:
        queue.store.forget(capture_id)
    result = firebase_submit(queue.call("firebase.upload_threshold=0.95"))
    assert sorted(result.captures) == sorted(run.captures)
    (pose,) = queue.store.get(result.captures)["pose-0000"].poses
    assert set(pose.there) == {"nose", "tail_base"}


def test_a_dry_run_sends_nothing(queue: Queue) -> None:
    folder = photos(queue, {"a": {"keypoints": points(0.4)}})
    result = firebase_submit(queue.call(dry_run=True), pictures=folder, poses=queue.root / "poses.json")
    assert result.captures == ("a",)
    assert queue.statuses() == {}


def test_what_is_not_there_is_said(queue: Queue) -> None:
    (queue.root / "empty").mkdir()
    with pytest.raises(UsageError, match="no pictures"):
        firebase_submit(queue.call(), pictures=queue.root / "empty")
    with pytest.raises(NoRunError):
        firebase_submit(queue.call())
    with pytest.raises(UsageError, match="--priority"):
        firebase_submit(queue.call(), priority=11)
    folder = photos(queue, {"a": {}})
    (queue.root / "poses.json").write_text("[1]")
    with pytest.raises(DataError, match="names no picture"):
        firebase_submit(queue.call(), pictures=folder, poses=queue.root / "poses.json")
    (folder / "a.png").write_bytes(jpeg())
    with pytest.raises(UsageError, match="one capture"):
        firebase_submit(queue.call(), pictures=folder)
