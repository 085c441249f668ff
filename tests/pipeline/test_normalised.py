"""Documents in the form of the app of today, as captures."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from PIL import Image

from agir_cvtoolkit.firebase import capture_from_document
from agir_cvtoolkit.firebase.normalised import normalised

from .sent_by_devices import CAPTURE, UPLOAD
from .test_capture_schema import schema

__all__ = ["schema"]

MADE = datetime(2025, 9, 11, 9, tzinfo=UTC)
KEYPOINTS = [
    {"type": "nose", "x": 0.25, "y": 0.75, "confidence": 0.4, "visible": True},
    {"type": "left_eye", "x": 0.5, "y": 0.5, "confidence": 0.2, "visible": False},
]


def jpeg(width: int = 40, height: int = 20) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 120, 60)).save(buffer, "JPEG")
    return buffer.getvalue()


def upload(**more: Any) -> dict[str, Any]:
    return UPLOAD | {"keypoints": KEYPOINTS} | more


def test_an_upload_becomes_a_capture_that_the_schema_knows(schema: Any) -> None:
    picture = jpeg()
    change = normalised("pose-1", upload(image_data=base64.b64encode(picture).decode()), 0.6, MADE)
    assert change.picture == picture
    assert set(change.removed) == {"image_data", "keypoints"}
    jsonschema.validate(dict(change.fields), schema)
    assert change.fields["status"] == "pending"
    assert change.fields["priority"] == 5
    assert change.fields["deviceId"] == "device-1"
    assert change.fields["timestamp"] == "2025-09-11T08:30:00.250000Z"
    capture = capture_from_document("pose-1", change.fields, 0.6)
    assert capture.problems == ()
    nose = capture.poses[0].at("nose")
    assert (nose.x, nose.y, nose.confidence) == (10.0, 5.0, 0.4)  # origin at the top left


def test_vision_coordinates_stay_where_no_picture_says_how_large_it_is() -> None:
    change = normalised("pose-1", upload(), 0.6, MADE)
    assert change.picture is None
    sent = change.fields["detectedPoses"][0]["keypoints"][0]
    assert (sent["x"], sent["y"]) == (0.25, 0.75)


def test_an_upright_picture_is_what_counts() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(buffer, "JPEG", exif=exif)
    change = normalised("p", upload(image_data=base64.b64encode(buffer.getvalue()).decode()), 0.6, MADE)
    nose = capture_from_document("p", change.fields, 0.6).poses[0].at("nose")
    assert (nose.x, nose.y) == (5.0, 10.0)


def test_a_picture_that_is_no_base64_fails_with_a_reason() -> None:
    change = normalised("pose-1", upload(image_data="%%%"), 0.6, MADE)
    assert (change.fields["status"], change.picture) == ("failed", None)
    assert "base64" in change.fields["reason"]
    assert "image_data" in change.removed


def test_a_missing_time_is_that_of_the_document() -> None:
    document = {key: value for key, value in upload().items() if key != "timestamp"}
    assert normalised("p", document, 0.6, MADE).fields["timestamp"].startswith("2025-09-11T09:00:00")


@pytest.mark.parametrize("status", ["in_progress", "completed", "failed", "other"])
def test_what_somebody_has_is_left_alone(status: str) -> None:
    assert not normalised("p", upload(status=status), 0.6, MADE)


def test_a_capture_is_left_alone() -> None:
    assert not normalised("pose-1", CAPTURE, 0.6, MADE)


def test_what_was_done_once_is_not_done_again() -> None:
    change = normalised("pose-1", upload(image_data=base64.b64encode(jpeg()).decode()), 0.6, MADE)
    after = {key: value for key, value in upload().items() if key not in change.removed} | dict(change.fields)
    assert not normalised("pose-1", after, 0.6, MADE)


def test_a_document_without_status_gets_what_a_queue_needs() -> None:
    document = {key: value for key, value in CAPTURE.items() if key not in {"status", "priority"}}
    change = normalised("pose-1", document, 0.6, MADE)
    assert dict(change.fields) == {"status": "pending", "priority": 6}
