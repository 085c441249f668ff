"""``firebase transfer`` and ``submit`` against Google's emulator and a storage server."""

from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.errors import RefusedError
from agir_cvtoolkit.firebase.firestore import FirestoreStore
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from agir_cvtoolkit.stages.forget import forget
from tests.firebase.emulators import in_threads
from tests.stages.capture_queue import capture, jpeg

pytestmark = pytest.mark.integration


@pytest.fixture
def call(google: Firebase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return Call(
        overrides=(
            f"firebase.project_id={google.project_id}",
            f"firebase.storage_bucket={google.storage_bucket}",
            f"firebase.output_dir={tmp_path / 'out'}",
            f"io.keys_file={tmp_path / 'keys.yaml'}",
            "firebase.picture_grace_s=0",
        )
    )


def test_captures_come_from_firestore_and_cloud_storage(
    google_store: FirestoreStore,
    call: Call,
    tmp_path: Path,
) -> None:
    for number in range(6):
        google_store.create(capture(number, 5 + number % 3), None if number == 4 else jpeg(number))
    google_store.create(capture(9, 10), b"no picture")
    result = firebase_transfer(call, limit=4)
    assert (result.transferred, result.failed) == (4, 2)
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 4
    taken = google_store.get(result.captures)
    assert {(c.status, c.claimed_by) for c in taken.values()} == {("in_progress", None)}
    again = firebase_transfer(call)
    assert (again.transferred, again.failed) == (1, 0)
    assert google_store.get(["pose-0004"])["pose-0004"].status == "failed"
    gone = forget(result.captures[0], call)
    assert gone.left == ()
    assert google_store.get([result.captures[0]]) == {}


def test_four_workers_at_one_queue(google_store: FirestoreStore, call: Call, tmp_path: Path) -> None:
    expected = {f"pose-{number:04}" for number in range(60)}
    content = jpeg(1)
    for number in range(60):
        google_store.create(capture(number), content)
    found: list[str] = []

    def work(_: int) -> None:
        while captures := firebase_transfer(call, limit=10).captures:
            found.extend(captures)

    in_threads(4, work)
    assert sorted(found) == sorted(expected)
    assert {p.stem for p in (tmp_path / "out").glob("*.jpg")} == expected


def test_a_bucket_that_is_not_there_spoils_no_capture(google_store: FirestoreStore, call: Call) -> None:
    google_store.create(capture(1), jpeg())
    with pytest.raises(RefusedError, match="no bucket"):
        firebase_transfer(call, bucket="another")
    assert google_store.get(["pose-0001"])["pose-0001"].status == "pending"
