"""``firebase transfer``: what is taken, what is written, what the store says afterwards."""

from __future__ import annotations

import errno
import io
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.errors import (
    ConfigError,
    DataError,
    InterruptedByUser,
    RefusedError,
    RemoteError,
    ServerFaultError,
    UsageError,
)
from agir_cvtoolkit.firebase import EmbeddedStore, picture_key
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.pictures import load_rgb
from agir_cvtoolkit.poses import read_poses
from agir_cvtoolkit.runs import list_runs, open_run
from agir_cvtoolkit.stages import _transfer_claims, _transfer_publish
from agir_cvtoolkit.stages._transfer_manifest import merge_entries
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from tests.stages.capture_queue import OWNER, Queue, capture, jpeg


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return Queue(tmp_path)


def manifest(queue: Queue) -> dict[str, object]:
    content: dict[str, object] = json.loads((queue.folder / "transfer_manifest.json").read_text())
    return content


def ids(queue: Queue) -> list[str]:
    images = manifest(queue)["images"]
    assert isinstance(images, list)
    return [image["firebase_id"] for image in images]


def test_the_most_urgent_and_oldest_are_brought_first(queue: Queue) -> None:
    store = queue.store
    for number, priority in enumerate([4, 6, 9, 6, 9, 5]):
        store.create(capture(number, priority), jpeg(number))
    result = firebase_transfer(queue.call(), limit=3, priority=5)
    assert sorted(result.captures) == ["pose-0001", "pose-0002", "pose-0004"]
    assert (result.transferred, result.failed, result.exit_code) == (3, 0, 0)
    assert sorted(path.name for path in queue.folder.glob("*.jpg")) == [
        f"{i}.jpg" for i in sorted(ids(queue))
    ]
    taken = store.get(result.captures)
    assert {c.status for c in taken.values()} == {"in_progress"}
    assert all(c.claimed_by is None and c.claimed_until is None for c in taken.values())
    assert queue.statuses() == {"in_progress": 3, "pending": 3}
    again = firebase_transfer(queue.call())
    assert sorted(again.captures) == [
        "pose-0003",
        "pose-0005",
    ]  # priority 4 stays: 5 is the lowest by default
    assert len(ids(queue)) == 5
    assert firebase_transfer(queue.call()).run_id is None


def test_the_manifest_has_the_fields_of_today(queue: Queue) -> None:
    store = queue.store
    store.create(capture(1), jpeg())
    firebase_transfer(queue.call())
    content = manifest(queue)
    assert set(content) == {"transfer_timestamp", "total_images", "images"}
    assert datetime.fromisoformat(str(content["transfer_timestamp"])).tzinfo is None
    assert content["total_images"] == 1
    images = content["images"]
    assert isinstance(images, list)
    image = images[0]
    detected = image.pop("detected_poses")
    assert detected[0]["keypoints"][0] == {
        "type": "nose",
        "x": 10.0,
        "y": 12.0,
        "visible": True,
        "confidence": 0.9,
    }
    assert image == {
        "filename": "pose-0001.jpg",
        "firebase_id": "pose-0001",
        "confidence": 0.25,
        "priority": 6,
        "joint_group": "all",
        "timestamp": "2026-01-01T00:01:00.000000Z",
        "device_id": "phone-1",
        "local_path": str(queue.folder / "pose-0001.jpg"),
    }


def test_a_run_is_made_that_the_other_stages_understand(queue: Queue) -> None:
    store = queue.store
    store.create(capture(1, confidence=0.3), jpeg(1))
    store.create(capture(2, confidence=0.1), jpeg(2))
    result = firebase_transfer(queue.call())
    run = open_run(queue.root / "runs")
    assert run.run_id == result.run_id
    worst, other = run.read_manifest()
    assert (worst.record_id, other.record_id) == ("pose-0002", "pose-0001")
    assert worst.uncertainty == pytest.approx(0.9)
    assert worst.label_values["capture_id"] == "pose-0002"
    assert run.inside(worst.image_path or "").read_bytes() == (queue.folder / "pose-0002.jpg").read_bytes()
    schema, (pose,) = read_poses(run.inside(worst.pose_path or ""))
    assert schema == "dog24"
    assert set(pose.keypoints) == {"nose", "tail_base"}
    assert run.is_done("firebase-transfer")
    assert (run.root / "cfg.firebase-transfer.yaml").is_file()
    with Ledger.open(None, queue.root / "runs") as ledger:
        kinds = [event.kind for event in ledger.events_of_record("pose-0002")]
    assert kinds == ["predicted", "transferred"]


def test_what_is_personal_is_removed_and_pixels_and_orientation_stay(queue: Queue) -> None:
    content = jpeg(3, orientation=6)
    queue.store.create(capture(1), content)
    firebase_transfer(queue.call())
    kept = (queue.folder / "pose-0001.jpg").read_bytes()
    assert OWNER.encode() in content
    assert OWNER.encode() not in kept
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(kept))), np.asarray(Image.open(io.BytesIO(content)))
    )
    upright = load_rgb(queue.folder / "pose-0001.jpg")
    assert upright.shape == (64, 48, 3)
    run = open_run(queue.root / "runs")
    assert np.array_equal(load_rgb(run.path("images", "pose-0001.png")), upright)


def test_on_demand_the_file_stays_as_it_was_sent(queue: Queue) -> None:
    queue.store.create(capture(1), jpeg(3))
    firebase_transfer(queue.call(), strip_metadata=False)
    assert (queue.folder / "pose-0001.jpg").read_bytes() == jpeg(3)


def broken() -> dict[str, bytes | None]:
    whole = jpeg(5)
    bomb = io.BytesIO()
    Image.new("1", (20000, 10000)).save(bomb, "PNG")
    return {
        "missing": None,
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "text": b"this is no picture",
        "200 megapixels": bomb.getvalue(),
    }


def test_broken_pictures_fail_with_a_reason_and_hold_up_nobody(queue: Queue) -> None:
    store = queue.store
    for number, content in enumerate(broken().values()):
        store.create(capture(number, 10), content)
    for number in range(20, 23):
        store.create(capture(number, 6), jpeg(number))
    result = firebase_transfer(queue.call(), limit=2)
    assert (result.transferred, result.failed, result.exit_code) == (2, 5, 1)
    found = store.get([f"pose-{n:04}" for n in range(5)])
    assert {c.status for c in found.values()} == {"failed"}
    reasons = [found[f"pose-{n:04}"].reason for n in range(5)]
    for reason, words in zip(
        reasons, ["is not at", "0 bytes", "damaged", "is not a picture", "200"], strict=True
    ):
        assert words in reason
        assert str(queue.root / "runs") not in reason
    assert not list(queue.folder.glob("pose-000*"))
    assert len(ids(queue)) == 2


def test_ids_with_slashes_and_dots_stay_in_the_folder(queue: Queue) -> None:
    store = queue.store
    wild = ["../../etc/passwd", "a/b", "..", "ümlaut und Leerzeichen", "x" * 300]
    for number, name in enumerate(wild):
        store.create(capture(number, capture_id=name), jpeg(number))
    result = firebase_transfer(queue.call())
    assert result.transferred == len(wild)
    assert sorted(ids(queue)) == sorted(wild)
    assert len(list(queue.folder.glob("*.jpg"))) == len(wild)
    assert {p.parent for p in queue.root.rglob("*.jpg") if "store" not in p.parts} == {
        queue.folder,
        open_run(queue.root / "runs").path("images").resolve(),
    }


def test_what_cannot_be_understood_is_noted_and_brought_all_the_same(queue: Queue) -> None:
    store = queue.store
    store.create(capture(1), jpeg(1))
    store.put_document(
        "uncertain_poses",
        "pose-0001",
        {"id": "pose-0001", "confidence": float("nan"), "priority": "8", "status": "pending", "timestamp": 1.7e9,
         "detectedPoses": [{"keypoints": [{"type": "antler", "x": 3, "y": 4, "confidence": 0.5}]}]},
    )  # fmt: skip
    result = firebase_transfer(queue.call())
    assert (result.transferred, result.exit_code) == (1, 0)
    notes = " ".join(item.reason for item in result.items)
    assert "antler" in notes
    assert "confidence" in notes


def test_entries_of_other_transfers_stay(queue: Queue) -> None:
    queue.folder.mkdir()
    other = {"filename": "old.jpg", "firebase_id": "old", "extra": 1}
    (queue.folder / "transfer_manifest.json").write_text(json.dumps({"total_images": 1, "images": [other]}))
    queue.fill(2)
    firebase_transfer(queue.call())
    assert ids(queue) == ["old", "pose-0000", "pose-0001"]
    assert manifest(queue)["images"][0] == other  # type: ignore[index]
    assert manifest(queue)["total_images"] == 3


def test_a_damaged_manifest_is_said_before_anything_is_taken(queue: Queue) -> None:
    queue.folder.mkdir()
    (queue.folder / "transfer_manifest.json").write_text('{"images": [')
    queue.fill(1)
    with pytest.raises(DataError, match="transfer_manifest"):
        firebase_transfer(queue.call())
    assert queue.statuses() == {"pending": 1}


def test_a_folder_that_cannot_be_written_to_is_an_error_of_usage(queue: Queue) -> None:
    queue.fill(1)
    (queue.root / "file").write_text("")
    with pytest.raises(UsageError, match="--output-dir") as failure:
        firebase_transfer(queue.call(), output_dir=queue.root / "file" / "inside")
    assert failure.value.exit_code == 2
    assert queue.statuses() == {"pending": 1}


def test_a_dry_run_changes_nothing(queue: Queue) -> None:
    queue.fill(3)
    result = firebase_transfer(queue.call(dry_run=True), limit=2)
    assert result.captures == ("pose-0000", "pose-0001")
    assert not queue.folder.exists()
    assert not (queue.root / "runs").exists()
    assert queue.statuses() == {"pending": 3}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"limit": 0}, "--limit"),
        ({"priority": 11}, "--priority"),
        ({"gpusrv_host": "-oProxyCommand=x"}, "--gpusrv-host"),
        ({"image_path": "pictures/all.jpg"}, "pose_id"),
        ({"deliver": "carrier pigeon"}, "deliver"),
    ],
)
def test_impossible_options_are_refused(queue: Queue, options: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        firebase_transfer(queue.call(), **options)  # type: ignore[arg-type]


def test_a_task_needs_credentials(queue: Queue) -> None:
    queue.fill(1)
    with pytest.raises(ConfigError, match="no CVAT server"):
        firebase_transfer(queue.call(), create_task=True)
    assert queue.statuses() == {"pending": 1}


def template(path: str) -> str:
    return f"{path}/{{pose_id}}.jpg"


@pytest.mark.parametrize("dry_run", [True, False])
def test_with_a_wrong_template_no_capture_is_taken_and_none_fails(queue: Queue, dry_run: bool) -> None:
    queue.fill(100)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"none of \d+ pictures") as failure:
            firebase_transfer(queue.call(dry_run=dry_run), limit=100, image_path=template("elsewhere"))
        assert "--image-path" in failure.value.next_step
        assert queue.statuses() == {"pending": 100}
    assert not (queue.root / "runs").exists() or list_runs(queue.root / "runs") == []
    assert firebase_transfer(queue.call(), limit=100).transferred == 100


def test_a_few_captures_without_pictures_wait_until_any_picture_was_found(queue: Queue) -> None:
    store = queue.store
    for number in range(3):
        store.create(capture(number, 9), None)
    for _ in range(2):
        result = firebase_transfer(queue.call())
        assert (result.transferred, result.failed, result.waiting, result.exit_code) == (0, 0, 3, 1)
        assert "no picture at all" in result.items[0].reason
        assert (result.worked, queue.statuses()) == (False, {"pending": 3})
    # One of low priority, which is not wanted yet, shows that the template is right.
    store.create(capture(7, 2), jpeg(7))
    result = firebase_transfer(queue.call())
    assert (result.transferred, result.failed) == (0, 3)
    assert queue.statuses() == {"failed": 3, "pending": 1}


def test_a_picture_that_comes_after_its_document_is_waited_for(queue: Queue) -> None:
    store = queue.store
    queue.fill(2)
    for number in range(2, 32):
        # A device's clock may be years wrong, and it may have had no network: only the store's clock counts.
        store.create(capture(number, 9), None)
    call = queue.call("firebase.picture_grace_s=600")
    result = firebase_transfer(call)
    assert (result.transferred, result.failed, result.late, result.exit_code) == (2, 0, 30, 0)
    assert "is not at" in result.items[0].reason
    assert "it may come until 20" in result.items[0].reason
    assert queue.statuses() == {"in_progress": 2, "pending": 30}
    assert all(not c.claimed_by for c in store.pending(1, 50))
    runs = list_runs(queue.root / "runs")
    nothing = firebase_transfer(call)
    assert (nothing.worked, nothing.late, nothing.run_id) == (False, 30, None)
    assert list_runs(queue.root / "runs") == runs
    store.file(picture_key("training_images/{pose_id}.jpg", "pose-0005")).write_bytes(jpeg(5))
    assert firebase_transfer(call).captures == ("pose-0005",)
    over = firebase_transfer(queue.call("firebase.picture_grace_s=0"))
    assert (over.failed, over.exit_code) == (29, 1)


@pytest.mark.parametrize("dry_run", [True, False])
def test_many_that_came_just_now_are_no_sign_of_a_wrong_template(queue: Queue, dry_run: bool) -> None:
    for number in range(25):
        queue.store.create(capture(number, 9), None)
    result = firebase_transfer(queue.call("firebase.picture_grace_s=600", dry_run=dry_run))
    assert (result.transferred, result.late, result.waiting, result.exit_code) == (0, 25, 0, 0)
    assert queue.statuses() == {"pending": 25}


def test_pictures_further_down_and_those_brought_before_tell_that_the_template_is_right(queue: Queue) -> None:
    store = queue.store
    for number in range(30):
        store.create(capture(number, 9), None)
    for number in range(30, 60):
        store.create(capture(number, 6), jpeg(number))
    result = firebase_transfer(queue.call(), limit=30)
    assert (result.transferred, result.failed, result.waiting) == (30, 30, 0)
    for number in range(60, 100):
        store.create(capture(number, 9), None)
    result = firebase_transfer(queue.call())
    assert (result.transferred, result.failed) == (0, 40)


def test_an_interrupted_run_that_finds_no_picture_any_more_gives_its_captures_back(queue: Queue) -> None:
    queue.fill(8)
    killed = replace(queue.call("firebase.parallel_requests=1"), progress=StopAfter(2))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_transfer_claims.Claims, "release_all", lambda self: None)
        with pytest.raises(InterruptedByUser):
            firebase_transfer(killed)
    for picture in queue.folder.iterdir():
        picture.unlink()
    result = firebase_transfer(queue.call(), image_path=template("elsewhere"))
    assert (result.transferred, result.failed, result.waiting) == (0, 0, 8)
    assert queue.statuses() == {"pending": 8}
    assert firebase_transfer(queue.call()).transferred == 8


class StopAfter:
    """Progress that is stopped at the so many-th capture."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[StopAfter]:
        yield self

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left <= 0:
            raise InterruptedByUser("stopped", "Start it again.")


def test_stopped_by_hand_it_gives_all_back_and_goes_on_the_next_time(queue: Queue) -> None:
    queue.fill(12)
    stopped = replace(queue.call("firebase.parallel_requests=2"), progress=StopAfter(5))
    with pytest.raises(InterruptedByUser):
        firebase_transfer(stopped, limit=12)
    assert queue.statuses() == {"pending": 12}
    result = firebase_transfer(queue.call(), limit=12)
    assert (result.transferred, result.resumed) == (12, 12)
    assert len(set(ids(queue))) == 12
    assert len(list_runs(queue.root / "runs")) == 1


class Failing(EmbeddedStore):
    """A store whose pictures come with an error, for some captures."""

    error: Exception = ServerFaultError("the storage answers 503")
    wrong: tuple[str, ...] = ()

    def picture(self, capture_id: str, limit_bytes: int) -> bytes:
        if not self.wrong or capture_id in self.wrong:
            raise self.error
        return super().picture(capture_id, limit_bytes)


@pytest.fixture
def failing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> type[Failing]:
    class This(Failing):
        pass

    monkeypatch.setattr("agir_cvtoolkit.firebase.open_store", lambda *_, **__: This(queue.root / "store"))
    return This


def test_one_picture_that_the_storage_refuses_to_give_goes_back(queue: Queue, failing: type[Failing]) -> None:
    queue.fill(4)
    failing.wrong = ("pose-0002",)
    result = firebase_transfer(queue.call())
    assert (result.transferred, result.returned, result.failed, result.exit_code) == (3, 1, 0, 1)
    assert queue.statuses() == {"in_progress": 3, "pending": 1}


@pytest.mark.parametrize("error", [ServerFaultError("503"), RefusedError("403")])
def test_a_storage_that_fails_altogether_loses_nothing(
    queue: Queue, failing: type[Failing], error: RemoteError
) -> None:
    queue.fill(30)
    failing.error = error
    with pytest.raises(type(error)):
        firebase_transfer(queue.call())
    assert queue.statuses() == {"pending": 30}
    failing.wrong = ("nobody",)
    assert firebase_transfer(queue.call()).transferred == 30


def test_a_full_disk_gives_everything_back(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.fill(6)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("agir_cvtoolkit.stages._transfer_picture.write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            firebase_transfer(queue.call())
    assert queue.statuses() == {"pending": 6}
    assert firebase_transfer(queue.call()).transferred == 6


def test_a_lease_is_renewed_while_a_download_takes_long(
    queue: Queue, failing: type[Failing], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.fill(1)
    renewed = threading.Semaphore(0)

    def slow(self: EmbeddedStore, capture_id: str, limit_bytes: int) -> bytes:
        for _ in range(3 if limit_bytes else 0):  # before it is leased, it is only looked for
            assert renewed.acquire(timeout=60)
        return EmbeddedStore.picture(self, capture_id, limit_bytes)

    monkeypatch.setattr(failing, "picture", slow)
    renew = EmbeddedStore.renew_all

    def counted(self: EmbeddedStore, *args: object) -> object:
        renewed.release()
        return renew(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(failing, "renew_all", counted)
    assert firebase_transfer(queue.call("firebase.lease_s=1")).transferred == 1


def test_a_capture_that_another_took_meanwhile_is_not_ours(
    queue: Queue, failing: type[Failing], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.fill(2)

    def stolen(self: EmbeddedStore, capture_id: str, limit_bytes: int) -> bytes:
        if capture_id == "pose-0001":  # as if this process had slept for longer than its lease
            mine = self.get([capture_id])[capture_id]
            free = self.release(mine)
            assert free is not None
            assert self.claim(free, "another", datetime.now(UTC) + timedelta(hours=1))
        return EmbeddedStore.picture(self, capture_id, limit_bytes)

    monkeypatch.setattr(failing, "picture", stolen)
    result = firebase_transfer(queue.call())
    assert result.captures == ("pose-0000",)
    assert result.exit_code == 1
    assert ids(queue) == ["pose-0000"]
    assert [path.name for path in queue.folder.glob("*.jpg")] == ["pose-0000.jpg"]
    assert queue.store.get(["pose-0001"])["pose-0001"].claimed_by == "another"
    assert [entry.record_id for entry in open_run(queue.root / "runs").read_manifest()] == ["pose-0000"]


def test_the_queue_of_another_capture_id_is_mended(queue: Queue) -> None:
    store = queue.store
    store.create(capture(1), jpeg(1))
    with sqlite3.connect(queue.root / "store" / "captures.db") as database:
        (content,) = database.execute("SELECT document FROM captures").fetchone()
    document = json.loads(content)
    del document["priority"], document["status"]
    store.put_document("uncertain_poses", "pose-0001", document)
    assert firebase_transfer(queue.call()).transferred == 1


def test_rsync_is_asked_for_the_files_and_the_merged_manifest(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, far = queue.root / "bin", queue.root / "far"
    tools.mkdir()
    far.mkdir()
    stub = tools / "rsync"
    stub.write_text(f"""#!/bin/sh
printf '%s\\n' "$@" >> {queue.root}/words; echo -- >> {queue.root}/words
for last; do :; done
case "$*" in
  *--files-from=*) cp {queue.folder}/*.jpg {far}/ ;;
  *"box.example:{queue.folder}/transfer_manifest.json"*) [ -f {far}/transfer_manifest.json ] || exit 23
     cp {far}/transfer_manifest.json "$last" ;;
  *) for word; do case "$word" in */transfer_manifest.json) cp "$word" {far}/ ;; esac; done ;;
esac
""")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    queue.fill(2)
    result = firebase_transfer(queue.call(), deliver="rsync", gpusrv_host="box.example", limit=1)
    assert result.delivered_to == "box.example"
    (far / "transfer_manifest.json").write_text(
        json.dumps({"images": [*json.loads((far / "transfer_manifest.json").read_text())["images"],
                               {"filename": "theirs.jpg", "firebase_id": "theirs"}]})
    )  # fmt: skip
    firebase_transfer(queue.call(), deliver="rsync", gpusrv_host="box.example", limit=1)
    there = json.loads((far / "transfer_manifest.json").read_text())
    assert [image["firebase_id"] for image in there["images"]] == ["pose-0000", "theirs", "pose-0001"]
    assert sorted(path.name for path in far.glob("*.jpg")) == ["pose-0000.jpg", "pose-0001.jpg"]
    assert "ssh -o BatchMode=yes" in (queue.root / "words").read_text()

    stub.write_text("#!/bin/sh\necho 'ssh: connect to host box.example: Connection refused' >&2; exit 255\n")
    store = queue.store
    store.create(capture(9), jpeg(9))
    with pytest.raises(RemoteError, match="Connection refused"):
        firebase_transfer(queue.call(), deliver="rsync", gpusrv_host="box.example")
    assert queue.statuses() == {"in_progress": 2, "pending": 1}


def test_without_rsync_nothing_is_taken(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.fill(1)
    monkeypatch.setenv("PATH", str(queue.root))
    with pytest.raises(UsageError, match="rsync"):
        firebase_transfer(queue.call(), deliver="rsync")
    assert queue.statuses() == {"pending": 1}


@pytest.mark.parametrize("broken", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_cannot_be_told_to_the_folder_is_free_for_others(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, broken: BaseException
) -> None:
    """Nothing is in CVAT then, so nobody waits for a lease to end; the next call takes it from where it lies."""
    queue.fill(3)

    def fails(*_: object) -> None:
        raise broken

    with monkeypatch.context() as patched:
        patched.setattr("agir_cvtoolkit.stages._transfer_publish.merge_entries", fails)
        with pytest.raises(type(broken)):
            firebase_transfer(queue.call())
    assert queue.statuses() == {"pending": 3}
    result = firebase_transfer(queue.call())
    assert (result.transferred, result.resumed) == (3, 3)
    assert len(ids(queue)) == 3


def test_stopped_while_it_ends_an_interrupted_run_it_gives_all_back_too(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.fill(6)
    killed = replace(queue.call("firebase.parallel_requests=1"), progress=StopAfter(2))
    with monkeypatch.context() as patched:
        patched.setattr(_transfer_claims.Claims, "release_all", lambda self: None)
        with pytest.raises(InterruptedByUser):
            firebase_transfer(killed)
    assert queue.statuses() == {"in_progress": 6}
    for picture in queue.folder.iterdir():
        picture.unlink()  # so that they are brought again
    stopped = replace(queue.call("firebase.parallel_requests=1"), progress=StopAfter(1))
    with pytest.raises(InterruptedByUser):
        firebase_transfer(stopped)
    assert queue.statuses() == {"pending": 6}
    assert firebase_transfer(queue.call()).transferred == 6


def test_a_disk_that_stays_full_does_not_hold_up_who_transfers_to_another(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.fill(3)

    def full(folder: Path, entries: list[dict[str, object]]) -> None:
        if folder == queue.folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "transfer_manifest.json"))
        merge_entries(folder, entries)

    monkeypatch.setattr(_transfer_publish, "merge_entries", full)
    with pytest.raises(OSError, match="No space left"):
        firebase_transfer(queue.call())
    elsewhere = queue.root / "elsewhere"
    result = firebase_transfer(queue.call(), output_dir=elsewhere)
    assert (result.transferred, result.exit_code) == (3, 1)
    assert [item.outcome for item in result.items] == ["interrupted"]
    assert "No space left" in result.items[0].reason
    assert len(list(elsewhere.glob("*.jpg"))) == 3
    monkeypatch.undo()
    monkeypatch.chdir(queue.root)
    assert firebase_transfer(queue.call()).exit_code == 0
    assert list(queue.folder.glob("*.jpg")) == []
    assert len(list(elsewhere.glob("*.jpg"))) == 3
