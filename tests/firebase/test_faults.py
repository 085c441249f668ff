"""Stores that cannot be reached, refuse, answer half, or lose their answers."""

from __future__ import annotations

import base64
import gzip
import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.errors import (
    AgirError,
    AuthenticationError,
    DatabaseError,
    NotFoundError,
    PictureError,
    RefusedError,
    ServerFaultError,
    ServerUnreachableError,
    ThrottledError,
)
from agir_cvtoolkit.firebase import (
    EmbeddedStore,
    _calls,
    _documents,
    _embedded_database,
    _firestore_strays,
    _firestore_triggers,
    _paging,
)
from agir_cvtoolkit.firebase._calls import OvertakenError
from agir_cvtoolkit.firebase.firestore import FirestoreStore
from tests.ports import free_port

from .emulators import raw
from .samples import HOUR, JPEG, NOW, capture, correction, corrections
from .stubs import failing_firestore, http_server

pytestmark = pytest.mark.integration
INDEX = "The query requires an index. You can create it here: https://console.firebase.google.com/v1/r/x?create=ab"


def at(
    monkeypatch: pytest.MonkeyPatch, firestore: str, storage: str, patience_s: float = 0.5
) -> FirestoreStore:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    return FirestoreStore.open(Firebase(project_id="demo-faults"), patience_s=patience_s)


NOWHERE = "http://127.0.0.1:1"
PATIENT_S = 120.0


@pytest.mark.parametrize(
    ("code", "message", "error", "step"),
    [
        (
            "PERMISSION_DENIED",
            "Missing or insufficient permissions.",
            AuthenticationError,
            "roles/datastore.user",
        ),
        (
            "PERMISSION_DENIED",
            "Cloud Firestore API has not been used. Enable it by visiting https://console.developers.google.com/a then",
            AuthenticationError,
            "Enable it at https://console.developers.google.com/a.",
        ),
        ("UNAUTHENTICATED", "Request had invalid credentials.", AuthenticationError, "roles"),
        ("RESOURCE_EXHAUSTED", "Quota exceeded.", ThrottledError, "midnight, Pacific"),
        ("FAILED_PRECONDITION", INDEX, RefusedError, "firebase deploy --only firestore:indexes"),
        ("FAILED_PRECONDITION", INDEX, RefusedError, "https://console.firebase.google.com/v1/r/x?create=ab"),
        (
            "NOT_FOUND",
            "The database (default) does not exist for project x",
            NotFoundError,
            "firebase.database",
        ),
        ("UNAVAILABLE", "The service is currently unavailable.", ServerUnreachableError, "connection"),
        ("INTERNAL", "Internal error.", ServerFaultError, "Try again later"),
        ("INVALID_ARGUMENT", "Nonsense.", RefusedError, ""),
    ],
)
def test_what_firestore_says_becomes_an_error_with_a_next_step(
    monkeypatch: pytest.MonkeyPatch, code: str, message: str, error: type[AgirError], step: str
) -> None:
    with failing_firestore(code, message) as host:
        store = at(monkeypatch, host, NOWHERE)
        with pytest.raises(error) as caught:
            store.pending(1, 5)
        assert type(caught.value) is error
        assert step in str(caught.value)
        assert "demo-faults" in str(caught.value)
        store.close()


def test_a_missing_database_is_no_overtaken_write(monkeypatch: pytest.MonkeyPatch) -> None:
    with failing_firestore("NOT_FOUND", "The database (default) does not exist for project x") as host:
        store = at(monkeypatch, host, NOWHERE)
        with pytest.raises(NotFoundError):
            store.transferred(capture("a", version="2026-01-01T00:00:00.000001Z"), NOW)
        store.close()


@pytest.mark.parametrize(
    ("code", "asked"), [("UNAVAILABLE", 3), ("ABORTED", 3), ("PERMISSION_DENIED", 1), ("NOT_FOUND", 1)]
)
def test_what_passes_is_tried_again_and_what_does_not_is_not(
    monkeypatch: pytest.MonkeyPatch, code: str, asked: int
) -> None:
    calls: list[str] = []
    with failing_firestore([code, code, "INVALID_ARGUMENT"], "no", calls) as host:
        store = at(monkeypatch, host, NOWHERE, patience_s=PATIENT_S)
        with pytest.raises(AgirError):
            store.unreserved()
        store.close()
    assert len(calls) == asked


def test_who_waits_is_told_why(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(_calls, "_QUIET_S", 0.2)
    monkeypatch.setattr(logging.getLogger("agir_cvtoolkit"), "propagate", True)
    with failing_firestore(["UNAVAILABLE"] * 4 + ["INVALID_ARGUMENT"], "no") as host:
        store = at(monkeypatch, host, NOWHERE, patience_s=PATIENT_S)
        with pytest.raises(RefusedError):
            store.unreserved()
        store.close()
    # Another test may have left a handler, which gives the same record twice.
    told = {id(record): record.getMessage() for record in caplog.records}
    (said,) = [message for message in told.values() if "tried again" in message]
    assert "cannot count" in said


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    store = at(monkeypatch, f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
    begin = time.monotonic()
    with pytest.raises(ServerUnreachableError, match="FIRESTORE_EMULATOR_HOST"):
        store.get(["a"])
    with pytest.raises(ServerUnreachableError):
        store.picture("a", 10)
    assert time.monotonic() - begin < 300
    store.close()


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (403, AuthenticationError, "roles/storage.objectUser"),
        (503, ServerFaultError, "Try again"),
        (500, ServerFaultError, "status"),
    ],
)
def test_the_storage_refuses(
    monkeypatch: pytest.MonkeyPatch, status: int, error: type[AgirError], said: str
) -> None:
    answer = b'{"error": {"code": %d, "message": "no"}}' % status
    with http_server(lambda *_: (status, answer)) as url:
        store = at(monkeypatch, "127.0.0.1:1", url)
        with pytest.raises(error, match=said):
            store.picture("a", 10)
        store.close()


def test_a_storage_that_is_away_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([503, 503, 200])

    def answer(*_: object) -> tuple[int, bytes]:
        status = next(answers)
        return status, JPEG if status == 200 else b"{}"

    with http_server(answer) as url:
        store = at(monkeypatch, "127.0.0.1:1", url, patience_s=PATIENT_S)
        assert store.picture("a", 100) == JPEG
        store.close()


@pytest.mark.parametrize(
    "headers",
    [{"Content-Length": "1000"}, {"X-Goog-Hash": "crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAA=="}],
    ids=["cut", "changed"],
)
def test_a_picture_that_is_damaged_on_the_way_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    asked: list[str] = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        asked.append(path)
        return 200, JPEG, headers if len(asked) == 1 else {}

    with http_server(answer) as url:
        store = at(monkeypatch, "127.0.0.1:1", url, patience_s=PATIENT_S)
        assert store.picture("a", 2000) == JPEG
        # Two requests for the picture, and nothing behind one's back.
        assert [path.partition("?")[0].rpartition("/")[2] for path in asked] == [
            "training_images%2Fa.jpg"
        ] * 2
        store.close()


@pytest.mark.parametrize("says_size", [True, False])
def test_a_picture_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch, says_size: bool) -> None:
    headers = {} if says_size else {"Content-Encoding": "gzip"}
    content = b"x" * 5000 if says_size else gzip.compress(b"x" * 5000)
    with http_server(lambda *_: (200, content, headers)) as url:
        store = at(monkeypatch, "127.0.0.1:1", url)
        with pytest.raises(PictureError, match="more than 4999 bytes"):
            store.picture("a", 4999)
        assert store.picture("a", 5000) == b"x" * 5000
        store.close()


def test_the_checksum_is_that_of_the_file_as_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(JPEG)
    md5 = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode()
    crc = base64.b64encode(google_crc32c.value(packed).to_bytes(4, "big")).decode()
    for said in (f"crc32c={crc},md5={md5}", f"md5={md5}"):
        headers = {"Content-Encoding": "gzip", "X-Goog-Hash": said}
        with http_server(lambda *_, headers=headers: (200, packed, headers)) as url:
            store = at(monkeypatch, "127.0.0.1:1", url)
            assert store.picture("a", 10_000) == JPEG
            store.close()


def test_pictures_share_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(lambda *_: (200, JPEG)) as url:
        store = at(monkeypatch, "127.0.0.1:1", url)
        for _ in range(5):
            assert store.picture("a", 10_000) == JPEG
        assert made_connections(store) == 1
        store.close()


def made_connections(store: FirestoreStore) -> int:
    pools = store._connection.http.http.pools
    return sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118 - it is no mapping


def test_the_environment_names_the_proxy_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        asked.append(path)
        return 200, JPEG

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with http_server(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("http_proxy", proxy)
        store = at(monkeypatch, "127.0.0.1:1", "http://storage.example")
        assert store.picture("a", 10_000) == JPEG
        store.close()
    assert asked == [
        "http://storage.example/download/storage/v1/b/demo-faults.appspot.com/o/training_images%2Fa.jpg?alt=media"
    ]


def test_a_missing_bucket_is_told_apart_from_a_missing_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = b'{"error": {"code": 404, "message": "Not Found"}}'
    with http_server(lambda *_: (404, missing)) as url:
        store = at(monkeypatch, "127.0.0.1:1", url)
        with pytest.raises(
            RefusedError, match=r"no bucket demo-faults\.appspot\.com.*demo-faults\.firebasestorage\.app"
        ):
            store.picture("a", 10)
        store.close()

    def only_bucket(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        return (404, missing) if "/o/" in path else (200, b'{"name": "demo-faults.appspot.com"}')

    def hidden_bucket(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        return (404, missing) if "/o/" in path else (403, b"{}")

    for answer in (only_bucket, hidden_bucket):
        with http_server(answer) as url:
            store = at(monkeypatch, "127.0.0.1:1", url)
            with pytest.raises(NotFoundError, match="no such file"):
                store.picture("a", 10)
            store.close()


@pytest.mark.parametrize("kept", [0, 1, 199])
def test_a_stream_that_ends_early_loses_nothing(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    google_store.write_labeled(corrections(310))
    whole, cuts = _paging.fetch, iter([kept, kept, kept])

    def cut(query: Any) -> list[Any]:
        return whole(query)[: next(cuts, None)]

    monkeypatch.setattr(_paging, "fetch", cut)
    found = [pose.document_id for pose in google_store.all_labeled()]
    assert found == sorted(pose.document_id for pose in corrections(310))


def test_a_stream_that_always_ends_early_is_an_error(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    google_store.write_labeled(corrections(5))
    monkeypatch.setattr(_paging, "fetch", lambda query: [])
    with pytest.raises(ServerFaultError, match="ends early each time"):
        list(google_store.all_labeled())
    for number in range(3):
        google_store.create(capture(f"c{number}"), None)
    with pytest.raises(ServerFaultError, match="ends early each time"):
        google_store.pending(1, 2)


def test_documents_read_by_name_are_all_read(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        google_store.create(capture(f"c{number}"), None)
    client = google_store._connection.client
    whole, cuts = type(client).get_all, iter([2, 0])

    def cut(self: Any, *arguments: Any, **named: Any) -> list[Any]:
        return list(whole(self, *arguments, **named))[: next(cuts, None)]

    monkeypatch.setattr(type(client), "get_all", cut)
    assert len(google_store.get([f"c{number}" for number in range(5)])) == 5


def lose_answers(monkeypatch: pytest.MonkeyPatch, store: FirestoreStore, many: int = 1) -> Callable[[], int]:
    """Let writes be done and their answers get lost; tell how often."""
    from google.api_core.exceptions import ServiceUnavailable

    api = store._connection.client._firestore_api
    whole = type(api).commit
    lost = 0

    def losing(*arguments: Any, **named: Any) -> Any:
        nonlocal lost
        found = whole(api, *arguments, **named)
        if lost < many:
            lost += 1
            raise ServiceUnavailable("connection reset")
        return found

    monkeypatch.setattr(api, "commit", losing)
    return lambda: lost


def test_a_claim_whose_answer_was_lost_is_ones_own(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    google_store.create(capture("a"), None)
    (seen,) = google_store.pending(1, 1)
    lost = lose_answers(monkeypatch, google_store)
    mine = google_store.claim(seen, "me", NOW + HOUR)
    assert lost() == 1
    assert mine is not None
    assert mine.claimed_by == "me"
    assert google_store.transferred(mine, NOW) is not None
    assert google_store.claim(seen, "me", NOW + HOUR) is None


def test_claims_whose_answer_was_lost_are_ones_own(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        google_store.create(capture(f"c{number}"), None)
    seen = google_store.pending(1, 10)
    lost = lose_answers(monkeypatch, google_store)
    mine = google_store.claim_all(seen, "me", NOW + HOUR)
    assert (lost(), [found.capture_id for found in mine]) == (1, [found.capture_id for found in seen])
    lost = lose_answers(monkeypatch, google_store)
    assert len(google_store.transferred_all(mine, NOW)) == 5
    assert lost() == 1
    assert google_store.claim_all(seen, "me", NOW + HOUR) == []


def test_a_claim_of_many_that_others_overtake_at_each_try_is_made_in_smaller_parts(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        google_store.create(capture(f"c{number}"), None)
    seen = google_store.pending(1, 10)
    changes = google_store._captures._changes
    whole, sizes = changes._commit, []

    def overtaken(group: Any) -> list[Any]:
        sizes.append(len(group))
        if len(group) > 2:
            raise OvertakenError(unsure=False)
        return whole(group)

    monkeypatch.setattr(changes, "_commit", overtaken)
    mine = google_store.claim_all(seen, "me", NOW + HOUR)
    assert [found.capture_id for found in mine] == [found.capture_id for found in seen]
    assert sizes == [8, 4, 2, 2, 4, 2, 2]


def test_a_capture_whose_answer_was_lost_was_put_in(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_answers(monkeypatch, google_store)
    assert google_store.create(capture("a"), JPEG)
    assert lost() == 1
    assert not google_store.create(capture("a"), JPEG)


def test_batches_whose_answers_were_lost_count_once(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_answers(monkeypatch, google_store)
    written = google_store.write_labeled(corrections(12))
    assert (len(written.new), len(written.same), lost()) == (12, 0, 1)
    assert {pose.revision for pose in google_store.all_labeled()} == {1}

    lost = lose_answers(monkeypatch, google_store)
    trigger = google_store.reserve_trigger(10, NOW)
    assert lost() == 1
    assert trigger is not None
    assert google_store.triggers() == [trigger]
    assert trigger.count == 12

    mine = google_store.claim_trigger("gpu", NOW, NOW + HOUR)
    assert mine is not None
    lost = lose_answers(monkeypatch, google_store)
    done = google_store.finish_trigger(mine, {pose.document_id: 1 for pose in corrections(12)}, "m", NOW)
    assert lost() == 1
    assert done is not None
    assert google_store.triggers() == [done]


def test_one_overtaken_document_does_not_hold_up_the_others(google_store: FirestoreStore) -> None:
    for number in range(7):
        google_store.create(capture(f"c{number}"), None)
    captures = google_store._captures
    snapshots = captures._snapshots([f"c{number}" for number in range(7)])
    google_store.claim(google_store.get(["c3"])["c3"], "you", NOW + HOUR)
    updates = [_documents.Update(snapshot, {"deviceId": "new"}) for snapshot in snapshots]
    done = _documents.update_all(google_store._calls, "try", google_store._connection.client, updates)
    assert {snapshot.id for snapshot in done} == {f"c{number}" for number in range(7)} - {"c3"}


def test_more_corrections_than_one_commit_takes_make_several_triggers(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_firestore_triggers, "MOST_AT_ONCE", 20)
    google_store.write_labeled(corrections(45))
    counts = []
    while trigger := google_store.reserve_trigger(10, NOW):
        counts.append(trigger.count)
    assert counts == [20, 20]
    assert google_store.unreserved() == 5
    mine = google_store.claim_trigger("gpu", NOW, NOW + HOUR)
    assert mine is not None
    seen = {pose.document_id: pose.revision for pose in google_store.all_labeled()}
    assert google_store.finish_trigger(mine, seen, "m", NOW) is not None
    assert all(pose.used for pose in google_store.all_labeled())
    assert google_store.unreserved() == 0


def test_a_correction_that_changes_while_a_trigger_is_made_waits_for_the_next(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    google_store.write_labeled(corrections(12))
    collection = google_store._corrections
    whole = collection.unreserved_documents

    def overtaken(most: int) -> list[Any]:
        found = whole(most)
        monkeypatch.setattr(collection, "unreserved_documents", whole)
        assert google_store.reserve_trigger(10, NOW) is not None
        google_store.write_labeled([correction("c1", x=99.0)])
        return found

    monkeypatch.setattr(collection, "unreserved_documents", overtaken)
    assert google_store.reserve_trigger(10, NOW + HOUR) is None
    (only,) = google_store.triggers()
    assert only.count == 12
    assert google_store.unreserved() == 1


def test_a_large_collection_is_not_counted_at_each_look(
    google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_firestore_strays, "_FEW", 1)
    for number in range(3):
        google_store.create(capture(f"c{number}"), None)
    assert google_store.adopt() == ()
    raw(google_store, "uncertain_poses").document("stray").set({"confidence": 0.1})
    raw(google_store, "uncertain_poses").document("text").set({"status": "pending", "priority": "8"})
    assert google_store.adopt() == ("text",)
    monkeypatch.setattr(google_store._captures._strays, "_count_all_from", 0.0)
    assert google_store.adopt() == ("stray",)


def test_a_damaged_embedded_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "captures.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(DatabaseError, match=r"captures\.db cannot be used"):
        EmbeddedStore(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match=r"firebase\.embedded_dir"):
        EmbeddedStore(tmp_path / "file" / "store")


def test_an_embedded_store_that_is_held_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_embedded_database, "_PATIENCE_S", 0.2)
    store = EmbeddedStore(tmp_path)
    holder = sqlite3.connect(tmp_path / "captures.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServerUnreachableError, match="another process"):
        store.create(capture("a"), None)
    assert store.pending(1, 5) == []
    holder.execute("ROLLBACK")
    holder.close()
    assert store.create(capture("a"), None)
    store.close()
