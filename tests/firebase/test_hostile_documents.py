"""What Firestore itself refuses must not come out of what devices sent."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from agir_cvtoolkit.firebase import capture_to_document, from_app_upload
from agir_cvtoolkit.firebase.firestore import FirestoreStore
from agir_cvtoolkit.poses import Keypoint

from .emulators import raw
from .samples import capture, correction

pytestmark = pytest.mark.integration
DEEP: Any = {"x": 1}
for _ in range(40):
    DEEP = {"keypoints": [DEEP]}


@pytest.mark.parametrize(
    "detected",
    [
        ({"keypoints": {"": {"x": 1, "y": 2}}},),
        ({"keypoints": {"__name__": {"x": 1, "y": 2}}},),
        ({"keypoints": {"nose": [4, 8, 0.5]}},),
        ([[[1, 2], [3, 4]]],),
        ({"huge": 10**30},),
        ({"half": "\ud800"},),
        ({"half\ud800": 1},),
        (float("nan"), float("inf"), None, True),
        (DEEP,),
    ],
    ids=range(9),
)
def test_whatever_was_detected_can_be_written(
    google_store: FirestoreStore, detected: tuple[Any, ...]
) -> None:
    assert google_store.create(capture("a", detected=detected), None)
    found = google_store.get(["a"])["a"]
    assert google_store.create(capture("b", detected=found.detected), None)
    assert google_store.get(["b"])["b"].poses == found.poses


def test_joints_of_any_name_can_be_corrected(google_store: FirestoreStore) -> None:
    names = ["a.b", "`", "ä", "*", "left eye/2", ""]
    sent = correction("a", keypoints={name: Keypoint(1.0, 2.0) for name in names})
    google_store.write_labeled([sent])
    assert google_store.labeled(["a"])["a"][0].keypoints == {name: Keypoint(1, 2) for name in names if name}
    assert google_store.write_labeled([sent]).same == (sent.document_id,)


def test_googles_own_types_are_read(google_store: FirestoreStore) -> None:
    from google.cloud.firestore import SERVER_TIMESTAMP, GeoPoint

    collection = raw(google_store, "uncertain_poses")
    other = {
        "priority": 3,
        "confidence": 0.3,
        "deviceId": collection.document("x"),
        "detectedPoses": [GeoPoint(1, 2)],
    }
    collection.document("a").set(other | {"status": "pending", "timestamp": SERVER_TIMESTAMP})
    (found,) = google_store.pending(1, 5)
    assert found.taken is not None
    assert found.device_id == ""
    assert found.poses == ()


def test_written_captures_fit_the_published_schema() -> None:
    schema = json.loads(files("agir_cvtoolkit.firebase").joinpath("capture.schema.json").read_text("utf-8"))
    jsonschema.validate(capture_to_document(capture("a")), schema)
    upload = {
        "confidence": 0.4,
        "timestamp": 1757584800.5,
        "keypoints": [{"type": "nose", "x": 1.5, "y": 2.0, "confidence": 0.4, "visible": True}],
    }
    jsonschema.validate(capture_to_document(from_app_upload("b", upload, 0.6, device_id="d").capture), schema)
