"""Documents as devices, the app and strangers write them."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.captures import CAPTURE_STATUSES, Capture
from agir_cvtoolkit.firebase import (
    capture_from_document,
    capture_to_document,
    from_app_upload,
    labeled_from_document,
    labeled_to_document,
    read_poses,
    with_picture_size,
)
from agir_cvtoolkit.firebase._names import document_key, own_id, picture_key
from agir_cvtoolkit.firebase._values import moment, written_time
from agir_cvtoolkit.firebase.documents import is_offered, mended
from agir_cvtoolkit.firebase.training_documents import trigger_from_document
from agir_cvtoolkit.poses import Keypoint
from agir_cvtoolkit.records import Box

from .samples import NOW, capture, correction

SEED = {
    "id": "pose_uuid",
    "confidence": 0.3,
    "priority": 8,
    "status": "pending",
    "deviceId": "device_uuid",
    "timestamp": "2025-09-11T10:00:00Z",
    "detectedPoses": [],
    "jointGroup": "all",
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4)
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["x", "y", "keypoints", "type", "confidence", "visible", "box", "nose"]), inner
        )
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *SEED,
        "keypoints",
        "coordinates",
        "claimedBy",
        "claimedUntil",
        "imageWidth",
        "imageHeight",
        "reason",
        "image_data",
    ]
)


def read(**fields: Any) -> Capture:
    return capture_from_document("pose_uuid", {**SEED, **fields}, 0.6)


def test_the_seeds_document_is_read() -> None:
    assert read() == Capture(
        "pose_uuid",
        0.3,
        8,
        taken=datetime(2025, 9, 11, 10, tzinfo=UTC),
        device_id="device_uuid",
        timestamp="2025-09-11T10:00:00Z",
    )


def test_a_written_document_has_the_seeds_fields() -> None:
    document = capture_to_document(capture("a"))
    assert document.keys() == SEED.keys()
    assert document["timestamp"] == "2026-03-01T12:00:00.123456Z"
    assert document["detectedPoses"][0]["keypoints"][0] == {
        "type": "nose",
        "x": 10.5,
        "y": 20.25,
        "visible": True,
        "confidence": 0.25,
    }
    json.dumps(document)


@pytest.mark.parametrize(
    ("given_value", "stands"),
    [
        (float("nan"), 0.0),
        (1.7, 1.0),
        (-1, 0.0),
        ("0.25", 0.25),
        (None, 0.0),
        (True, 0.0),
        ([], 0.0),
        (float("inf"), 0.0),
    ],
)
def test_a_wrong_confidence_is_replaced_and_told(given_value: Any, stands: float) -> None:
    found = read(confidence=given_value)
    assert found.confidence == stands
    assert any("confidence" in problem for problem in found.problems)


def test_a_missing_confidence_is_that_of_the_key_points() -> None:
    points = [
        {"type": "nose", "x": 5, "y": 9, "confidence": 0.5},
        {"type": "tail", "x": 5, "y": 9, "confidence": 0.1},
    ]
    assert read(confidence=None, detectedPoses=[{"keypoints": points}]).confidence == 0.5


@pytest.mark.parametrize(
    ("given_value", "stands"),
    [(11, 10), ("8", 8), (0, 1), (-3, 1), (7.9, 7), (None, 6), ("high", 6), (False, 6)],
)
def test_a_wrong_priority_is_replaced_and_told(given_value: Any, stands: int) -> None:
    found = read(priority=given_value)
    assert found.priority == stands
    assert any("priority" in problem for problem in found.problems)


@pytest.mark.parametrize(
    ("status", "stands"), [(None, "pending"), (" Pending", "pending"), ("rejected", "failed"), (7, "failed")]
)
def test_a_wrong_status_is_replaced_and_told(status: Any, stands: str) -> None:
    found = read(status=status)
    assert found.status == stands
    assert any("status" in problem for problem in found.problems)


@pytest.mark.parametrize(
    "value",
    [
        "2025-09-11T10:00:00Z",
        "2025-09-11T12:00:00+02:00",
        "2025-09-11T10:00:00",
        "2025-09-11 10:00:00.000",
        1757584800,
        1757584800.0,
        1757584800000,
        1757584800000000,
        "1757584800",
        {"seconds": 1757584800, "nanos": 0},
        {"_seconds": 1757584800, "_nanoseconds": 0},
        datetime(2025, 9, 11, 10, tzinfo=UTC),
        datetime(2025, 9, 11, 10),
        datetime(2025, 9, 11, 3, tzinfo=timezone(timedelta(hours=-7))),
    ],
    ids=str,
)
def test_times_are_read_in_every_way(value: Any) -> None:
    found = read(timestamp=value)
    assert found.taken == datetime(2025, 9, 11, 10, tzinfo=UTC)
    assert found.problems == ()


@pytest.mark.parametrize("value", ["yesterday", None, -5, True, float("nan"), 1e300, {}, [], "9" * 400])
def test_what_is_no_time_is_told(value: Any) -> None:
    found = read(timestamp=value)
    assert found.taken is None
    assert any("timestamp" in problem for problem in found.problems)


def test_firestores_own_times_are_read() -> None:
    helpers = pytest.importorskip("google.api_core.datetime_helpers")
    value = helpers.DatetimeWithNanoseconds(2025, 9, 11, 10, nanosecond=1000, tzinfo=UTC)
    found = moment(value)
    assert found == datetime(2025, 9, 11, 10, microsecond=1, tzinfo=UTC)
    assert type(found) is datetime


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_written_times_are_read_back(when: datetime) -> None:
    assert moment(written_time(when)) == when


@given(st.dictionaries(FIELDS, ANYTHING), st.floats(0.01, 1.0))
def test_no_document_fails_and_every_capture_can_be_written(
    document: dict[str, Any], threshold: float
) -> None:
    found = capture_from_document("key", document, threshold)
    assert 0 <= found.confidence <= 1
    assert 1 <= found.priority <= 10
    assert found.status in CAPTURE_STATUSES
    assert len(found.problems) < 40
    for pose in found.poses:
        assert all(math.isfinite(point.x) and math.isfinite(point.y) for point in pose.keypoints.values())
    json.dumps({k: v for k, v in capture_to_document(found).items() if k != "claimedUntil"}).encode()
    changed = mended("key", document, threshold, NOW)
    if changed:
        assert is_offered(document | changed)
        assert capture_from_document("key", document | changed, threshold).status == "pending"
    labeled = labeled_from_document("key", document)
    assert labeled_from_document("key", labeled_to_document(labeled)).keypoints == labeled.keypoints
    trigger_from_document("key", document)
    with_picture_size(found, (640, 480))
    from_app_upload("key", document, threshold)


@given(st.text(max_size=30))
def test_every_id_has_one_name_that_firestore_takes(name: str) -> None:
    key = document_key(name)
    assert key not in {"", ".", ".."}
    assert "/" not in key
    assert key.encode("utf-8")
    assert own_id(key, name) == name
    assert document_key(key) == key


def test_a_strangers_id_does_not_rename_a_document() -> None:
    assert capture_from_document("real", SEED | {"id": "other"}, 0.6).capture_id == "real"
    assert capture_from_document(document_key("a/b"), SEED | {"id": "a/b"}, 0.6).capture_id == "a/b"
    assert document_key("a/b") != document_key("a_b")
    assert picture_key("p/{pose_id}.jpg", "../{x}") == f"p/{document_key('../{x}')}.jpg"


@pytest.mark.parametrize(
    "detected",
    [
        [{"keypoints": [{"type": "nose", "x": 4, "y": 8, "confidence": 0.5, "visible": True}]}],
        [{"keypoints": {"nose": {"x": 4, "y": 8, "confidence": 0.5}}}],
        [{"joints": [{"name": "nose", "x": "4", "y": "8", "score": 0.5}]}],
        [[{"joint": "nose", "x": 4, "y": 8, "confidence": 0.5}]],
        [{"type": "nose", "x": 4, "y": 8, "confidence": 0.5}],
        [{"nose": {"x": 4, "y": 8, "confidence": 0.5}}],
        [{"keypoints": {"nose": [4, 8, 0.5]}}],
    ],
)
def test_poses_are_read_in_every_way(detected: list[Any]) -> None:
    poses, problems = read_poses(detected)
    assert problems == ()
    assert poses[0].keypoints == {"nose": Keypoint(4, 8, "visible", 0.5)}


def test_joints_that_were_not_found_are_absent() -> None:
    points = [
        {"type": "a", "x": 0, "y": 0, "visible": False},
        {"type": "b", "x": 3, "y": 4, "visible": False, "confidence": 0.2},
        {"type": "c", "x": 3, "y": 4, "visibility": "absent"},
        {"type": "d", "x": float("nan"), "y": 4},
        {"x": 3, "y": 4},
        {"type": "e", "x": 1e9, "y": 4},
    ]
    poses, problems = read_poses([{"keypoints": points}])
    assert poses[0].keypoints == {"b": Keypoint(3, 4, "occluded", 0.2)}
    assert len(problems) == 3


def test_many_problems_are_told_in_few_words() -> None:
    poses, problems = read_poses([{"keypoints": [{"x": 1, "y": 2}] * 1000}])
    assert len(problems) == 21
    assert "980 more" in problems[-1]
    assert len(poses) == 1


VISION = {
    "keypoints": [
        {"type": "nose", "x": 0.25, "y": 0.75, "confidence": 0.9, "visible": True},
        {"type": "tailTop", "x": 0.5, "y": 0.0, "confidence": 0.1, "visible": False},
    ]
}


def test_visions_coordinates_become_pixels_when_the_size_is_known() -> None:
    found = capture_from_document("a", {"detectedPoses": [VISION], "confidence": 0.4}, 0.6)
    assert found.poses == ()
    assert any("size is not known" in problem for problem in found.problems)
    sized = with_picture_size(found, (400, 200))
    assert sized.poses[0].keypoints["nose"] == Keypoint(100.0, 50.0, "visible", 0.9)
    assert sized.poses[0].keypoints["tailTop"] == Keypoint(200.0, 200.0, "occluded", 0.1)
    assert not any("size is not known" in problem for problem in sized.problems)
    named = capture_from_document(
        "a", {"detectedPoses": [VISION], "imageWidth": 400, "imageHeight": 200}, 0.6
    )
    assert named.poses == sized.poses


def test_a_box_is_turned_with_its_key_points() -> None:
    box = {"x": 0.25, "y": 0.5, "width": 0.5, "height": 0.25}
    poses, _ = read_poses([VISION | {"boundingBox": box}], (400, 200))
    assert poses[0].box == Box(100.0, 50.0, 200.0, 50.0)


def test_pixels_stay_pixels_where_the_document_says_so() -> None:
    poses, problems = read_poses([VISION | {"coordinates": "pixel"}], (400, 200))
    assert poses[0].keypoints["nose"].x == 0.25
    assert problems == ()


def test_what_the_app_uploads_becomes_a_capture_with_its_picture() -> None:
    upload = {
        "model_name": "DogPose",
        "confidence": 0.42,
        "processing_time": 0.031,
        "timestamp": 1757584800.25,
        "keypoints": [{"type": "nose", "x": 120.5, "y": 64.0, "confidence": 0.7, "visible": True}],
        "image_data": base64.b64encode(b"\xff\xd8picture").decode(),
    }
    found = from_app_upload("pose-1", upload, 0.6, device_id="phone")
    assert found.picture == b"\xff\xd8picture"
    assert found.capture == Capture(
        "pose-1",
        0.42,
        4,
        taken=datetime(2025, 9, 11, 10, 0, 0, 250000, tzinfo=UTC),
        device_id="phone",
        poses=found.capture.poses,
        detected=found.capture.detected,
        timestamp="2025-09-11T10:00:00.250000Z",
        problems=found.capture.problems,
    )
    assert found.capture.poses[0].keypoints == {"nose": Keypoint(120.5, 64.0, "visible", 0.7)}
    document = capture_to_document(found.capture)
    assert document["detectedPoses"] == [{"keypoints": upload["keypoints"]}]
    assert "image_data" not in document
    vision = from_app_upload("pose-2", {**upload, **VISION}, 0.6, size=(400, 200))
    assert vision.capture.poses[0].keypoints["nose"] == Keypoint(100.0, 50.0, "visible", 0.9)
    assert from_app_upload("pose-3", {**upload, "image_data": "%%%"}, 0.6).picture is None


def test_a_correction_has_the_seeds_fields() -> None:
    document = labeled_to_document(correction("a"))
    assert document["correctedKeypoints"] == {
        "nose": {"x": 1.0, "y": 2.25, "visible": True},
        "left_eye": {"x": 0.1, "y": 7.0, "visible": False},
    }
    assert document["id"] == "cvat_a_20260301T110000Z"
    assert (document["originalDataId"], document["source"], document["qualityScore"]) == ("a", "cvat", 0.75)
    assert (document["revision"], document["triggerId"], document["used"]) == (1, "", False)
