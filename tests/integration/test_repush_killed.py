"""Pushes and re-pushes that were killed: the next call ends them, unless somebody was there meanwhile."""

from __future__ import annotations

import pytest

import agir_cvtoolkit.cvat.annotations as writing
import agir_cvtoolkit.stages._replace_job as replace_job
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.upload_cvat import upload_cvat

from .annotator import (
    ACTS,
    RECORDS,
    Person,
    Wire,
    contents,
    expected_of,
    fresh,
    moments,
    only_task,
    predict_anew,
    whole,
)
from .workspace import Workspace

pytestmark = pytest.mark.integration


# --- killed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [pytest.param(False, id="killed before", marks=pytest.mark.slow), pytest.param(True, id="answer lost")],
)
def test_killed_at_any_request_and_started_again(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setattr(replace_job, "BODY_BYTES", 10)
    requests = moments(proposed, monkeypatch)
    assert len([request for request in requests if "action=create" in request]) >= 2
    for moment in range(len(requests)):
        person = fresh(proposed, moment + 1)
        expected = expected_of(proposed)
        with monkeypatch.context() as patched:
            Wire(stop=moment + lost, lost=moment if lost else None).tapped(patched)
            with pytest.raises(BaseException) as caught:
                upload_cvat()
            assert caught.type in {KeyboardInterrupt} or lost
        result = upload_cvat()
        where = f"killed at {requests[moment]}"
        assert result.left_alone == 0, where
        assert result.replaced + result.already_there == 3, where
        assert contents(person.shapes()) == expected, where
        proposed.sandbox.forget_requests()
        assert upload_cvat().already_there == 3
        assert proposed.writes() == [], where
        assert nothing_intended(proposed)


def test_a_lost_answer_is_made_good_by_looking(proposed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = moments(proposed, monkeypatch)
    for moment, request in enumerate(requests):
        if not request.startswith("PATCH"):
            continue
        fresh(proposed, moment + 1)
        expected = expected_of(proposed)
        with monkeypatch.context() as patched:
            wire = Wire(lost=moment).tapped(patched)
            assert upload_cvat().replaced == 2
        action = request.partition("action=")[2]
        assert len([seen for seen in wire.seen if f"action={action}" in seen]) == 1
        assert whole(proposed) == expected


SLOW = [pytest.param(act, marks=pytest.mark.slow) for act in ("add", "edit", "tick", "complete")]


@pytest.mark.parametrize("act", ["delete", *SLOW])
def test_killed_and_then_somebody_works_there(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Between two writes: what she does stays, and what she deletes does not come back."""
    requests = moments(proposed, monkeypatch)
    deletion = next(i for i, request in enumerate(requests) if "action=delete" in request)
    for moment in range(deletion - 1, len(requests)):
        person = fresh(proposed, moment + 1)
        with monkeypatch.context() as patched:
            Wire(stop=moment).tapped(patched)
            with pytest.raises(KeyboardInterrupt):
                upload_cvat()
        ACTS[act](person)
        result = upload_cvat()
        assert (result.left_alone, result.replaced) == (2, 0), requests[moment]
        assert {shape["id"]: shape for shape in person.shapes()} == person.saved, requests[moment]
        assert f"jobs/{person.job_id}" in result.items[0].reason
        assert nothing_intended(proposed)


def nothing_intended(workspace: Workspace) -> bool:
    with Ledger.open(None, workspace.root / "outputs" / "runs") as ledger:
        jobs = [job for push_id, _, _ in ledger.pushes() for job in ledger.jobs_of_push(push_id)]
        return bool(jobs) and not any(
            job.state == "replacing" or ledger.replacements_of_job(job) for job in jobs
        )


# --- a first push that was killed, and a person ----------------------------------------------------


def half_pushed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, writes: int) -> int:
    """Push anew in two jobs, killed before so many writes of annotations were made; return the task."""
    for task in workspace.tasks():
        assert workspace.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    monkeypatch.setattr(writing.write_new, "__kwdefaults__", small_bodies())
    sent = 0

    def kill(number: int, request: str) -> None:
        nonlocal sent
        sent += "annotations" in request and request.startswith(("PUT", "PATCH"))
        if sent > writes:
            wire.stop = 0
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        wire = Wire(kill).tapped(patched)
        with pytest.raises(KeyboardInterrupt):
            upload_cvat(in_two_jobs())
    return only_task(workspace)


def in_two_jobs() -> Call:
    return Call(overrides=("cvat_upload.segment_size=2",))


def small_bodies() -> dict[str, object]:
    return {**(writing.write_new.__kwdefaults__ or {}), "body_bytes": 10}


@pytest.mark.parametrize("writes", range(6))
def test_a_killed_push_goes_on_where_nobody_was(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    expected = whole(proposed)
    task_id = half_pushed(proposed, monkeypatch, writes)
    result = upload_cvat(in_two_jobs())
    assert (result.added, result.left_alone) == (3, 0)
    assert only_task(proposed) == task_id
    assert whole(proposed) == expected
    predict_anew(proposed, 5, *RECORDS)
    assert upload_cvat(in_two_jobs()).replaced == 3


@pytest.mark.parametrize("writes", [2, 3, 5])
def test_what_a_person_deletes_in_a_half_made_task_does_not_come_back(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    task_id = half_pushed(proposed, monkeypatch, writes)
    first, second = proposed.jobs(task_id)
    person = Person(proposed, task_id, first["id"]).load()
    person.delete()
    result = upload_cvat(in_two_jobs())
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved
    # A job that was under way when the push was killed is listed as in work; one that was finished counts as pushed.
    assert (result.added, result.left_alone) == ((3, 0) if writes == 5 else (1, 2))
    assert [s for s in proposed.shapes(task_id) if s["frame"] == 2], "the other job is made whole"
    predict_anew(proposed, 5, *RECORDS)
    result = upload_cvat(in_two_jobs())
    assert (result.left_alone, result.replaced) == (2, 1)
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved
    assert second["id"] != first["id"]


@pytest.mark.parametrize("in_work", [False, True])
def test_a_half_made_task_whose_predictions_changed(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, in_work: bool
) -> None:
    task_id = half_pushed(proposed, monkeypatch, 3)
    person = Person(proposed, task_id, proposed.jobs(task_id)[0]["id"]).load()
    if in_work:
        person.edit()
    predict_anew(proposed, 5, *RECORDS)
    result = upload_cvat(in_two_jobs())
    if in_work:
        assert {shape["id"]: shape for shape in person.shapes()} == person.saved
        assert (result.left_alone, result.added) == (3, 0)
        assert only_task(proposed) == task_id
    else:
        assert (result.left_alone, result.added) == (0, 3)
        assert whole(proposed) == expected_of(proposed)


def test_ctrl_c_between_two_writes_says_how_to_go_on(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = moments(proposed, monkeypatch)
    person = fresh(proposed, 1)
    expected = expected_of(proposed)
    deletion = next(i for i, request in enumerate(requests) if "action=delete" in request)
    with monkeypatch.context() as patched:
        Wire(stop=deletion + 1).tapped(patched)
        outcome = proposed.cli("upload-cvat", code=130)
    assert "Start the same command again" in outcome.stderr
    assert contents(person.shapes()) != expected
    outcome = proposed.cli("upload-cvat")
    assert "2 got new proposals" in outcome.stdout
    assert contents(person.shapes()) == expected
