"""Captures that failed by mistake wait again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.firebase import picture_key
from agir_cvtoolkit.runs import open_run
from agir_cvtoolkit.stages._transfer_withdrawal import EarlierTransfers
from agir_cvtoolkit.stages.firebase_requeue import RequeueResult, firebase_requeue
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer

from .capture_queue import Queue, capture, jpeg


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return Queue(tmp_path)


def left(result: RequeueResult) -> dict[str, str]:
    return {item.record_id: item.reason for item in result.items}


def test_captures_whose_pictures_came_late_are_transferred_after_all(queue: Queue) -> None:
    store = queue.store
    store.create(capture(20), jpeg(20))
    for number in range(20):
        store.create(capture(number), None)
    late = firebase_transfer(queue.call())
    assert (late.transferred, late.failed) == (1, 20)
    planned = firebase_requeue(queue.call(dry_run=True), failed=True)
    assert (len(planned.captures), planned.dry_run) == (20, True)
    assert planned.reasons["pose-0000"].startswith("the picture of capture 'pose-0000' is not at")
    assert queue.statuses() == {"failed": 20, "in_progress": 1}
    done = firebase_requeue(queue.call(), failed=True)
    assert (set(done.captures), done.exit_code) == ({f"pose-{n:04}" for n in range(20)}, 0)
    assert queue.statuses() == {"pending": 20, "in_progress": 1}
    for number in range(20):
        store.file(picture_key("training_images/{pose_id}.jpg", f"pose-{number:04}")).write_bytes(
            jpeg(number)
        )
    assert firebase_transfer(queue.call()).transferred == 20
    again = firebase_requeue(queue.call(), failed=True)
    assert (again.captures, again.items, again.exit_code) == ((), (), 0)


def test_those_with_a_word_of_somebody_elses_wait_again_when_it_is_asked_for(queue: Queue) -> None:
    queue.fill(1)
    document = {"status": "archived", "priority": 9, "timestamp": "2026-01-01T00:00:00Z"}
    queue.store.put_document("uncertain_poses", "old", document)
    assert firebase_requeue(queue.call(), failed=True).captures == ()
    planned = firebase_requeue(queue.call(dry_run=True), foreign=True)
    assert planned.reasons == {"old": "status 'archived' is not known; failed stands for it"}
    assert firebase_requeue(queue.call(), foreign=True, failed=True).captures == ("old",)
    assert queue.statuses() == {"pending": 2}
    with pytest.raises(UsageError, match="which captures"):
        firebase_requeue(queue.call(), captures=["old"], foreign=True)


def test_those_that_are_named_go_and_what_is_not_failed_stays(queue: Queue) -> None:
    store = queue.store
    for number in range(6):
        store.create(capture(number), jpeg(number))
    now = datetime.now(UTC)
    held = [
        store.claim(store.get([f"pose-000{n}"])[f"pose-000{n}"], "me", now + timedelta(hours=1))
        for n in range(4)
    ]
    assert all(held)
    for one in held[:2]:
        store.fail(one, "broken")  # type: ignore[arg-type]
    store.transferred(held[2], now)  # type: ignore[arg-type]
    store.complete(["pose-0005"], now)
    done = firebase_requeue(queue.call(), captures=[f"pose-000{n}" for n in (0, 2, 3, 4, 5)] + ["nobody"])
    assert done.captures == ("pose-0000",)
    assert done.exit_code == 1
    why = left(done)
    assert "--again" in why["pose-0002"]
    assert "me has it until" in why["pose-0003"]
    assert why["pose-0004"] == "it waits already"
    assert why["pose-0005"] == "it is corrected"
    assert why["nobody"] == "there is no such capture"
    assert store.get(["pose-0001"])["pose-0001"].status == "failed"
    assert firebase_requeue(queue.call(), captures=["pose-0005"]).exit_code == 4


def test_what_lies_in_a_task_that_is_gone_waits_again_when_that_is_said(queue: Queue) -> None:
    queue.fill(2)
    assert firebase_transfer(queue.call()).transferred == 2
    done = firebase_requeue(queue.call(), captures=["pose-0001"], again=True)
    assert done.captures == ("pose-0001",)
    assert queue.statuses() == {"in_progress": 1, "pending": 1}
    assert firebase_transfer(queue.call()).captures == ("pose-0001",)


def test_what_waits_again_leaves_the_run_and_the_folder_that_it_was_brought_into(queue: Queue) -> None:
    queue.fill(2)
    first = firebase_transfer(queue.call())
    assert first.run_id is not None
    run = open_run(queue.root / "runs", first.run_id)

    def here() -> tuple[list[str], list[str], list[str]]:
        told = json.loads((queue.folder / "transfer_manifest.json").read_text())["images"]
        return (
            [entry.record_id for entry in run.read_manifest()],
            sorted(path.name for path in queue.folder.glob("*.jpg")),
            [image["firebase_id"] for image in told],
        )

    both = here()
    firebase_requeue(queue.call(dry_run=True), captures=["pose-0001"], again=True)
    assert here() == both
    with pytest.MonkeyPatch.context() as patched:  # stopped when the store knew and nothing else did
        patched.setattr(EarlierTransfers, "take_out", lambda self, ids: None)
        firebase_requeue(queue.call(), captures=["pose-0001"], again=True)
    assert here() == both
    firebase_requeue(queue.call(), captures=["pose-0001"], again=True)
    left = (["pose-0000"], ["pose-0000.jpg"], ["pose-0000"])
    assert here() == left
    # Nothing is taken from the run that brings it anew.
    second = firebase_transfer(queue.call())
    assert second.run_id is not None
    firebase_requeue(queue.call(), captures=["pose-0001", "pose-0000"])
    assert [e.record_id for e in open_run(queue.root / "runs", second.run_id).read_manifest()] == [
        "pose-0001"
    ]
    assert here()[0] == ["pose-0000"]


def test_captures_or_failed_one_of_them(queue: Queue) -> None:
    for options in ({}, {"captures": ["a"], "failed": True}, {"failed": True, "again": True}):
        with pytest.raises(UsageError):
            firebase_requeue(queue.call(), **options)


def test_what_no_queue_would_offer_can_be_put_into_it(queue: Queue) -> None:
    """A status in other letters or of another type, and a lease that ended long ago."""
    store = queue.store
    document = {"priority": 6, "timestamp": "2026-01-01T00:00:00Z"}
    for name, status in (("upper", "Pending"), ("number", 5), ("foreign", "archived")):
        store.put_document("uncertain_poses", name, document | {"status": status})
    store.create(capture(1), jpeg())
    old = store.claim(store.get(["pose-0001"])["pose-0001"], "me", datetime(2026, 1, 1, tzinfo=UTC))
    assert old is not None
    names = ["upper", "number", "foreign", "pose-0001"]
    assert firebase_transfer(queue.call("firebase.upload_threshold=0.6"), priority=10).transferred == 0
    done = firebase_requeue(queue.call(), captures=names)
    # The transfer has ended the old lease, and written the misspelt word as it is meant.
    assert sorted(done.captures) == ["foreign", "number"]
    assert {found.capture_id for found in store.pending(1, 10)} == set(names)
