"""What a push left, which records share a picture, and replacements from intention to end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agir_cvtoolkit.ledger import (
    Ledger,
    PushedAlias,
    PushedFrame,
    PushedJob,
    PushedShape,
    PushedTask,
    PushKey,
    Replacement,
)

KEY = PushKey("http://s", 7, "PSA", "Round1", "segmentations")


@pytest.fixture
def task(ledger: Ledger) -> PushedTask:
    push_id = ledger.open_push(KEY, "run")
    made = PushedTask(push_id, 1, f"Round1 [{push_id}]", "run", "planned", None, None)
    ledger.plan_task(made)
    ledger.task_created(made, 41, "http://s/tasks/41")
    frames = [
        PushedFrame(push_id, 1, n, f"r{n}", f"r{n}.jpg", f"{n}" * 64, 8, 6, f"old {n}") for n in range(3)
    ]
    ledger.task_filled(made, frames)
    return replace(made, task_id=41, state="done")


def shape(frame: int, position: int, mark: str) -> PushedShape:
    return PushedShape(frame, position, "weed", "mask", mark, mark.encode())


def job(task: PushedTask, number: int, frames: range, date: str = "2026") -> PushedJob:
    return PushedJob(task.push_id, task.ordinal, number, frames.start, frames.stop - 1, date, "left")


def left(ledger: Ledger, task: PushedTask) -> list[list[str]]:
    return [[s.geometry_hash for s in ledger.shapes_of_frame(task, frame)] for frame in range(3)]


def test_shapes_of_a_frame_are_kept_in_place_of_earlier_ones(ledger: Ledger, task: PushedTask) -> None:
    ledger.keep_shapes(task, {0: [shape(0, 0, "a"), shape(0, 1, "b")], 1: [shape(1, 0, "c")]})
    ledger.keep_shapes(task, {0: [shape(0, 0, "d")], 2: []})
    assert left(ledger, task) == [["d"], ["c"], []]
    assert ledger.shape_counts(task) == {0: 1, 1: 1}
    ledger.task_done(task, ledger.shape_counts(task), jobs=[job(task, 5, range(3))])
    assert left(ledger, task) == [["d"], ["c"], []]
    assert [frame.shapes for frame in ledger.frames_of_task(task)] == [1, 1, 0]
    assert ledger.jobs_of_task(task) == [job(task, 5, range(3))]


def test_a_replacement_from_intention_to_end(ledger: Ledger, task: PushedTask) -> None:
    ledger.keep_shapes(task, {n: [shape(n, 0, f"old {n}")] for n in range(3)})
    first, second = job(task, 5, range(2)), job(task, 6, range(2, 3))
    ledger.task_done(task, {}, jobs=[first, second])
    ledger.stage_replacement(first, Replacement(0, "new 0", 2), [shape(0, 0, "x"), shape(0, 1, "y")])
    ledger.stage_replacement(first, Replacement(0, "newer 0", 2), [shape(0, 0, "z"), shape(0, 1, "y")])
    ledger.stage_replacement(second, Replacement(2, "new 2", 1), [])
    assert left(ledger, task) == [["old 0"], ["old 1"], ["old 2"]], "nothing counts yet"
    ledger.keep_job(replace(first, state="replacing", written=1))
    assert [(j.state, j.written) for j in ledger.jobs_of_push(task.push_id)] == [
        ("replacing", 1),
        ("left", -1),
    ]
    assert ledger.replacements_of_job(first) == [Replacement(0, "newer 0", 2)]
    assert [s.geometry_hash for s in ledger.replacement_shapes(first, 0)] == ["z", "y"]
    ended = replace(first, updated_date="2027")
    ledger.end_replacing(ended, "run", ledger.replacements_of_job(first), {"task": 41})
    assert left(ledger, task) == [["z", "y"], ["old 1"], ["old 2"]]
    frame = ledger.frames_of_task(task)[0]
    assert (frame.prediction_hash, frame.units, frame.shapes) == ("newer 0", 2, 2)
    assert ledger.jobs_of_task(task) == [ended, second]
    assert ledger.replacements_of_job(first) == []
    assert [(e.kind, e.detail["shapes"]) for e in ledger.events_of_record("r0")][-1] == ("replaced", 2)
    ledger.end_replacing(replace(second, state="touched"), "run")
    assert left(ledger, task)[2] == ["old 2"]
    assert ledger.replacements_of_job(second) == []
    assert [event.kind for event in ledger.events_of_record("r2")] == ["pushed"]


def test_aliases_are_told_once_and_go_with_their_task(ledger: Ledger, task: PushedTask) -> None:
    alias = PushedAlias("twin", 1, 2)
    for _ in range(2):
        ledger.record_aliases(task.push_id, "run", [(alias, {"as": "r2"})])
    assert ledger.aliases_of_push(task.push_id) == [alias]
    ledger.record_aliases(task.push_id, "run", [(PushedAlias("twin", 1, 0), {"as": "r0"})])
    assert ledger.aliases_of_push(task.push_id) == [PushedAlias("twin", 1, 0)]
    assert [event.detail["as"] for event in ledger.events_of_record("twin")] == ["r2", "r0"]
    ledger.stage_replacement(job(task, 5, range(3)), Replacement(0, "new", 1), [shape(0, 0, "x")])
    ledger.keep_job(job(task, 5, range(3)))
    ledger.forget_task(task)
    assert ledger.aliases_of_push(task.push_id) == []
    assert ledger.jobs_of_push(task.push_id) == []
    assert ledger.replacements_of_job(job(task, 5, range(3))) == []


def test_a_record_that_gets_a_picture_of_its_own_has_no_others_any_more(
    ledger: Ledger, task: PushedTask
) -> None:
    others = [PushedAlias("twin", 1, 2), PushedAlias("other", 1, 2)]
    ledger.record_aliases(task.push_id, "run", [(alias, {}) for alias in others])
    second = PushedTask(task.push_id, 2, "second", "run", "planned", None, None)
    ledger.plan_task(second)
    ledger.task_filled(second, [PushedFrame(task.push_id, 2, 0, "twin", "twin.jpg", "f" * 64, 8, 6, "new")])
    assert ledger.aliases_of_push(task.push_id) == [others[1]]


def test_jobs_of_earlier_tasks_are_counted(ledger: Ledger, task: PushedTask) -> None:
    second = replace(task, ordinal=2, name="second")
    ledger.keep_job(job(task, 5, range(2)))
    ledger.keep_job(job(task, 6, range(2, 3)))
    ledger.keep_job(job(second, 7, range(3)))
    assert [ledger.count_jobs_before(one) for one in (task, second, replace(task, ordinal=3))] == [0, 2, 3]


def test_labels_are_told_by_frame_without_the_shapes(ledger: Ledger, task: PushedTask) -> None:
    crop = replace(shape(1, 1, "d"), label="crop")
    shapes = {0: [shape(0, 0, "a"), shape(0, 1, "b")], 1: [shape(1, 0, "c"), crop], 2: []}
    ledger.keep_shapes(task, shapes)
    assert ledger.labels_left(task) == {0: {"weed"}, 1: {"weed", "crop"}}
