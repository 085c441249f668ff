"""Which frames of a task are records, and which only look like it."""

from __future__ import annotations

from typing import Any

import pytest

from agir_cvtoolkit.cvat import Response, read_frame_map, read_frames_of_jobs, read_job_frames
from agir_cvtoolkit.errors import FrameMapError, ServerFaultError

from .fakes import FakeTransport, ok, opened

META = "GET /api/tasks/5/data/meta"
LAYOUT = "GET /api/tasks/5/validation_layout"


def meta(*names: str, **more: Any) -> Response:
    frames = [{"name": name, "width": 8, "height": 4} for name in names]
    return ok({"frames": frames, "deleted_frames": [], **more})


def layout(**changes: Any) -> Response:
    pool = {
        "mode": "gt_pool",
        "validation_frames": [4, 5],
        "disabled_frames": [],
        "honeypot_frames": [0, 2],
        "honeypot_real_frames": [5, 4],
    }
    return ok(pool | changes)


HIDDEN = meta("b.png", "x.png", "a.png", "y.png", "a.png", "b.png", deleted_frames=[3])


def test_honeypots_and_their_pool_are_told_from_records() -> None:
    frames = read_frame_map(opened(FakeTransport({META: HIDDEN, LAYOUT: layout()})), 5)
    assert frames.honeypots == {0: 5, 2: 4}
    assert frames.validation_frames == {4, 5}
    assert frames.no_records == {0, 2, 3, 4, 5}
    assert {name: entry.frame for name, entry in frames.by_name.items()} == {
        "x.png": 1,
        "y.png": 3,
        "a.png": 4,
        "b.png": 5,
    }


def test_an_ordinary_task_is_not_asked_for_honeypots() -> None:
    transport = FakeTransport({META: meta("a.png", "b.png"), LAYOUT: layout()})
    frames = read_frame_map(opened(transport), 5)
    assert (dict(frames.honeypots), frames.no_records) == ({}, frozenset())
    assert transport.of(LAYOUT) == []


@pytest.mark.parametrize(
    "answer",
    [
        ok({"mode": None}),
        ok({"mode": "gt", "validation_frames": [0]}),
        ok({"detail": "Not found."}, 404),
        ok({"detail": "no"}, 400),
        ok("x"),
        layout(honeypot_real_frames=[5]),
        layout(honeypot_frames=None),
    ],
)
def test_names_that_are_double_for_no_reason_are_an_error(answer: Response) -> None:
    transport = FakeTransport({META: meta("a.png", "a.png"), LAYOUT: answer})
    with pytest.raises(FrameMapError, match=r"several frames of one name: 'a\.png'"):
        read_frame_map(opened(transport), 5)


def test_a_server_before_honeypots_is_not_asked() -> None:
    transport = FakeTransport({META: meta("a.png", "a.png"), LAYOUT: layout()}, version="2.20.0")
    with pytest.raises(FrameMapError):
        read_frame_map(opened(transport), 5)
    assert transport.of(LAYOUT) == []


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"included_frames": [1, 4], "deleted_frames": [4]}, ({1, 4}, {4})),
        ({"included_frames": None, "deleted_frames": []}, (None, set())),
        ({}, (None, set())),
        ({"included_frames": [], "deleted_frames": "x"}, (set(), set())),
    ],
)
def test_the_frames_of_a_ground_truth_job(answer: Any, found: Any) -> None:
    session = opened(FakeTransport({"GET /api/jobs/7/data/meta": ok(answer)}))
    assert read_job_frames(session, 7) == found


def test_frames_that_cannot_be_understood_are_an_error() -> None:
    with pytest.raises(ServerFaultError, match="Job 7"):
        read_job_frames(opened(FakeTransport({"GET /api/jobs/7/data/meta": ok([])})), 7)
    with pytest.raises(ServerFaultError, match="no list of frames"):
        read_frame_map(opened(FakeTransport({META: ok({"frames": None})})), 5)


def test_frames_of_single_jobs_have_the_numbers_of_their_task() -> None:
    job = "GET /api/jobs/{}/data/meta"
    transport = FakeTransport(
        {
            job.format(7): meta("c.png", "d.png", deleted_frames=[3]),
            job.format(6): meta("a.png", "c.png"),
            job.format(8): meta("a.png"),
            job.format(9): ok([]),
        }
    )
    session = opened(transport)
    found = read_frames_of_jobs(session, 5, [(7, 2), (6, 1)])
    assert [(entry.frame, entry.name) for entry in found.entries] == [
        (1, "a.png"),
        (2, "c.png"),
        (3, "d.png"),
    ]
    assert (found.task_id, set(found.deleted_frames)) == (5, {3})
    with pytest.raises(FrameMapError, match=r"several frames of one name: 'a\.png'"):
        read_frames_of_jobs(session, 5, [(6, 1), (8, 9)])
    with pytest.raises(ServerFaultError, match="Job 9 has no list of frames"):
        read_frames_of_jobs(session, 5, [(9, 0)])
