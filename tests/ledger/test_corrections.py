"""Corrections in the ledger: replaced per job, told once per record."""

from __future__ import annotations

from dataclasses import replace

from agir_cvtoolkit.ledger import CorrectionRow, Ledger, PushedFrame, PushedShape, PushedTask, PushKey

ROW = CorrectionRow(
    server="http://s",
    run_id="run",
    task_id=1,
    job_id=11,
    frame=0,
    record_id="MD_1",
    outcome="edited",
    label="weed",
    label_before="weed",
    kind="mask",
    iou=0.8123456789,
    boundary_px=1.5,
    moved_points=None,
    moved_px=None,
    changed_points=None,
    annotator="ada",
    updated_date="2026-01-01T00:00:00Z",
)


def told(ledger: Ledger, record_id: str = "MD_1") -> list[dict[str, object]]:
    return [dict(e.detail) for e in ledger.events_of_record(record_id) if e.kind == "corrected"]


def test_a_job_read_again_replaces_what_was_said_of_it_and_of_no_other(ledger: Ledger) -> None:
    other = replace(ROW, job_id=12, frame=5, record_id="MD_2", outcome="added", label_before=None)
    ledger.record_corrections("http://s", "run", 11, [ROW, replace(ROW, outcome="deleted", iou=None)])
    ledger.record_corrections("http://s", "run", 12, [other])
    ledger.record_corrections("http://s", "run", 11, [replace(ROW, outcome="accepted", iou=1.0)])
    assert list(ledger.corrections_of_run("run", "http://s")) == [
        replace(ROW, outcome="accepted", iou=1.0),
        other,
    ]
    assert list(ledger.corrections_of_run("another", "http://s")) == []


def test_the_same_again_tells_nothing_new(ledger: Ledger) -> None:
    ledger.record_corrections("http://s", "run", 11, [ROW])
    ledger.record_corrections("http://s", "run", 11, [ROW])
    ledger.record_corrections("http://s", "run", 11, [replace(ROW, updated_date="2026-01-02T00:00:00Z")])
    assert told(ledger) == [{"task": 1, "job": 11, "edited": 1, "iou": 0.8123, "annotator": "ada"}]
    assert next(ledger.corrections_of_run("run", "http://s")).updated_date == "2026-01-02T00:00:00Z"
    ledger.record_corrections("http://s", "run", 11, [replace(ROW, outcome="deleted", iou=None)])
    assert [detail.get("deleted") for detail in told(ledger)] == [None, 1]


def test_what_a_push_left_comes_by_frame_and_empty_frames_are_listed(ledger: Ledger) -> None:
    push_id = ledger.open_push(PushKey("http://s", 7, None, "Round1", "segmentations"), "run")
    task = PushedTask(push_id, 1, "Round1 [1]", "run", "planned", None, None)
    ledger.plan_task(task)
    ledger.task_created(task, 1, "http://s/tasks/1")
    frames = [PushedFrame(push_id, 1, n, f"MD_{n}", f"MD_{n}.jpg", "ab", 8, 6, "cd") for n in range(4)]
    ledger.task_filled(task, frames)
    shapes = [PushedShape(n, p, "weed", "mask", f"h{n}{p}", b"x") for n, p in ((0, 1), (0, 0), (3, 0))]
    ledger.task_done(task, {0: 2, 3: 1}, shapes)
    assert ledger.shapes_left(task, 0, 2) == {0: [shapes[1], shapes[0]], 1: [], 2: []}
    assert ledger.shapes_left(task, 3, 9) == {3: [shapes[2]]}
