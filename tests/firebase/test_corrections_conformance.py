"""What every store does, whichever it is: corrections, triggers and models."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agir_cvtoolkit.captures import PublishedModel, Trigger
from agir_cvtoolkit.firebase import CaptureStore
from agir_cvtoolkit.poses import ABSENT, Keypoint

from .conftest import Stranger
from .emulators import in_threads
from .samples import HOUR, NOW, correction, corrections

pytestmark = pytest.mark.integration
LABELED = "labeled_data"


def claimed(store: CaptureStore, owner: str = "gpu") -> Trigger:
    found = store.claim_trigger(owner, NOW, NOW + HOUR)
    assert found is not None
    return found


def test_a_correction_comes_back_as_it_was_written(store: CaptureStore) -> None:
    sent = correction("a")
    written = store.write_labeled([sent])
    assert (written.new, written.changed, written.same) == ((sent.document_id,), (), ())
    assert store.labeled(["a", "b"]) == {"a": (sent,)}
    assert list(store.all_labeled()) == [sent]


def test_an_absent_joint_is_not_written(store: CaptureStore) -> None:
    sent = correction("a", keypoints={"nose": Keypoint(1, 2), "tail_tip": ABSENT})
    store.write_labeled([sent])
    assert store.labeled(["a"])["a"][0].keypoints == {"nose": Keypoint(1, 2)}
    assert store.write_labeled([replace(sent, keypoints={"nose": Keypoint(1, 2)})]).same == (
        sent.document_id,
    )


def test_written_again_a_correction_counts_only_when_key_points_changed(store: CaptureStore) -> None:
    first, second = correction("a"), correction("b")
    store.write_labeled([first, second])
    again = store.write_labeled([replace(first, quality=0.1, made=NOW + HOUR, used=True, revision=7), second])
    assert (again.new, again.changed) == ((), ())
    assert set(again.same) == {first.document_id, second.document_id}
    assert store.labeled(["a"])["a"] == (first,)

    moved = replace(first, keypoints={**first.keypoints, "nose": Keypoint(1.5, 2.25)}, made=NOW + HOUR)
    again = store.write_labeled([moved, second, correction("c")])
    assert again.changed == (first.document_id,)
    assert again.new == (correction("c").document_id,)
    assert again.same == (second.document_id,)
    assert store.labeled(["a"])["a"] == (replace(moved, revision=2),)
    hidden = replace(moved, keypoints={**moved.keypoints, "nose": Keypoint(1.5, 2.25, "occluded")})
    assert store.write_labeled([hidden]).changed == (first.document_id,)
    assert store.labeled(["a"])["a"][0].revision == 3


def test_many_corrections_are_written_and_read(store: CaptureStore) -> None:
    many = corrections(702)
    assert len(store.write_labeled(many).new) == 702
    assert len(store.write_labeled(many).same) == 702
    assert [pose.document_id for pose in store.all_labeled()] == sorted(pose.document_id for pose in many)
    assert len(store.labeled([pose.capture_id for pose in many[:100]])) == 100
    trigger = store.reserve_trigger(10, NOW)
    assert trigger is not None
    assert trigger.count == 702
    assert {pose.trigger_id for pose in store.all_labeled()} == {trigger.trigger_id}
    done = store.finish_trigger(claimed(store), {pose.document_id: 1 for pose in many}, "m", NOW)
    assert done is not None
    assert all(pose.used for pose in store.all_labeled())


def test_writers_of_the_same_corrections_count_them_once(store: CaptureStore) -> None:
    new: Counter[str] = Counter()
    guard = threading.Lock()

    def write(worker: int) -> None:
        written = store.write_labeled(corrections(60))
        with guard:
            new.update(written.new)

    in_threads(4, write)
    assert set(new.values()) == {1}
    assert len(new) == 60
    assert {pose.revision for pose in store.all_labeled()} == {1}


def test_a_trigger_reserves_all_corrections_from_the_threshold_on(store: CaptureStore) -> None:
    store.write_labeled(corrections(9))
    assert store.unreserved() == 9
    assert store.reserve_trigger(10, NOW) is None
    assert store.triggers() == []
    store.write_labeled(corrections(25))
    made = store.reserve_trigger(10, NOW)
    assert made is not None
    assert (made.count, made.threshold, made.status, made.made) == (25, 10, "pending", NOW)
    assert store.unreserved() == 0
    assert store.reserve_trigger(1, NOW) is None
    assert store.triggers() == [made]


def test_of_callers_at_the_same_moment_one_makes_the_trigger(store: CaptureStore) -> None:
    made: list[Trigger] = []
    start = threading.Barrier(6)

    def work(worker: int) -> None:
        start.wait()
        if worker < 4:
            found = store.reserve_trigger(10, NOW + timedelta(seconds=worker))
            if found is not None:
                made.append(found)
        else:
            first = 25 * (worker - 3)
            store.write_labeled(corrections(25, first))

    store.write_labeled(corrections(25))
    in_threads(6, work)
    last = store.reserve_trigger(1, NOW + HOUR)
    made += [last] if last is not None else []
    assert {trigger.trigger_id for trigger in made} == {trigger.trigger_id for trigger in store.triggers()}
    reserved = Counter(pose.trigger_id for pose in store.all_labeled())
    assert reserved == Counter({trigger.trigger_id: trigger.count for trigger in made})
    assert sum(reserved.values()) == 75


def test_a_trigger_is_claimed_oldest_first_and_by_one(store: CaptureStore) -> None:
    for number in range(2):
        store.write_labeled(corrections(2, 2 * number))
        store.reserve_trigger(1, NOW + number * HOUR)
    newest, oldest = store.triggers()
    taken: list[str] = []

    def work(worker: int) -> None:
        found = store.claim_trigger(f"gpu-{worker}", NOW, NOW + HOUR)
        if found is not None:
            taken.append(found.trigger_id)

    in_threads(1, work)
    assert taken == [oldest.trigger_id]
    in_threads(4, work)
    assert taken == [oldest.trigger_id, newest.trigger_id]
    assert [trigger.status for trigger in store.triggers()] == ["claimed", "claimed"]


def test_a_failed_training_gives_its_trigger_back_and_keeps_the_reservation(store: CaptureStore) -> None:
    store.write_labeled(corrections(3))
    store.reserve_trigger(3, NOW)
    mine = claimed(store)
    assert (mine.status, mine.claimed_by, mine.attempts) == ("claimed", "gpu", 1)
    back = store.release_trigger(mine, "out of memory")
    assert back is not None
    assert (back.status, back.reason, back.claimed_until) == ("pending", "out of memory", None)
    assert store.release_trigger(mine, "again") is None
    assert store.unreserved() == 0
    assert store.reserve_trigger(1, NOW) is None
    assert claimed(store).attempts == 2


def test_the_lease_of_a_trigger_ends(store: CaptureStore) -> None:
    store.write_labeled(corrections(3))
    store.reserve_trigger(3, NOW)
    dead = claimed(store, "dead")
    assert store.claim_trigger("gpu", NOW + HOUR, NOW + 2 * HOUR) is None
    longer = store.renew_trigger(dead, NOW + 2 * HOUR)
    assert longer is not None
    assert store.claim_trigger("gpu", NOW + timedelta(minutes=90), NOW + 3 * HOUR) is None
    mine = store.claim_trigger("gpu", NOW + 3 * HOUR, NOW + 4 * HOUR)
    assert mine is not None
    assert mine.claimed_by == "gpu"
    assert store.finish_trigger(longer, {}, "m", NOW) is None
    assert store.renew_trigger(longer, NOW + 9 * HOUR) is None
    assert store.triggers() == [mine]


def test_a_finished_training_uses_what_it_saw(store: CaptureStore) -> None:
    store.write_labeled(corrections(12))
    store.reserve_trigger(10, NOW)
    mine = claimed(store)
    seen = {pose.document_id: pose.revision for pose in store.all_labeled()}
    # While it trains one is corrected again, and a new one comes that it did not see.
    store.write_labeled([correction("c3", x=9.0), correction("late")])
    done = store.finish_trigger(mine, seen, "model-1", NOW + HOUR)
    assert done is not None
    assert (done.status, done.model, done.claimed_by) == ("completed", "model-1", None)
    assert store.finish_trigger(mine, seen, "model-1", NOW) is None or store.triggers()[0] == done
    unused = {pose.capture_id: pose for pose in store.all_labeled() if not pose.used}
    assert set(unused) == {"c3", "late"}
    assert {pose.trigger_id for pose in unused.values()} == {""}
    assert unused["c3"].revision == 2
    assert store.unreserved() == 2
    assert store.triggers() == [done]
    assert store.claim_trigger("gpu", NOW, NOW + HOUR) is None


def test_what_a_training_saw_without_reserving_it_counts_no_more(store: CaptureStore) -> None:
    store.write_labeled(corrections(10))
    store.reserve_trigger(10, NOW)
    mine = claimed(store)
    store.write_labeled([correction("late")])
    seen = {pose.document_id: pose.revision for pose in store.all_labeled()}
    assert store.finish_trigger(mine, seen | {"gone": 1}, "m", NOW) is not None
    assert store.unreserved() == 0


def test_corrections_of_strangers_are_read(store: CaptureStore, stranger: Stranger) -> None:
    stranger.put(LABELED, "s1", {"originalDataId": "a", "correctedKeypoints": {"nose": {"x": 100, "y": 200}}})
    broken = {
        "correctedKeypoints": {
            "nose": {"x": "nan", "y": 1},
            "neck": 3,
            "tail": {"x": 1, "y": 2, "visible": False},
        }
    }
    stranger.put(
        LABELED, "s2", broken | {"originalDataId": "b", "qualityScore": 7, "revision": "x", "used": "yes"}
    )
    found = store.labeled(["a", "b"])
    assert found["a"][0].keypoints == {"nose": Keypoint(100, 200)}
    assert found["b"][0].keypoints == {"tail": Keypoint(1, 2, "occluded")}
    assert (found["b"][0].quality, found["b"][0].revision, found["b"][0].used) == (1.0, 1, False)


def test_a_model_is_published_with_its_files(store: CaptureStore, tmp_path: Path) -> None:
    assert store.current_model() is None
    files = {"onnx": tmp_path / "best.onnx", "card": tmp_path / "card.json"}
    files["onnx"].write_bytes(b"weights" * 1000)
    files["card"].write_text("{}")
    first = store.publish(PublishedModel("v1", "dog24", NOW, metrics={"pck": 0.5}, trigger_id="t"), files)
    assert first.files == {"onnx": "models/v1/best.onnx", "card": "models/v1/card.json"}
    assert first.sha256["onnx"] == hashlib.sha256(b"weights" * 1000).hexdigest()
    assert store.current_model() == first
    second = store.publish(PublishedModel("v2", "dog24", NOW + HOUR), {"card": files["card"]})
    assert store.current_model() == second
    assert store.publish(replace(first, made=NOW), files) == first
    assert store.current_model() == first
