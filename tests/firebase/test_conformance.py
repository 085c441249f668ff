"""What every store does, whichever it is: captures."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import NotFoundError, PictureError
from agir_cvtoolkit.firebase import CaptureStore, EmbeddedStore

from .conftest import Stranger
from .emulators import in_threads
from .samples import HOUR, JPEG, NOW, capture, correction

pytestmark = pytest.mark.integration
CAPTURES = "uncertain_poses"


def claimed(store: CaptureStore, name: str, owner: str = "me") -> Capture:
    found = store.claim(store.get([name])[name], owner, NOW + HOUR)
    assert found is not None
    return found


def test_a_capture_comes_back_as_it_was_put_in(store: CaptureStore) -> None:
    sent = capture("pose-1", priority=8)
    assert store.create(sent, JPEG)
    found = store.get(["pose-1", "unknown"])
    assert list(found) == ["pose-1"]
    same = replace(found["pose-1"], version="", arrived=None, detected=(), timestamp="")
    assert same == replace(sent, detected=(), timestamp="")
    assert found["pose-1"].version
    assert found["pose-1"].problems == ()
    assert store.picture("pose-1", 100) == JPEG


def test_it_says_when_a_capture_arrived_by_its_own_clock(store: CaptureStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    store.create(capture("a", 5), b"picture")
    store.create(capture("b", 6), b"picture")
    arrived = store.get(["a"])["a"].arrived
    assert arrived is not None
    assert before < arrived < datetime.now(UTC) + timedelta(seconds=5)
    held = claimed(store, "a")
    assert held.arrived == arrived
    failed = store.fail(held, "broken")
    assert failed is not None
    assert failed.arrived == arrived
    store.release_all([claimed(store, "b")])
    (waits,) = store.pending(1, 5)
    assert waits.arrived is not None
    assert arrived <= waits.arrived < arrived + timedelta(seconds=60)
    assert [found.arrived for found in store.failed()] == [arrived]


def test_a_capture_is_put_in_once_and_its_picture_stays(store: CaptureStore) -> None:
    assert store.create(capture("pose-1"), JPEG)
    assert not store.create(capture("pose-1", priority=9), b"other")
    assert store.get(["pose-1"])["pose-1"].priority == 5
    assert store.picture("pose-1", 100) == JPEG


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".", "../../etc/passwd", "__x__", "x" * 1600, "ä ö#%?", "50%", "a\\b"]
)
def test_ids_of_any_kind_name_one_capture(store: CaptureStore, name: str) -> None:
    other = f"{name}."
    assert store.create(capture(name, priority=2), JPEG)
    assert store.create(capture(other, priority=3), b"other")
    assert store.get([name])[name].priority == 2
    assert store.picture(name, 100) == JPEG
    assert {found.capture_id for found in store.pending(1, 10)} == {name, other}
    mine = claimed(store, name)
    assert store.transferred(mine, NOW) is not None
    store.write_labeled([correction(name)])
    assert [pose.capture_id for pose in store.labeled([name])[name]] == [name]
    assert len(store.forget(name)) == 3
    assert store.get([name, other]).keys() == {other}
    assert store.picture(other, 100) == b"other"


def test_an_id_with_half_a_character_is_replaced_by_one_that_can_be_written(store: CaptureStore) -> None:
    assert store.create(capture("dog-\ud800", device_id="\udfff"), JPEG)
    (found,) = store.pending(1, 10)
    assert found.capture_id.encode("utf-8")
    assert store.picture(found.capture_id, 100) == JPEG
    assert store.get([found.capture_id]) == {found.capture_id: found}
    assert store.claim(found, "me", NOW + HOUR) is not None


def test_waiting_captures_come_by_priority_then_by_age(store: CaptureStore) -> None:
    for name, priority, minute in [
        ("a", 5, 1),
        ("b", 9, 1),
        ("c", 9, 3),
        ("d", 9, 2),
        ("e", 4, 9),
        ("f", 10, 0),
    ]:
        store.create(capture(name, priority, minute), None)
    assert [found.capture_id for found in store.pending(5, 10)] == ["f", "c", "d", "b", "a"]
    assert [found.capture_id for found in store.pending(5, 2)] == ["f", "c"]
    assert store.pending(5, 0) == []


def test_a_claim_is_a_lease_that_can_be_lengthened_and_given_back(store: CaptureStore) -> None:
    store.create(capture("a"), None)
    mine = claimed(store, "a")
    assert (mine.status, mine.claimed_by, mine.claimed_until) == ("in_progress", "me", NOW + HOUR)
    read = store.get(["a"])["a"]
    assert (read.status, read.claimed_by, read.claimed_until, read.version) == (
        "in_progress",
        "me",
        NOW + HOUR,
        mine.version,
    )
    assert store.pending(1, 10) == []
    longer = store.renew(mine, NOW + 2 * HOUR)
    assert longer is not None
    assert longer.claimed_until == NOW + 2 * HOUR
    assert store.renew(mine, NOW + 3 * HOUR) is None
    back = store.release(longer)
    assert back is not None
    assert (back.status, back.claimed_by, back.claimed_until) == ("pending", None, None)
    assert [found.version for found in store.pending(1, 10)] == [back.version]


def test_who_was_overtaken_changes_nothing(store: CaptureStore) -> None:
    store.create(capture("a"), None)
    (seen,) = store.pending(1, 10)
    mine = store.claim(seen, "me", NOW + HOUR)
    assert mine is not None
    assert store.claim(seen, "you", NOW + HOUR) is None
    assert store.claim(mine, "you", NOW + HOUR) is None
    assert store.fail(seen, "broken") is None
    assert store.transferred(seen, NOW) is None
    assert store.release(seen) is None
    assert store.get(["a"])["a"].claimed_by == "me"
    store.forget("a")
    assert store.release(mine) is None
    assert store.get(["a"]) == {}


def test_many_are_claimed_renewed_and_transferred_at_a_time_but_those_of_others(store: CaptureStore) -> None:
    for number in range(12):
        store.create(capture(f"c{number:02}"), None)
    waiting = store.pending(1, 20)
    taken = {name: store.claim(store.get([name])[name], "you", NOW + HOUR) for name in ("c03", "c07")}
    store.forget("c09")
    mine = store.claim_all(waiting, "me", NOW + HOUR)
    others = {"c03", "c07", "c09"}
    assert [found.capture_id for found in mine] == [
        found.capture_id for found in waiting if found.capture_id not in others
    ]
    assert store.claim_all(waiting, "me", NOW + HOUR) == []
    assert store.claim_all(mine, "me", NOW + HOUR) == []
    assert store.renew_all(waiting, NOW + HOUR) == []
    longer = store.renew_all(mine, NOW + 2 * HOUR)
    assert store.renew_all(mine, NOW + 3 * HOUR) == []
    found = store.get([item.capture_id for item in mine])
    assert {(item.claimed_by, item.claimed_until) for item in found.values()} == {("me", NOW + 2 * HOUR)}
    assert [found[item.capture_id].version for item in longer] == [item.version for item in longer]
    you = taken["c03"]
    assert you is not None
    back = store.release_all(longer[:1])
    assert [(item.capture_id, item.status, item.claimed_by) for item in back] == [
        (longer[0].capture_id, "pending", None)
    ]
    assert store.release_all(longer[:1]) == []
    done = store.transferred_all([*longer, you], NOW)
    assert [item.capture_id for item in done] == [*(item.capture_id for item in longer[1:]), "c03"]
    found = store.get([item.capture_id for item in done])
    assert {item.claimed_by for item in found.values()} == {None}
    assert [item.transferred_by for item in done] == ["me"] * (len(done) - 1) + ["you"]
    assert {key: item.transferred_by for key, item in found.items()} == {
        item.capture_id: item.transferred_by for item in done
    }
    assert store.claim_all([], "me", NOW + HOUR) == []


def test_who_transferred_a_capture_is_forgotten_when_it_is_claimed_anew(
    store: CaptureStore, stranger: Stranger
) -> None:
    stranger.put(CAPTURES, "a", {"status": "pending", "priority": 5, "transferredBy": "old"})
    assert store.get(["a"])["a"].transferred_by == "old"
    assert claimed(store, "a").transferred_by is None
    assert store.get(["a"])["a"].transferred_by is None


def test_leases_end(store: CaptureStore) -> None:
    for name in "abcd":
        store.create(capture(name), None)
    lost, kept = claimed(store, "a"), claimed(store, "b")
    kept = store.renew(kept, NOW + 3 * HOUR) or kept
    done = claimed(store, "c")
    store.transferred(done, NOW)
    assert store.counts(NOW + 2 * HOUR).expired == 1
    assert store.release_expired(NOW) == 0
    assert store.release_expired(NOW + 2 * HOUR) == 1
    assert store.release_expired(NOW + 2 * HOUR) == 0
    assert store.renew(lost, NOW + 9 * HOUR) is None
    assert store.transferred(lost, NOW) is None
    assert {found.capture_id for found in store.pending(1, 10)} == {"a", "d"}
    assert store.get(["a"])["a"].claimed_by is None
    assert store.get(["c"])["c"].status == "in_progress"


def test_a_failed_capture_leaves_the_queue_with_its_reason(store: CaptureStore) -> None:
    store.create(capture("a"), None)
    lost = store.fail(claimed(store, "a"), "its picture is truncated")
    assert lost is not None
    assert (lost.status, lost.reason, lost.claimed_by) == ("failed", "its picture is truncated", None)
    assert store.get(["a"])["a"].reason == "its picture is truncated"
    assert store.pending(1, 10) == []


def test_a_waiting_capture_can_fail_unless_somebody_has_taken_it(store: CaptureStore) -> None:
    for name in "ab":
        store.create(capture(name), None)
    seen = store.get(["a", "b"])
    claimed(store, "b")
    lost = store.fail(seen["a"], "no picture")
    assert lost is not None
    assert (lost.status, lost.reason) == ("failed", "no picture")
    assert store.fail(seen["b"], "no picture") is None
    assert store.get(["b"])["b"].status == "in_progress"


def test_a_capture_is_completed_once(store: CaptureStore) -> None:
    for name in "abc":
        store.create(capture(name), None)
    store.transferred(claimed(store, "a"), NOW)
    store.fail(claimed(store, "b"), "no picture")
    assert store.complete(["b", "a", "unknown", "a"], NOW) == ("b", "a")
    assert store.complete(["a", "b", "c"], NOW) == ("c",)
    found = store.get(["a", "b", "c"])
    assert {(item.status, item.reason, item.claimed_by) for item in found.values()} == {
        ("completed", "", None)
    }


def test_many_captures_are_completed_and_released_at_a_time(store: CaptureStore) -> None:
    names = [f"c{number}" for number in range(320)]

    def claim(worker: int) -> None:
        for name in names[worker::4]:
            store.create(capture(name), None)
            claimed(store, name)

    in_threads(4, claim)
    assert store.release_expired(NOW + 2 * HOUR) == 320
    assert len(store.pending(1, 1000)) == 320
    assert store.complete(names, NOW) == tuple(names)
    assert store.counts(NOW).by_status == {"completed": 320}


def test_four_workers_take_every_capture_exactly_once(store: CaptureStore) -> None:
    names = {f"c{number}" for number in range(400)}

    def submit(worker: int) -> None:
        for number in range(worker, 400, 8):
            store.create(capture(f"c{number}", 1 + number % 10, number % 7), None)

    in_threads(8, submit)
    taken: Counter[str] = Counter()
    guard = threading.Lock()

    def work(worker: int) -> None:
        while waiting := store.pending(1, 40):
            for found in waiting:
                mine = store.claim(found, f"worker-{worker}", NOW + HOUR)
                if mine is not None:
                    with guard:
                        taken[mine.capture_id] += 1

    in_threads(4, work)
    assert taken == Counter(names)
    assert store.counts(NOW).by_status == {"in_progress": 400}


def test_four_workers_take_pages_and_every_capture_exactly_once(store: CaptureStore) -> None:
    names = {f"c{number}" for number in range(400)}

    def submit(worker: int) -> None:
        for number in range(worker, 400, 8):
            store.create(capture(f"c{number}", 1 + number % 10, number % 7), None)

    in_threads(8, submit)
    taken: Counter[str] = Counter()
    guard = threading.Lock()

    def work(worker: int) -> None:
        while waiting := store.pending(1, 40):
            mine = store.claim_all(waiting, f"worker-{worker}", NOW + HOUR)
            with guard:
                taken.update(found.capture_id for found in mine)

    in_threads(4, work)
    assert taken == Counter(names)
    assert store.counts(NOW).by_status == {"in_progress": 400}


def test_captures_are_counted(store: CaptureStore, stranger: Stranger) -> None:
    store.create(capture("a", 5, minute=30), None)
    store.create(capture("b", 5, minute=90, device_id="phone-2"), None)
    store.create(capture("c", 7, minute=3 * 24 * 60), None)
    store.create(capture("d", 8), None)
    claimed(store, "d")
    store.create(capture("e", 8), None)
    store.complete(["e"], NOW)
    stranger.put(CAPTURES, "f", {"confidence": 0.2})
    stranger.put(CAPTURES, "g", {"status": "rejected", "priority": 3, "timestamp": "2026-01-01"})
    stranger.put(
        CAPTURES, "h", {"status": "pending", "priority": 11, "timestamp": "2026-01-01", "deviceId": "x"}
    )
    counts = store.counts(NOW)
    assert counts.by_status == {"pending": 4, "in_progress": 1, "completed": 1}
    assert counts.pending_by_priority == {5: 2, 7: 1, 10: 1}
    assert counts.by_device == {"phone-1": 3, "phone-2": 1, "x": 1}
    assert counts.pending_by_age == {"under an hour": 1, "under a day": 1, "under a week": 1, "older": 1}
    assert counts.oldest_pending is not None
    assert counts.oldest_pending.isoformat() == "2026-01-01T00:00:00+00:00"
    assert (counts.expired, counts.unreadable) == (0, 2)
    assert store.counts(NOW + 2 * HOUR).expired == 1


def test_captures_that_no_queue_offers_are_adopted(store: CaptureStore, stranger: Stranger) -> None:
    app = {
        "model_name": "dogs",
        "confidence": 0.1,
        "processing_time": 0.02,
        "timestamp": 1_757_580_000.5,
        "keypoints": [{"type": "nose", "x": 12.5, "y": 7.0, "confidence": 0.4, "visible": True}],
        "image_data": "/9j/4A==",
    }
    fine = {"status": "pending", "priority": 3, "timestamp": "2026-01-01T00:00:00Z", "confidence": 0.5}
    stranger.put(CAPTURES, "app", app)
    stranger.put(CAPTURES, "text", fine | {"priority": "8"})
    stranger.put(CAPTURES, "timeless", {"status": "pending", "priority": 4, "confidence": 0.5})
    stranger.put(CAPTURES, "none", {"status": "pending"})
    stranger.put(CAPTURES, "fine", fine)
    stranger.put(CAPTURES, "rejected", fine | {"status": "rejected"})
    stranger.put(CAPTURES, "done", {"status": "completed"})
    assert [found.capture_id for found in store.pending(1, 10)] == ["fine"]
    assert sorted(store.adopt()) == ["app", "none", "text", "timeless"]
    assert store.adopt() == ()
    waiting = store.pending(1, 10)
    assert [(found.capture_id, found.priority) for found in waiting] == [
        ("none", 10),
        ("app", 9),
        ("text", 8),
        ("timeless", 4),
        ("fine", 3),
    ]
    assert waiting[1].taken is not None
    assert waiting[1].taken.timestamp() == 1_757_580_000.5
    assert waiting[1].poses[0].keypoints["nose"].x == 12.5
    assert store.picture("app", 100) == bytes.fromhex("ffd8ffe0")
    assert store.counts(NOW).unreadable == 1


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        (None, "pending"),
        (" Pending", "pending"),
        ("COMPLETED", "completed"),
        ("archived", "failed"),
        (7, "failed"),
    ],
    ids=str,
)
def test_a_status_is_written_as_it_is_meant_and_a_foreign_word_stays(
    store: CaptureStore, stranger: Stranger, status: object, becomes: str
) -> None:
    document = {"status": status, "priority": 5, "timestamp": "2026-01-01T00:00:00Z", "confidence": 0.5}
    stranger.put(CAPTURES, "a", document)
    adopted = ("a",) if becomes != "failed" else ()
    assert [store.adopt(), store.adopt()] == [adopted, ()]
    assert store.get(["a"])["a"].status == becomes
    assert [found.capture_id for found in store.pending(1, 5)] == (["a"] if becomes == "pending" else [])
    assert store.counts(NOW).unreadable == (becomes == "failed")
    # One that comes later is not overlooked beside it.
    stranger.put(CAPTURES, "b", {"confidence": 0.5})
    assert store.adopt() == ("b",)


@pytest.mark.parametrize(
    "end",
    ["soon", "2026-01-01T00:00:00Z", 1_700_000_000, None, True, [1], {"a": 1}, b"x", float("nan")],
    ids=str,
)
def test_a_lease_whose_end_is_no_time_does_not_hold_a_capture_for_ever(
    store: CaptureStore, stranger: Stranger, end: object
) -> None:
    held = {"priority": 5, "timestamp": "2026-01-01T00:00:00Z", "confidence": 0.5, "claimedBy": "x"}
    end = str(end) if isinstance(end, bytes) and isinstance(store, EmbeddedStore) else end
    stranger.put(CAPTURES, "held", held | {"status": "in_progress", "claimedUntil": end})
    stranger.put(CAPTURES, "waits", held | {"status": "pending", "claimedUntil": end})
    stranger.put(
        CAPTURES, "brought", held | {"status": "in_progress", "gpusrv_transfer": True, "claimedUntil": end}
    )
    later = NOW + 24 * 365 * HOUR
    for _ in range(2):
        store.adopt()
        store.release_expired(later)
    found = store.get(["held", "waits", "brought"])
    assert {key: item.claimed_until for key, item in found.items()} == dict.fromkeys(found)
    assert found["held"].status == "pending"
    assert {item.capture_id for item in store.pending(1, 5)} >= {"held", "waits"}
    if not isinstance(end, str | int) or end is True or end == "soon":
        assert (found["brought"].status, found["brought"].claimed_by) == ("in_progress", None)
    assert store.adopt() == ()


@pytest.mark.parametrize(("priority", "read"), [(11, 10), (0, 1), (-4, 1), (8.5, 8), (1e300, 10)], ids=str)
def test_priorities_outside_of_1_to_10_are_offered(
    store: CaptureStore, stranger: Stranger, priority: float, read: int
) -> None:
    stranger.put(
        CAPTURES,
        "a",
        {"status": "pending", "priority": priority, "timestamp": "x", "confidence": float("nan")},
    )
    store.adopt()
    (found,) = store.pending(1, 5)
    assert found.priority == read
    assert found.problems
    assert store.claim(found, "me", NOW + HOUR) is not None


def test_a_picture_is_bounded_and_its_absence_is_told(store: CaptureStore) -> None:
    store.create(capture("a"), b"x" * 1000)
    store.create(capture("b"), None)
    assert len(store.picture("a", 1000)) == 1000
    with pytest.raises(PictureError, match="more than 999 bytes"):
        store.picture("a", 999)
    with pytest.raises(NotFoundError):
        store.picture("b", 1000)
    store.create(capture("empty"), b"")
    assert store.picture("empty", 10) == b""


def test_forgetting_removes_a_capture_everywhere_and_nothing_else(store: CaptureStore) -> None:
    for name in "ab":
        store.create(capture(name), JPEG)
    store.write_labeled([correction("a"), correction("a", animal=2), correction("b")])
    removed = store.forget("a")
    assert len(removed) == 4
    assert store.forget("a") == ()
    assert list(store.get(["a", "b"])) == ["b"]
    with pytest.raises(NotFoundError):
        store.picture("a", 100)
    assert list(store.labeled(["a", "b"])) == ["b"]
    assert store.picture("b", 100) == JPEG


def test_the_cost_of_the_queue_does_not_grow_with_what_is_done(store: CaptureStore) -> None:
    if isinstance(store, EmbeddedStore):
        with store._database.read() as connection:
            plan = connection.execute(
                "EXPLAIN QUERY PLAN SELECT id, version, document FROM captures WHERE status = 'pending'"
                " AND priority >= 5 AND taken IS NOT NULL ORDER BY priority DESC, taken, id LIMIT 50"
            ).fetchall()
        text = " ".join(str(row[3]) for row in plan)
        assert "captures_queue (status=? AND priority>?)" in text
        assert "TEMP B-TREE" not in text
    for number in range(60):
        store.create(capture(f"c{number}", minute=number), None)
    store.complete([f"c{number}" for number in range(50)], NOW)
    assert [found.capture_id for found in store.pending(5, 3)] == ["c59", "c58", "c57"]


def test_failed_captures_are_listed_and_wait_again_as_if_nothing_had_been(store: CaptureStore) -> None:
    for name in ("a", "b", "c", "d"):
        store.create(capture(name), JPEG)
    for name, reason in (("b", "no picture"), ("a", "broken")):
        assert store.fail(claimed(store, name), reason) is not None
    assert [(found.capture_id, found.reason) for found in store.failed()] == [
        ("a", "broken"),
        ("b", "no picture"),
    ]
    transferred = store.transferred(claimed(store, "c"), NOW)
    assert transferred is not None
    assert set(store.requeue([*store.failed(), transferred])) == {"a", "b", "c"}
    assert list(store.failed()) == []
    assert {found.capture_id for found in store.pending(1, 10)} == {"a", "b", "c", "d"}
    again = store.get(["a", "c"])
    assert [(found.reason, found.transferred_by, found.claimed_by) for found in again.values()] == [
        ("", None, None)
    ] * 2
    assert claimed(store, "a", "you").claimed_by == "you"


def test_captures_of_a_foreign_status_are_listed(store: CaptureStore, stranger: Stranger) -> None:
    for known in ("pending", "in_progress", "completed", "failed"):
        stranger.put(CAPTURES, known, {"status": known, "priority": 5, "timestamp": "2026-01-01T00:00:00Z"})
    odd: dict[str, object] = {"word": "archived", "number": 7, "list": [1]}
    for name, status in odd.items():
        stranger.put(CAPTURES, name, {"status": status, "priority": 5, "timestamp": "2026-01-01T00:00:00Z"})
    stranger.put(CAPTURES, "none", {"priority": 5})
    found = list(store.foreign())
    assert {one.capture_id for one in found} == {"word", "number", "list"}
    assert set(store.requeue(found)) == {"word", "number", "list"}
    assert list(store.foreign()) == []


def test_what_has_changed_since_it_was_read_is_not_put_back(store: CaptureStore) -> None:
    for name in ("a", "b"):
        store.create(capture(name), None)
        store.fail(claimed(store, name), "no picture")
    seen = list(store.failed())
    assert store.complete(["a"], NOW) == ("a",)
    store.forget("b")
    assert store.requeue(seen) == ()
    assert store.requeue([]) == ()
    assert store.get(["a", "b"])["a"].status == "completed"


def test_a_status_that_nobody_knows_can_be_put_back(store: CaptureStore, stranger: Stranger) -> None:
    stranger.put(CAPTURES, "a", {"status": "archived", "priority": 5, "timestamp": "2026-01-01T00:00:00Z"})
    assert store.requeue(list(store.get(["a"]).values())) == ("a",)
    assert [found.capture_id for found in store.pending(1, 10)] == ["a"]
