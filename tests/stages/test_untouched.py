"""What makes a pushed task one that somebody has touched, each sign by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agir_cvtoolkit.cvat import CvatSession, FrameMap, JobInfo, LabelSet, TaskInfo
from agir_cvtoolkit.cvat.frames import FrameEntry
from agir_cvtoolkit.cvat.replacing import HeldShape, JobContent
from agir_cvtoolkit.ledger import Ledger, PushedJob, PushedTask
from agir_cvtoolkit.stages import _untouched as untouched
from agir_cvtoolkit.stages._untouched import _remarks, why_left

JOB = JobInfo(
    id=51,
    task_id=5,
    state="new",
    stage="annotation",
    type="annotation",
    start_frame=0,
    stop_frame=1,
    updated_date="2026-01-01T00:00:00Z",
)


@pytest.mark.parametrize(
    ("remarks", "reason"),
    [([], ""), ([{"id": 1, "job": 52}], ""), ([{"id": 2, "job": 51}], "job 51 has remarks")],
)
def test_only_remarks_on_the_job_itself_count(remarks: list[dict[str, int]], reason: str) -> None:
    asked: list[object] = []

    def pages(path: str, subject: str, params: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
        asked.append((path, dict(params)))
        return iter(remarks)

    assert _remarks(cast("CvatSession", SimpleNamespace(pages=pages)), JOB) == reason
    assert asked == [("/api/issues", {"job_id": 51})]


# --- each condition by itself ---------------------------------------------------------------------

TASK = PushedTask("p", 1, "field [p-1]", "run", "done", 5, "http://cvat.test/tasks/5")
KEPT = PushedJob("p", 1, 51, 0, 1, JOB.updated_date, "left")
THERE: dict[str, Any] = {
    "frames": FrameMap(5, (FrameEntry(0, "a.png", 8, 4), FrameEntry(1, "b.png", 8, 4))),
    "jobs": [JOB],
    "later": [JOB],
    "kept": KEPT,
    "content": JobContent(()),
    "remarks": [],
}


def reason_for(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> str:
    there = THERE | changes
    listings = iter([there["jobs"], changes.get("later", there["jobs"])])
    monkeypatch.setattr(untouched, "read_frame_map", lambda session, task_id: there["frames"])
    monkeypatch.setattr(untouched, "read_labels", lambda session, task_id: LabelSet(()))
    monkeypatch.setattr(untouched, "read_content", lambda session, job_id, labels: there["content"])
    monkeypatch.setattr(untouched, "_jobs", lambda session, task_id: next(listings))
    session = SimpleNamespace(pages=lambda *args: iter(there["remarks"]), capabilities=None)
    frames = [SimpleNamespace(file_name=name) for name in ("a.png", "b.png")]
    ledger = SimpleNamespace(
        frames_of_task=lambda task: frames,
        jobs_of_task=lambda task: [there["kept"]],
        shapes_left=lambda task, first, last: {0: [], 1: []},
    )
    task = TaskInfo(5, TASK.name, None, 2, "annotation", JOB.updated_date)
    return why_left(cast("CvatSession", session), cast("Ledger", ledger), TASK, task)


def test_a_task_as_it_was_left_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason_for(monkeypatch) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"jobs": [replace(JOB, state="in progress")]}, "in progress"),
        ({"jobs": [replace(JOB, state="completed")]}, "completed"),
        ({"jobs": [replace(JOB, stage="validation")]}, "stage validation"),
        ({"jobs": [replace(JOB, updated_date="2026-01-01T00:00:01Z")]}, "was saved"),
        ({"jobs": [JOB, replace(JOB, id=52, type="ground_truth")]}, "type ground_truth"),
        ({"later": [replace(JOB, updated_date="2026-01-01T00:00:01Z")]}, "right now"),
        ({"later": []}, "right now"),
        ({"kept": replace(KEPT, state="touched")}, "has worked"),
        ({"kept": replace(KEPT, state="replacing")}, "on their way"),
        ({"remarks": [{"id": 1, "job": 51}]}, "remarks"),
        ({"content": JobContent((HeldShape(1, 0, "hers"),))}, "has changed"),
        ({"content": JobContent((), others=1)}, "has changed"),
        ({"frames": replace(THERE["frames"], deleted_frames=frozenset({1}))}, "taken out"),
        ({"frames": FrameMap(5, (FrameEntry(0, "a.png", 8, 4),))}, "other pictures"),
    ],
)
def test_a_task_of_which_anything_is_different_stays(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reason: str
) -> None:
    assert reason in reason_for(monkeypatch, **changes)
