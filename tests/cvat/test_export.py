from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit.cvat import Response, export_dataset, upload_name, wait_for_request
from agir_cvtoolkit.errors import DeadlineError, NotFoundError, RefusedError, ServerFaultError

from .fakes import FakeClock, FakeTransport, cut, ok, opened, page

START = "POST /api/tasks/5/dataset/export"
STATE = "GET /api/requests/r%3D1"
RESULT = "GET /api/tasks/5/dataset/download"
FINISHED = ok(
    {"status": "finished", "result_url": "http://inside:8080/api/tasks/5/dataset/download?rq_id=r%3D1"}
)


def test_an_export_is_asked_for_waited_for_and_downloaded(tmp_path: Path) -> None:
    clock = FakeClock()
    transport = FakeTransport(
        {
            START: ok({"rq_id": "r=1"}, 202),
            STATE: [ok({"status": "queued"}), ok({"status": "started"}), FINISHED],
            RESULT: Response(200, {}, b"PK zip"),
        }
    )
    path = export_dataset(opened(transport, clock=clock), "tasks", 5, tmp_path / "new" / "a.zip")
    assert path.read_bytes() == b"PK zip"
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]
    assert transport.of(START)[0].params == {"format": "CVAT for images 1.1", "save_images": "False"}
    # The address that the server gives itself is replaced by the one that is reached.
    assert transport.of(RESULT)[0].params == {"rq_id": "r=1"}
    assert clock.slept[0] == pytest.approx(0.1)
    assert clock.slept[1] > clock.slept[0]


def test_an_export_under_way_is_joined_and_a_lost_answer_is_repeated(tmp_path: Path) -> None:
    transport = FakeTransport(
        {START: [cut(), ok({"rq_id": "r=1"}, 409)], STATE: FINISHED, RESULT: Response(200, {}, b"PK zip")}
    )
    assert export_dataset(opened(transport), "tasks", 5, tmp_path / "a.zip").exists()


def test_an_export_that_was_forgotten_is_asked_for_again(tmp_path: Path) -> None:
    transport = FakeTransport(
        {START: ok({"rq_id": "r=1"}, 202), STATE: [page(404), FINISHED], RESULT: Response(200, {}, b"PK zip")}
    )
    export_dataset(opened(transport), "tasks", 5, tmp_path / "a.zip")
    assert len(transport.of(START)) == 2


def test_a_failed_export_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    failed = ok({"status": "failed", "message": "Invalid RLE mask representation"})
    transport = FakeTransport({START: ok({"rq_id": "r=1"}, 202), STATE: failed})
    with pytest.raises(RefusedError, match="Invalid RLE mask"):
        export_dataset(opened(transport), "tasks", 5, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_fails_leaves_nothing(tmp_path: Path) -> None:
    transport = FakeTransport({START: ok({"rq_id": "r=1"}, 202), STATE: FINISHED, RESULT: page(500)})
    with pytest.raises(ServerFaultError):
        export_dataset(opened(transport), "tasks", 5, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_results_in_a_cloud_storage_are_fetched_without_credentials(tmp_path: Path) -> None:
    finished = ok({"status": "finished", "result_url": "https://bucket.test/a.zip?sig=1"})
    transport = FakeTransport(
        {START: ok({"rq_id": "r=1"}, 202), STATE: finished, "GET /a.zip": Response(200, {}, b"PK zip")}
    )
    export_dataset(opened(transport), "tasks", 5, tmp_path / "a.zip")
    (call,) = transport.of("GET /a.zip")
    assert not {"Authorization", "Cookie", "X-Organization"} & set(call.headers)


OLD = "GET /api/tasks/5/annotations"


@pytest.mark.parametrize("status", [404, 405])
def test_an_old_server_exports_in_the_old_way(tmp_path: Path, status: int) -> None:
    clock = FakeClock()
    transport = FakeTransport(
        {
            START: ok({"detail": "Not found."}, status),
            OLD: [
                Response(202, {}, b""),
                Response(202, {}, b""),
                Response(201, {}, b""),
                Response(202, {}, b""),
                Response(200, {}, b"PK zip"),
            ],
        },
        version="2.20.0",
    )
    path = export_dataset(opened(transport, clock=clock), "tasks", 5, tmp_path / "a.zip")
    assert path.read_bytes() == b"PK zip"
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
    asked = [call.params.get("action") for call in transport.of(OLD)]
    assert asked == [None, None, None, "download", "download"]
    assert {call.params["format"] for call in transport.of(OLD)} == {"CVAT for images 1.1"}


def test_pictures_are_exported_by_their_own_old_way(tmp_path: Path) -> None:
    old = "GET /api/tasks/5/dataset"
    transport = FakeTransport({old: [Response(201, {}, b""), Response(200, {}, b"PK zip")]}, version="2.31.0")
    export_dataset(opened(transport), "tasks", 5, tmp_path / "a.zip", save_images=True)
    assert len(transport.of(old)) == 2


def test_a_newer_server_without_the_thing_is_not_asked_in_the_old_way(tmp_path: Path) -> None:
    transport = FakeTransport({START: ok({"detail": "No Task matches the given query."}, 404)})
    with pytest.raises(NotFoundError):
        export_dataset(opened(transport), "tasks", 5, tmp_path / "a.zip")
    assert transport.of(OLD) == []


def test_waiting_has_a_deadline_and_growing_pauses() -> None:
    clock = FakeClock()
    session = opened(FakeTransport({STATE: ok({"status": "started"})}), clock=clock)
    with pytest.raises(DeadlineError, match="within 60 s"):
        wait_for_request(session, "r=1", "create task 5", 60.0)
    assert clock.now() == pytest.approx(60.0)
    assert max(clock.slept) <= 5.0
    assert sorted(clock.slept[:-1]) == clock.slept[:-1]


@pytest.mark.parametrize("stem", ["a b", "ü", "x&y%#", ".hidden", "A.JPG"])
def test_ordinary_names_stay(stem: str) -> None:
    assert upload_name(stem, ".png") == f"{stem}.png"


@pytest.mark.parametrize(
    "stem",
    [
        "a&lt;b",
        "a&amp",
        "x&copyright",
        " a",
        "no\u00a0break",
        "zero\u200bwidth",
        "soft\u00adhyphen",
        "\ufeffbom",
    ],
)
def test_names_that_the_server_would_change_are_changed_first(stem: str) -> None:
    import html

    name = upload_name(stem, ".png")
    assert name == html.unescape(name).strip()
    assert name.isprintable()
    assert name.endswith(".png")
    assert name != upload_name(stem + "&amp;", ".png")


@pytest.mark.parametrize(("body", "what"), [(b"<html>busy</html>", "a page"), (b"", "something else")])
def test_what_is_no_archive_is_the_servers_fault(tmp_path: Path, body: bytes, what: str) -> None:
    transport = FakeTransport(
        {START: ok({"rq_id": "r=1"}, 202), STATE: FINISHED, RESULT: Response(200, {}, body)}
    )
    with pytest.raises(
        ServerFaultError, match=f"sent {what} in place of an archive, could not export task 5"
    ):
        export_dataset(opened(transport), "tasks", 5, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []
