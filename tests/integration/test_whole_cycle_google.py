"""Three rounds of the device loop on Google's emulator, a storage server and the sandbox: nothing of it is left out.

Only the network is a small one, and how good it is is made up: each model finds more than the one before.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import urllib3

pytest.importorskip("torch")

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.firebase.firestore import FirestoreStore
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.sandbox.pose_oracle import correct_poses
from agir_cvtoolkit.stages import _pose_evaluation as evaluation
from agir_cvtoolkit.stages._evaluation import Judged, card_of
from agir_cvtoolkit.stages.firebase_return import firebase_return
from agir_cvtoolkit.stages.firebase_status import firebase_status
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from agir_cvtoolkit.stages.retrain import retrain
from agir_cvtoolkit.stages.why import why
from agir_cvtoolkit.training.pose_samples import PoseSample
from tests.stages import retraining as world

from .workspace import CREDENTIALS, Workspace

pytestmark = [pytest.mark.integration, pytest.mark.slow]
EACH = 10
"""Captures in a round."""


def submit(store: FirestoreStore, numbers: range) -> None:
    """Play a device that is some pixels off, and has not found the tail."""
    for number in numbers:
        places = [(name, point) for name, point in world.points(number).items() if name != "tail"]
        seen = {name: Keypoint(p.x + 6, p.y - 5, confidence=0.4) for name, p in places}
        taken = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
        capture = Capture(f"worm-{number:03}", 0.25, 6, taken=taken, device_id="phone", poses=(Pose(seen),))
        assert store.create(capture, world.picture(number))


@pytest.fixture
def _ever_better(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[str] = []

    def judge(path: Path, samples: Sequence[PoseSample], device: str, progress: object) -> Judged:
        version = card_of(path).version
        if version not in known:
            known.append(version)
        return world.judged(samples, 0.5 + 0.2 * known.index(version))

    monkeypatch.setattr(evaluation, "judge_pose", judge)
    world.with_small_encoder(monkeypatch.setattr)


@pytest.mark.usefixtures("_ever_better")
def test_three_rounds_from_the_device_to_the_published_model(
    google: Firebase,
    google_store: FirestoreStore,
    empty: Workspace,
    storage_emulator: str,
) -> None:
    call = world.call(
        "firebase.store=firestore",
        f"firebase.project_id={google.project_id}",
        f"firebase.storage_bucket={google.storage_bucket}",
        f"firebase.output_dir={empty.root / 'captures'}",
        f"firebase.retraining_threshold={EACH}",
        "pose_train.seed=1",
    )
    schema = load_schema("worm.yaml")
    versions, curve = [], []
    for number in range(3):
        submit(google_store, range(number * EACH, (number + 1) * EACH))
        sent = firebase_transfer(call)
        assert (sent.transferred, sent.failed, len(sent.tasks)) == (EACH, 0, 1)
        task = max(found["id"] for found in empty.tasks())
        report = correct_poses(
            empty.sandbox.url, CREDENTIALS, task, lambda name: [Pose(world.points(int(name[5:8])))], schema
        )
        assert report.frames == EACH
        back = firebase_return(call, trigger_retraining=True)
        assert (back.new, back.changed, back.completed, back.exit_code) == (EACH, 0, EACH, 0)
        assert back.trigger is not None
        assert (back.trigger.count, back.unreserved) == (EACH, 0)
        made = retrain(call)
        assert (made.state, made.promoted, made.trigger_id) == ("trained", True, back.trigger.trigger_id)
        assert made.trained + made.tested == EACH * (number + 1)
        published = google_store.current_model()
        assert published is not None
        assert published.version == made.version
        key = urllib.parse.quote(published.files["pth"], safe="")
        url = f"{storage_emulator}/storage/v1/b/{google.storage_bucket}/o/{key}?alt=media"
        assert sha256(urllib3.request("GET", url).data).hexdigest() == published.sha256["pth"]
        versions.append(made.version)
        curve.append(published.metrics["test_pck_05"])
    assert len(set(versions)) == 3
    assert curve == sorted(set(curve))
    worst = max(
        abs(pose.keypoints[name].x - point.x)
        for pose in google_store.all_labeled()
        for name, point in world.points(int(pose.capture_id[5:8])).items()
    )
    assert worst < 3  # people set it right; the device was six pixels off

    found = firebase_status(call)
    assert found.store is not None
    assert found.store.captures.by_status == {"completed": 3 * EACH}
    assert (found.store.corrections_since_training, found.store.open_triggers) == (0, ())
    assert found.cvat is not None
    assert found.cvat.jobs == {"completed": 3}
    assert retrain(call).state == "nothing"
    told = [event.kind for event in why("worm-003", call).events]
    assert {"predicted", "transferred"} < set(told)
    assert told[-1] == "returned"
