"""Answers that no CVAT gives: each ends in one clear error or a listed skip, and the rest goes on."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

import agir_cvtoolkit.cvat.session
from agir_cvtoolkit.cvat.transport import Response, Urllib3Transport
from agir_cvtoolkit.stages import _pull_read

from .workspace import Json, Outcome, Workspace

pytestmark = pytest.mark.integration


def answering(monkeypatch: pytest.MonkeyPatch, pattern: str, change: Callable[[bytes], bytes]) -> None:
    """Let the server's good answers to the requests that fit be others."""

    class Changed(Urllib3Transport):
        def send(self, method: str, url: str, **options: Any) -> Response:
            answer = super().send(method, url, **options)
            if not re.search(pattern, f"{method} {url.partition('/api/')[2]}") or answer.status != 200:
                return answer
            path = options.get("to_file")
            if path is not None:
                path.write_bytes(change(path.read_bytes()))
                return answer
            return Response(answer.status, answer.headers, change(answer.body), answer.cookies)

    monkeypatch.setattr(agir_cvtoolkit.cvat.session, "Urllib3Transport", Changed)


def with_fields(changes: Json) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        content = json.loads(body)
        for item in content.get("results", [content]):
            item.update(changes)
        return json.dumps(content).encode()

    return change


def with_item(name: str, item: Json) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        content = json.loads(body)
        content[name].append(item)
        return json.dumps(content).encode()

    return change


@pytest.fixture
def finished(predicted: Workspace) -> Workspace:
    predicted.complete(predicted.upload()["task_id"])
    predicted.cli("download-cvat")
    return predicted


def again(workspace: Workspace, code: int | None = None) -> Outcome:
    outcome = workspace.cli("download-cvat", "-o", "cvat_download.overwrite_existing=true", code=code)
    assert "This is a bug" not in outcome.text
    assert "Traceback" not in outcome.text
    return outcome


SHAPES: list[tuple[Json, str]] = [
    ({}, "names no frame"),
    ({"type": "banana", "frame": 0}, "banana"),
    ({"type": None, "frame": None, "label_id": None, "points": None}, "names no frame"),
    ({"type": "mask", "frame": 0, "points": None}, "no numbers"),
    ({"type": "mask", "frame": 0, "points": []}, "0 numbers"),
    ({"type": "mask", "frame": 0, "points": ["a", 1, 2, 3, 4, 5]}, "no numbers"),
    ({"type": "mask", "frame": 0, "points": [1e30, 0, 0, 0, 0, 0]}, "too large"),
    ({"type": "mask", "frame": 0, "points": [5, 5, -10, -10, -1, -1]}, "runs sum to"),
    ({"type": "polygon", "frame": 0}, "has no points"),
    ({"type": "polygon", "frame": 0, "points": [1, 2, 3]}, "3 coordinates"),
    ({"type": "polygon", "frame": 0, "points": [1, 2]}, "2 coordinates"),
    ({"type": "polygon", "frame": "0", "points": [1, 1, 5, 1, 5, 5]}, "names no frame"),
    ({"type": "polygon", "frame": True, "points": [1, 1, 5, 1, 5, 5]}, "names no frame"),
    ({"type": "polygon", "frame": 10**12, "points": [1, 1, 5, 1, 5, 5]}, "frame 1000000000000, which"),
    ({"type": "polygon", "frame": -1, "points": [1, 1, 5, 1, 5, 5]}, "frame -1, which"),
    ({"type": "polygon", "frame": 0, "points": [1e308, 1e308, -1e308, 1, 5, 5]}, "too large"),
    ({"type": "polygon", "frame": 0, "points": [None, 1, 5, 1, 5, 5]}, "no number"),
    ({"type": "points", "frame": 0, "points": {"a": 1}}, "no points"),
    ({"type": "rectangle", "frame": 0, "points": [1, 1, 5, 5], "rotation": "x"}, "rectangle on frame 0"),
    ({"type": "rectangle", "frame": 0, "points": [1, 1, 5, 5], "label_id": "5"}, "label 5 is unknown"),
    ({"type": "skeleton", "frame": 0, "elements": [None]}, "elements are no points"),
    ({"type": "skeleton", "frame": 0, "elements": "x"}, "elements are no points"),
]


# Most of these run through their cases in one folder, since each case ends as it began: with all that was pulled.


def test_a_shape_that_cannot_be_understood_is_listed(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = finished.metrics()["upload-cvat"]["task_id"]
    label = next(iter(finished.labels(task_id)))
    for shape, said in SHAPES:
        item = {"id": 4711, "label_id": label} | shape if shape else shape
        with monkeypatch.context() as patched:
            answering(patched, r"GET jobs/\d+/annotations", with_item("shapes", item))
            outcome = again(finished, code=1)
        assert said in outcome.stderr, shape
        assert "frame -1 of" not in outcome.stderr, shape
        assert {"img_1", "img_2"} <= set(finished.pulled(task_id)), shape
        again(finished, code=0)
        assert set(finished.pulled(task_id)) == {"img_0", "img_1", "img_2"}, shape


def test_a_job_with_absurd_numbers(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    absurd: list[tuple[str, object]] = [
        ("id", "five"),
        ("id", 10**30),
        ("task_id", "x"),
        ("start_frame", -5),
        ("stop_frame", 10**12),
        ("stop_frame", 1.5),
        ("stop_frame", True),
    ]
    for name, value in absurd:
        with monkeypatch.context() as patched:
            answering(patched, r"GET jobs\?", with_fields({name: value}))
            outcome = again(finished, code=3)
        assert name in outcome.stderr, value
        assert "makes no sense" in outcome.stderr, (name, value)
        again(finished, code=0)


@pytest.mark.parametrize(
    "date",
    [
        None,
        5,
        "yesterday",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.123456789Z",
        "2026-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_a_server_with_another_calendar(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch, date: object
) -> None:
    """Also one that was restored from a backup: whatever the date is, the job is read and kept."""
    task_id = finished.metrics()["upload-cvat"]["task_id"]
    with monkeypatch.context() as patched:
        answering(patched, r"GET (jobs|tasks)\?", with_fields({"updated_date": date}))
        for _ in range(2):
            finished.cli("download-cvat")
            assert set(finished.pulled(task_id)) == {"img_0", "img_1", "img_2"}
    finished.cli("download-cvat")
    assert set(finished.pulled(task_id)) == {"img_0", "img_1", "img_2"}


def test_frames_that_make_no_sense(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for frames in (
        None,
        [None],
        [{"name": None}],
        [{"name": "a.png", "width": 10**9, "height": 10**9}],
        [{"name": "a.png", "width": "wide", "height": 5}],
    ):
        with monkeypatch.context() as patched:
            answering(patched, "data/meta", with_fields({"frames": frames}))
            outcome = again(finished, code=3)
        assert re.search("[tT]ask|[fF]rame", outcome.stderr), frames
        again(finished, code=0)


def test_labels_with_strange_fields_do_no_harm(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    strange: tuple[Json, ...] = (
        {"attributes": 5},
        {"attributes": [{"id": 1, "name": "a", "values": 5}]},
        {"sublabels": 5},
        {"color": [1]},
    )
    for fields in strange:
        with monkeypatch.context() as patched:
            answering(patched, r"GET labels", with_fields(fields))
            again(finished, code=0)


def always(content: bytes) -> Callable[[bytes], bytes]:
    return lambda _: content


def archive(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in files.items():
            packed.writestr(name.replace("__", "../").replace("_xml", ".xml"), text)
    return content.getvalue()


def test_an_export_that_is_not_to_be_trusted(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = finished.metrics()["upload-cvat"]["task_id"]
    for said, content in (
        ("escapes its folder", archive(__evil="x", annotations_xml="<annotations/>")),
        ("explodes", archive(annotations_xml="<annotations>" + " " * 100_000_000)),
        ("entities", archive(annotations_xml='<!DOCTYPE a [<!ENTITY b "c">]><annotations/>')),
        ("document type", archive(annotations_xml='<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>')),
        ("no annotations.xml", archive(other_xml="x")),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(_pull_read, "EXPORT_FROM_PIXELS", 1)
            answering(patched, "download|result", always(content))
            outcome = again(finished, code=4)
        assert said in outcome.stderr
        assert "The export of job " in outcome.stderr, said
        assert list(finished.root.parent.rglob("evil")) == [], said
        again(finished, code=0)
        assert set(finished.pulled(task_id)) == {"img_0", "img_1", "img_2"}, said


def test_a_page_in_place_of_an_export(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(_pull_read, "EXPORT_FROM_PIXELS", 1)
        answering(patched, "download|result", always(b"<html>log in</html>"))
        outcome = again(finished, code=3)
    assert "sent a page in place of an archive" in outcome.stderr
    again(finished, code=0)


@pytest.mark.parametrize(
    "words", ["cvat_download.task_ids=[99999999999999999999]", "cvat_download.task_ids=[0]"]
)
def test_an_id_that_no_server_gives(finished: Workspace, words: str) -> None:
    outcome = finished.cli("download-cvat", "-o", words, code=2)
    assert "task_ids" in outcome.stderr


def test_labels_that_differ_in_spelling_alone(predicted: Workspace) -> None:
    exact = predicted.project("weed", "WEED ", "Weed")
    assert predicted.upload("-o", f"cvat_upload.project_id={exact}")["uploaded_annotations"] == 3
    unclear = predicted.project("Weed", "WEED")
    outcome = predicted.cli("upload-cvat", "-o", f"cvat_upload.project_id={unclear}", code=4)
    assert "could be any of 'Weed', 'WEED'" in outcome.stderr
    assert "label_map" in outcome.stderr
    assert len(predicted.tasks()) == 1
