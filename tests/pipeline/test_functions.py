"""The Cloud Functions as functions-framework serves them, called with events, against Google's emulator."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3

from agir_cvtoolkit.captures import LabeledPose
from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.firebase import CaptureStore, open_store
from agir_cvtoolkit.poses import Keypoint
from tests.firebase.emulators import running_storage
from tests.ports import free_port

from .cloud_events import body, deliver, headers
from .folder import SOURCE
from .ruled_emulator import OWNER, PROJECT, Ruled, ruled_emulator
from .sent_by_devices import CAPTURE, DEVICE, UPLOAD
from .test_normalised import KEYPOINTS, jpeg

pytestmark = pytest.mark.integration

MAIN = SOURCE / "functions" / "main.py"
BUCKET = "demo-rules.appspot.com"
NOW = datetime(2025, 9, 11, 8, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Cloud:
    """Google's emulator with the rules, the storage, and both functions."""

    firestore: Ruled
    store: CaptureStore
    bucket: Any
    functions: dict[str, str]

    def happen(
        self, function: str, kind: str, path: str, fields: dict[str, Any] | None, event_id: str = ""
    ) -> int:
        """Deliver the event of a write to a function."""
        return deliver(self.functions[function], headers(kind, path, PROJECT, event_id), body(fields))

    def document(self, path: str) -> dict[str, Any]:
        url = f"{self.firestore.documents}/{path}"
        answer = self.firestore.http.request("GET", url, headers={"Authorization": f"Bearer {OWNER}"})
        assert answer.status == 200
        return dict(answer.json()["fields"])


@contextmanager
def served(target: str, environment: dict[str, str], log: Path) -> Iterator[str]:
    """Serve a function as Google's runtime does; yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "functions_framework", "--source", str(MAIN), "--target", target]
    command += ["--signature-type", "cloudevent", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    url = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib3.request("GET", url, timeout=60, retries=False)
                break
            except urllib3.exceptions.HTTPError:
                time.sleep(0.1)
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def _cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    root = tmp_path_factory.mktemp("functions")
    patch = pytest.MonkeyPatch()
    with (
        ruled_emulator(SOURCE / "firestore.rules", root / "emulator.log") as firestore,
        running_storage() as url,
    ):
        patch.setenv("FIRESTORE_EMULATOR_HOST", firestore.host)
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        bucket = storage.Client(project=PROJECT, credentials=AnonymousCredentials()).create_bucket(BUCKET)
        environment = dict(os.environ) | {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "STORAGE_BUCKET": BUCKET,
            "RETRAINING_THRESHOLD": "10",
        }
        names = ("reserve_retraining", "normalise_capture")
        with (
            served(names[0], environment, root / "reserve.log") as reserve,
            served(names[1], environment, root / "normalise.log") as normalise,
        ):
            store = open_store(Firebase(project_id=PROJECT, storage_bucket=BUCKET))
            yield Cloud(firestore, store, bucket, dict(zip(names, (reserve, normalise), strict=True)))
            store.close()
    patch.undo()


@pytest.fixture
def cloud(_cloud: Cloud) -> Cloud:
    _cloud.firestore.clear()
    for blob in _cloud.bucket.list_blobs():
        blob.delete()
    return _cloud


def corrections(count: int, start: int = 0) -> list[LabeledPose]:
    return [
        LabeledPose(f"cvat_p{n}_20250911T083000Z", f"p{n}", {"nose": Keypoint(n, 1.0)}, 0.9, NOW)
        for n in range(start, start + count)
    ]


def test_below_the_threshold_there_is_no_trigger(cloud: Cloud) -> None:
    cloud.store.write_labeled(corrections(9))
    assert cloud.happen("reserve_retraining", "written", "labeled_data/cvat_p8_x", {"source": "cvat"}) == 200
    assert cloud.store.triggers() == []


def test_many_events_at_one_moment_make_one_trigger_of_all_corrections(cloud: Cloud) -> None:
    cloud.store.write_labeled(corrections(25))
    statuses: list[int] = []

    def happen(number: int) -> None:
        path = f"labeled_data/cvat_p{number}_20250911T083000Z"
        statuses.append(
            cloud.happen("reserve_retraining", "written", path, {"source": "cvat"}, f"event-{number}")
        )

    threads = [threading.Thread(target=happen, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    (trigger,) = cloud.store.triggers()
    assert (trigger.count, trigger.threshold, trigger.status) == (25, 10, "pending")
    document = cloud.document(f"retraining_triggers/{trigger.trigger_id}")
    assert document["type"] == {"stringValue": "cvat_batch_upload"}
    assert document["labeled_data_count"] == {"integerValue": "25"}
    assert document["trigger_threshold"] == {"integerValue": "10"}
    assert "timestamp" in document


def test_an_event_that_comes_again_makes_nothing_new(cloud: Cloud) -> None:
    cloud.store.write_labeled(corrections(10))
    for _ in range(2):
        assert (
            cloud.happen("reserve_retraining", "written", "labeled_data/x", {"source": "cvat"}, "same") == 200
        )
    assert len(cloud.store.triggers()) == 1
    cloud.store.write_labeled(corrections(10, start=10))
    assert cloud.happen("reserve_retraining", "written", "labeled_data/y", {"source": "cvat"}) == 200
    assert [trigger.count for trigger in cloud.store.triggers()] == [10, 10]


def test_the_command_and_the_function_share_one_count(cloud: Cloud) -> None:
    cloud.store.write_labeled(corrections(12))
    assert cloud.store.reserve_trigger(10, NOW) is not None
    assert cloud.happen("reserve_retraining", "written", "labeled_data/x", {"source": "cvat"}) == 200
    assert len(cloud.store.triggers()) == 1


def test_a_deleted_correction_is_no_error(cloud: Cloud) -> None:
    assert cloud.happen("reserve_retraining", "written", "labeled_data/x", None) == 200


def test_what_a_device_uploads_as_the_app_does_becomes_a_capture(cloud: Cloud) -> None:
    """Through the rules, as the device: then the event, then the queue offers it, then its picture is there."""
    picture = jpeg()
    document = UPLOAD | {"keypoints": KEYPOINTS, "image_data": base64.b64encode(picture).decode()}
    assert cloud.firestore.create("uncertain_poses/pose-1", document, DEVICE) == 200
    assert cloud.store.pending(1, 10) == []
    for _ in range(2):
        assert cloud.happen("normalise_capture", "created", "uncertain_poses/pose-1", document) == 200
    (capture,) = cloud.store.pending(1, 10)
    assert (capture.capture_id, capture.priority, capture.status) == ("pose-1", 5, "pending")
    assert (capture.device_id, capture.confidence, capture.problems) == (DEVICE, 0.31, ())
    nose = capture.poses[0].at("nose")
    assert (nose.x, nose.y) == (10.0, 5.0)
    assert cloud.store.picture("pose-1", 1_000_000) == picture
    assert not {"image_data", "keypoints"} & set(cloud.document("uncertain_poses/pose-1"))
    assert cloud.document("uncertain_poses/pose-1")["model_name"] == {"stringValue": "DogPose"}


def test_a_capture_stays_as_it_is(cloud: Cloud) -> None:
    assert cloud.firestore.create("uncertain_poses/pose-1", CAPTURE, DEVICE) == 200
    before = cloud.document("uncertain_poses/pose-1")
    assert cloud.happen("normalise_capture", "created", "uncertain_poses/pose-1", CAPTURE) == 200
    assert cloud.document("uncertain_poses/pose-1") == before


def test_a_document_that_is_gone_is_no_error(cloud: Cloud) -> None:
    assert cloud.happen("normalise_capture", "created", "uncertain_poses/gone", CAPTURE) == 200


def test_a_function_that_fails_says_so_and_the_event_comes_again(cloud: Cloud) -> None:
    """A bucket that is not there: Eventarc must hear of it (not 2xx), and the document must stay as it was."""
    document = UPLOAD | {"keypoints": KEYPOINTS, "image_data": base64.b64encode(jpeg()).decode()}
    assert cloud.firestore.create("uncertain_poses/pose-1", document, DEVICE) == 200
    cloud.bucket.delete(force=True)
    try:
        assert cloud.happen("normalise_capture", "created", "uncertain_poses/pose-1", document) >= 500
        assert "image_data" in cloud.document("uncertain_poses/pose-1")
    finally:
        cloud.bucket.create()
    assert cloud.happen("normalise_capture", "created", "uncertain_poses/pose-1", document) == 200
    assert "image_data" not in cloud.document("uncertain_poses/pose-1")
