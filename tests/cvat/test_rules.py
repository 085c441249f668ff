"""What the rules of speaking to CVAT promise and the tests of the single files do not look at."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import orjson
import pytest

from agir_cvtoolkit.cvat import (
    JobInfo,
    PictureToSend,
    Response,
    TaskRequest,
    TransportFailure,
    UploadOptions,
    create_task,
    export,
    find_jobs,
    read_job_by_export,
    upload,
    upload_name,
    write_new,
)
from agir_cvtoolkit.cvat.attribute_check import checked_attributes
from agir_cvtoolkit.cvat.background import wait_for_request
from agir_cvtoolkit.cvat.capabilities import capabilities_of
from agir_cvtoolkit.cvat.failures import unreachable
from agir_cvtoolkit.cvat.frames import FrameEntry, FrameMap, check_frames
from agir_cvtoolkit.cvat.labels import AttributeSpec, LabelSet, LabelSpec
from agir_cvtoolkit.cvat.preparation import prepare
from agir_cvtoolkit.cvat.server_files import ServerPlace, take_from_server
from agir_cvtoolkit.cvat.shapes_json import shape_to_json
from agir_cvtoolkit.cvat.upload import check_pictures
from agir_cvtoolkit.cvat.xml_shapes import ExportedImage
from agir_cvtoolkit.errors import FrameMapError, PictureError, RefusedError, ShapeError
from agir_cvtoolkit.progress import Silent
from agir_cvtoolkit.shapes import Points, Skeleton, Tag

from .fakes import FakeTransport, cut, ok, opened

CONFIDENCE = AttributeSpec(3, "confidence")

# --- 1: what newer servers say does no harm --------------------------------------------------------

JOB = {
    "id": 1,
    "task_id": 2,
    "project_id": 3,
    "state": "completed",
    "stage": "annotation",
    "type": "annotation",
}


def test_jobs_with_fields_and_states_of_newer_servers_are_read() -> None:
    items = [JOB | {"mood": {"good": 1}}, JOB | {"id": 4, "state": "asleep", "stage": "party"}]
    session = opened(FakeTransport({"GET /api/jobs": ok({"next": None, "results": items})}))
    found = find_jobs(session, project_id=3, required_status=None)
    assert [(job.id, job.state, job.stage) for job in found] == [
        (1, "completed", "annotation"),
        (4, "asleep", "party"),
    ]
    assert [job.id for job in find_jobs(session, project_id=3)] == [1]


def test_a_job_of_a_type_that_nobody_knows_is_not_the_tasks_own_work() -> None:
    items = [JOB, JOB | {"id": 4, "type": "rehearsal"}]
    session = opened(FakeTransport({"GET /api/jobs": ok({"next": None, "results": items})}))
    assert [job.id for job in find_jobs(session, project_id=3)] == [1]


def test_a_request_in_a_state_that_nobody_knows_is_waited_for() -> None:
    states = [ok({"id": "r", "status": status}) for status in ("queued", "deferred", "finished")]
    transport = FakeTransport({"GET /api/requests/r": list(states)})
    assert wait_for_request(opened(transport), "r", "test").status == "finished"
    assert len(transport.of("GET /api/requests/r")) == 3


def test_an_attribute_of_a_kind_that_nobody_knows_takes_any_value() -> None:
    label = LabelSpec(1, "weed", attributes=(AttributeSpec(2, "hue", "colour", ("red",)),))
    assert checked_attributes({"hue": "blue"}, label, "box") == {"hue": "blue"}


# --- 3: frames are known by name -------------------------------------------------------------------


def frames_of(*names: str) -> FrameMap:
    return FrameMap(5, tuple(FrameEntry(number, name, 8, 4) for number, name in enumerate(names)))


@pytest.mark.parametrize(
    ("there", "text"),
    [
        (["a.png"], r"missing 'b\.png'"),
        (["a.png", "b.png", "c.png"], r"not sent 'c\.png'"),
        (["a.png", "c.png"], r"missing 'b\.png'; not sent 'c\.png'"),
    ],
)
def test_a_picture_that_is_missing_or_was_not_sent_is_found(there: list[str], text: str) -> None:
    expected = {"a.png": (8, 4), "b.png": None}
    check_frames(frames_of("b.png", "a.png"), expected)
    with pytest.raises(FrameMapError, match=text):
        check_frames(frames_of(*there), expected)


def test_pictures_on_the_share_keep_their_paths_as_names_in_the_order_that_was_asked_for(
    tmp_path: Path,
) -> None:
    finished = ok({"id": "r", "status": "finished"})
    transport = FakeTransport(
        {
            "POST /api/tasks/5/data/": ok({"rq_id": "r"}, 202),
            "GET /api/requests/r": finished,
            "GET /api/tasks/5": ok({"id": 5, "size": 2}),
        }
    )
    pictures = [PictureToSend(name, tmp_path / "x") for name in ("b/1.png", "a/1.png")]
    with Silent().bar("x", 2) as bar:
        take_from_server(opened(transport), 5, ServerPlace(), pictures, UploadOptions(), bar)
    (told,) = transport.of("POST /api/tasks/5/data/")
    assert told.json["server_files"] == ["b/1.png", "a/1.png"]
    assert told.json["sorting_method"] == "predefined"
    assert told.json["copy_data"] is False


def test_names_that_are_changed_for_the_server_never_meet() -> None:
    names = [upload_name(stem, ".png") for stem in ("a\u00a0b", "a\u00adb", "a\u200bb", "a_b", " a_b")]
    assert len(set(names)) == len(names)


# --- 4: pictures are checked before anything is made ---------------------------------------------------


def test_a_picture_of_a_size_that_servers_do_not_take_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    monkeypatch.setattr(upload, "LARGEST_FILE", 10)
    for size, fits in ((0, False), (1, True), (10, True), (11, False)):
        path.write_bytes(b"x" * size)
        with nullcontext() if fits else pytest.raises(PictureError, match=f"has {size} bytes"):
            check_pictures([PictureToSend("a.png", path)])


# --- 12: confidence ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "score"), [("2.59.1", None), ("2.60.0", 0.25)])
def test_the_confidence_of_a_skeletons_element_goes_along(version: str, score: float | None) -> None:
    label = LabelSpec(1, "dog", "skeleton", sublabels=(LabelSpec(2, "nose", attributes=(CONFIDENCE,)),))
    nose = Points(label="nose", points=((1.0, 2.0),), confidence=0.25)
    sent = orjson.loads(
        shape_to_json(Skeleton(label="dog", elements=(nose,)), 0, label, capabilities_of(version, "x"))
    )
    (element,) = sent["elements"]
    assert element.get("score") == score
    wanted = [] if score is not None else [{"spec_id": 3, "value": "0.2500"}]
    assert element["attributes"] == wanted


# --- 6: no twins ---------------------------------------------------------------------------------------


def test_a_task_that_was_made_late_after_all_is_removed() -> None:
    def listed(*numbers: int) -> Response:
        return ok(
            {"next": None, "results": [{"id": n, "name": "t", "project_id": 3, "size": 0} for n in numbers]}
        )

    transport = FakeTransport(
        {
            "POST /api/tasks": [cut(), ok({"id": 2, "name": "t", "project_id": 3}, 201)],
            "GET /api/tasks": [listed(), listed(1, 2)],
            "DELETE /api/tasks/1": Response(204),
        }
    )
    assert create_task(opened(transport), TaskRequest("t", 3)).id == 2
    assert [call.path for call in transport.calls if call.method == "DELETE"] == ["/api/tasks/1"]


# --- 14: the export is believed only where it says what the task says ----------------------------------


@pytest.mark.parametrize(
    ("frame", "name", "fits"), [(0, "a.png", True), (0, "b.png", False), (7, "a.png", False)]
)
def test_an_export_that_calls_a_frame_otherwise_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, frame: int, name: str, fits: bool
) -> None:
    image = ExportedImage(frame, name, 8, 4, None, ())
    monkeypatch.setattr(export, "export_dataset", lambda *args: None)
    monkeypatch.setattr(export, "read_images_xml", lambda archive: iter([image]))
    job = JobInfo(1, 5, "completed", "annotation", "annotation", 0, 1, "")
    with nullcontext() if fits else pytest.raises(FrameMapError, match="calls frame"):
        read_job_by_export(opened(FakeTransport()), job, frames_of("a.png", "b.png"))


# --- 7 and 16: a forgotten request, and errors --------------------------------------------------------


def test_a_task_whose_request_was_forgotten_is_waited_for_until_it_has_frames() -> None:
    transport = FakeTransport(
        {
            "POST /api/tasks/5/data/": ok({"rq_id": "r"}, 202),
            "GET /api/tasks/5": [ok({"id": 5, "size": 0}), ok({"id": 5, "size": 2})],
        }
    )
    prepare(opened(transport), 5, {}, {}, 60.0)
    assert len(transport.of("GET /api/tasks/5")) == 2


def test_a_quota_is_told_in_the_servers_words_and_with_a_way_on() -> None:
    transport = FakeTransport({"POST /api/tasks": ok({"detail": "limit of 10 tasks reached"}, 403)})
    with pytest.raises(RefusedError) as caught:
        create_task(opened(transport), TaskRequest("t", 3))
    assert "create task 't'" in caught.value.problem
    assert "limit of 10 tasks reached" in caught.value.problem
    assert "role" in caught.value.next_step
    assert "read-only" in caught.value.next_step


def test_a_certificate_that_does_not_verify_is_named_with_its_server_and_reason() -> None:
    failure = TransportFailure("certificate", "self-signed certificate", sent=False)
    error = unreachable(failure, "https://cvat.test", "log in")
    assert "certificate of https://cvat.test" in error.problem
    assert "self-signed certificate" in error.problem
    assert "authority" in error.next_step


# --- 5 and 8 ---------------------------------------------------------------------------------------------


def test_as_many_groups_are_under_way_as_asked_for_and_no_more(tmp_path: Path) -> None:
    groups = Counter[str]()
    together, lock = threading.Barrier(3), threading.Lock()

    class Slow(FakeTransport):
        def send(self, method: str, url: str, *, headers: Mapping[str, str], **rest: Any) -> Response:
            if "Upload-Multiple" in headers:
                with lock:
                    groups["under way"] += 1
                    groups["most"] = max(groups["most"], groups["under way"])
                together.wait(timeout=120)
                with lock:
                    groups["under way"] -= 1
            return super().send(method, url, headers=headers, **rest)

    pictures = []
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(b"x")
        pictures.append(PictureToSend(f"{number}.png", tmp_path / f"{number}.png"))
    finished = ok({"id": "r", "status": "finished"})
    begun = ok({"rq_id": "r"}, 202)
    transport = Slow({"POST /api/tasks/5/data/": begun, "GET /api/requests/r": finished})
    options = UploadOptions(group_files=1, in_flight=3)
    with Silent().bar("x", 6) as bar:
        upload.send_pictures(opened(transport), 5, pictures, options, bar)
    assert groups["most"] == 3


def test_a_tag_of_a_label_that_takes_none_is_refused_before_anything_is_sent() -> None:
    transport = FakeTransport({"GET /api/jobs/5/annotations/": ok({"shapes": []})})
    job = JobInfo(5, 2, "new", "annotation", "annotation", 0, 1, "")
    labels = LabelSet((LabelSpec(1, "weed", "mask"),))
    with pytest.raises(ShapeError, match="only shapes of type mask"):
        write_new(
            opened(transport), job, {0: [Tag(label="weed")]}, labels=labels, frame_map=frames_of("a.png")
        )
    assert not [call for call in transport.calls if call.method in {"PUT", "PATCH"}]
