"""Retraining from Firestore and Cloud Storage, on Google's emulator and a storage server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import urllib3

pytest.importorskip("torch")

from agir_cvtoolkit import Call
from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.firebase.firestore import FirestoreStore
from agir_cvtoolkit.stages import _pose_evaluation as evaluation
from agir_cvtoolkit.stages.retrain import retrain
from agir_cvtoolkit.training import pose_training
from tests.stages import retraining as world

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def call(group: Firebase, *more: str) -> Call:
    own = (
        "firebase.store=firestore",
        f"firebase.project_id={group.project_id}",
        f"firebase.storage_bucket={group.storage_bucket}",
        "firebase.lease_s=3",
    )
    return world.call(*own, *more)


def test_a_trigger_trains_once_and_publishes_to_the_bucket(
    google: Firebase,
    google_store: FirestoreStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    storage_emulator: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluation, "judge_pose", world.judged_half)
    store = google_store
    world.correct(store, range(8), picture_of={3: b"no picture", 4: None})
    world.trigger(store)

    def diverged(*args: object, **more: object) -> None:
        raise DataError("the training diverged", "Lower the rate.")

    with monkeypatch.context() as broken:
        broken.setattr(pose_training, "train_pose", diverged)
        with pytest.raises(DataError):
            retrain(call(google))
    (waiting,) = store.triggers()
    assert (waiting.status, waiting.reason, waiting.attempts) == ("pending", "the training diverged", 1)

    result = retrain(call(google))
    assert (result.state, result.promoted, result.trained + result.tested) == ("trained", True, 6)
    assert len(result.items) == 2
    (done,) = store.triggers()
    assert (done.status, done.model, done.attempts) == ("completed", result.version, 2)
    assert all(pose.used for pose in store.all_labeled())
    model = store.current_model()
    assert model is not None
    assert (model.version, model.trigger_id) == (result.version, done.trigger_id)
    at = f"{storage_emulator}/storage/v1/b/{google.storage_bucket}/o/{model.files['card'].replace('/', '%2F')}?alt=media"
    card = json.loads(urllib3.request("GET", at).data)
    assert (card["version"], card["kind"]) == (result.version, "pose")
    assert retrain(call(google)).state == "nothing"

    # Another machine compares with what lies in the bucket, and does not replace it unseen.
    world.correct(store, range(8, 12))
    world.trigger(store)
    other = retrain(call(google, "io.out_root=elsewhere/runs"))
    assert other.verdict is not None
    assert not other.promoted
    assert store.current_model() == model
