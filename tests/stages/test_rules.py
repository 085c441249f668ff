"""When a job may be written into, and whose frame is whose: each condition of the rules by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agir_cvtoolkit.cvat import FrameMap, JobAnnotations, JobInfo, LabelSet, LabelSpec
from agir_cvtoolkit.cvat.frames import FrameEntry
from agir_cvtoolkit.cvat.replacing import HeldShape, JobContent
from agir_cvtoolkit.errors import RefusedError
from agir_cvtoolkit.ledger import PushedJob, PushedTask
from agir_cvtoolkit.stages import _pull_read as pull_read
from agir_cvtoolkit.stages import _push_shapes as push_shapes
from agir_cvtoolkit.stages import _replace_job as replace_job
from agir_cvtoolkit.stages._push import _frames
from agir_cvtoolkit.stages._push_words import Push
from agir_cvtoolkit.stages._replace_job import JobOutcome, JobReplacement
from agir_cvtoolkit.stages._replace_words import exchange_of

DATE = "2026-01-01T00:00:00Z"
JOB = JobInfo(51, 5, "new", "annotation", "annotation", 0, 1, DATE)
MOVED = replace(JOB, updated_date="2026-01-01T00:00:09Z")
KEPT = PushedJob("p", 1, 51, 0, 1, DATE, "left")
TASK = PushedTask("p", 1, "field [p-1]", "run", "done", 5, "http://cvat.test/tasks/5")


class Asked(Exception):
    """The job itself was found writable: what it holds is looked at next."""


class Nobody:
    def __getattr__(self, name: str) -> Any:
        raise Asked(name)


def replacement(kept: PushedJob) -> JobReplacement:
    session = SimpleNamespace(task_url=lambda task_id: f"http://cvat.test/tasks/{task_id}")
    push = cast("Push", SimpleNamespace(session=session, ledger=Nobody(), run_id="run"))
    return JobReplacement(push, TASK, kept, LabelSet(()), FrameMap(5, ()))


def test_a_new_job_of_the_date_that_was_left_is_looked_into() -> None:
    with pytest.raises(Asked, match="shapes_left"):
        replacement(KEPT).rehearse(JOB, {})


@pytest.mark.parametrize(
    ("job", "kept", "reason"),
    [
        (None, KEPT, "no longer there"),
        (replace(JOB, state="in progress"), KEPT, "in progress"),
        (replace(JOB, state="completed"), KEPT, "completed"),
        (replace(JOB, state="rejected"), KEPT, "rejected"),
        (replace(JOB, state="asleep"), KEPT, "asleep"),
        (replace(JOB, stage="validation"), KEPT, "stage validation"),
        (replace(JOB, stage="acceptance"), KEPT, "stage acceptance"),
        (replace(JOB, updated_date="2026-01-01T00:00:01Z"), KEPT, "was saved"),
        (JOB, replace(KEPT, updated_date=""), "was saved"),
        (JOB, replace(KEPT, state="touched"), "somebody has worked"),
    ],
)
def test_any_other_job_is_left_alone_and_its_page_named(
    job: JobInfo | None, kept: PushedJob, reason: str
) -> None:
    found = replacement(kept).rehearse(job, {})
    assert reason in found.reason
    assert "http://cvat.test/tasks/5/jobs/51" in found.reason
    assert (found.replaced, found.same) == ((), ())


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ([JOB, JOB], "left"),
        ([JOB, MOVED, MOVED, MOVED], "left"),
        ([JOB, MOVED] * 3, "touched"),
        ([replace(JOB, state="in progress")] * 2, "touched"),
        ([replace(JOB, stage="validation")] * 2, "touched"),
    ],
)
def test_what_was_written_is_looked_at_until_the_job_holds_still(
    seen: list[JobInfo], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, ended = iter(seen), list[PushedJob]()
    monkeypatch.setattr(replace_job, "read_one_job", lambda session, job_id: next(answers))
    monkeypatch.setattr(replace_job, "read_content", lambda session, job_id, labels: JobContent(()))
    work = replacement(KEPT)
    ledger = SimpleNamespace(
        replacements_of_job=lambda kept: [], end_replacing=lambda kept, *rest: ended.append(kept)
    )
    monkeypatch.setattr(work._push, "ledger", ledger)
    assert bool(work._finish(exchange_of({}, ()), lost=False).reason) == (state == "touched")
    assert [kept.state for kept in ended] == [state]
    assert ended[0].updated_date == seen[-1].updated_date


def test_of_equal_shapes_no_more_are_taken_out_than_are_to_go() -> None:
    shapes = tuple(HeldShape(number, 0, "abaac"[number]) for number in range(5))
    chosen = replace_job._chosen(JobContent(shapes), Counter({"a": 2, "c": 1}))
    assert [shape.id for shape in chosen] == [0, 2, 4]


@pytest.mark.parametrize(
    ("job", "content", "in_work"),
    [
        (JOB, JobContent(()), False),
        (replace(JOB, state="in progress"), JobContent(()), True),
        (replace(JOB, stage="validation"), JobContent(()), True),
        (JOB, JobContent((), others=1), True),
        (JOB, JobContent((HeldShape(1, 0, "hers"),)), True),
    ],
)
def test_a_job_of_a_killed_push_is_gone_on_with_only_where_nobody_was(
    job: JobInfo, content: JobContent, in_work: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_shapes, "read_content", lambda session, job_id, labels: content)
    session = SimpleNamespace(task_url=str, capabilities=None)
    push = cast("Push", SimpleNamespace(session=session))
    found = push_shapes._in_work(push, job, {}, LabelSet(()), FrameMap(5, ()))
    assert (found is not None) == in_work


def test_a_record_is_the_frame_of_its_name_wherever_the_server_put_it() -> None:
    names = ["b.png", "c.png", "a.png"]
    there = FrameMap(5, tuple(FrameEntry(number, name, 8, 4) for number, name in enumerate(names)))
    candidates: list[Any] = [
        SimpleNamespace(
            file_name=f"{stem}.png",
            record_id=stem,
            sha256="0",
            width=8,
            height=4,
            prediction_hash="1",
            units=1,
        )
        for stem in "abc"
    ]
    push = cast("Push", SimpleNamespace(push_id="p"))
    found = {frame.record_id: frame.frame for frame in _frames(push, TASK, candidates, there)}
    assert found == {"a": 2, "b": 0, "c": 1}


@pytest.mark.parametrize(
    ("width", "count", "takes", "fails", "way"),
    [
        (4000, 2, "any", False, "export"),
        (4000, 2, "mask", False, "export"),
        (3999, 2, "any", False, "JSON"),
        (4000, 2, "any", True, "JSON"),
        (4000, 2, "points", False, "JSON"),
        (1000, 167, "any", False, "export"),
        (1000, 166, "any", False, "JSON"),
    ],
)
def test_jobs_of_large_or_many_pictures_with_masks_are_read_by_their_export(
    monkeypatch: pytest.MonkeyPatch, width: int, count: int, takes: str, fails: bool, way: str
) -> None:
    def by_export(*args: object) -> JobAnnotations:
        if fails:
            raise RefusedError("no export")
        return JobAnnotations(1, {})

    monkeypatch.setattr(pull_read, "read_job_by_export", by_export)
    monkeypatch.setattr(pull_read, "read_job", lambda *args: JobAnnotations(2, {}))
    labels = LabelSet((LabelSpec(1, "weed", takes),))
    context: Any = SimpleNamespace(session=None, labels=SimpleNamespace(of=lambda *args: labels))
    frames = FrameMap(5, tuple(FrameEntry(number, f"{number}.png", width, 3000) for number in range(count)))
    found = pull_read._annotations(context, replace(JOB, start_frame=0, stop_frame=count - 1), frames)
    assert found.job_id == (1 if way == "export" else 2)


@pytest.mark.parametrize(
    ("job", "content", "goes_on"),
    [
        (JOB, JobContent(()), True),
        (replace(JOB, state="in progress"), JobContent(()), False),
        (replace(JOB, stage="validation"), JobContent(()), False),
        (JOB, JobContent((HeldShape(1, 0, "hers"),)), False),
        (None, JobContent(()), False),
    ],
)
def test_a_killed_replacement_is_gone_on_with_only_where_nobody_was(
    job: JobInfo | None, content: JobContent, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = replacement(replace(KEPT, state="replacing"))
    ended: list[str] = []
    monkeypatch.setattr(replace_job, "read_content", lambda *args: content)
    monkeypatch.setattr(work, "_left", dict)
    monkeypatch.setattr(work, "_staged", tuple)
    monkeypatch.setattr(work, "_end", ended.append)
    monkeypatch.setattr(work, "_carry_out", lambda *args: JobOutcome((0,)))
    found = work.resume(job)
    assert (found.replaced, ended) == (((0,), []) if goes_on else ((), ["touched"]))
    assert bool(found.reason) != goes_on
