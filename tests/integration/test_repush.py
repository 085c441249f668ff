"""New proposals in place of old ones: only what this tool wrote and nobody touched is ever changed.

A person's save is interleaved at every request of the re-push. The client sends one request after the other, so
after one request is the same moment as before the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import agir_cvtoolkit.cvat.annotations as writing
import agir_cvtoolkit.stages._replace_job as replace_job
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.upload_cvat import UploadResult, upload_cvat

from .annotator import LABEL, Person, Wire, contents, predict_anew
from .workspace import Workspace

pytestmark = pytest.mark.integration

RECORDS = ("img_0", "img_1", "img_2")
CHANGED = ("img_0", "img_1")


@pytest.fixture
def pushed(predicted: Workspace) -> Workspace:
    """Three records in one job with two or more masks each, of a label with an attribute."""
    project = predicted.project(LABEL)
    predicted.conf("cvat_upload", {"project_id": project, "per_component": True})
    upload_cvat()
    return predicted


def only_task(workspace: Workspace) -> int:
    (task,) = workspace.tasks()
    return int(task["id"])


def whole(workspace: Workspace) -> list[tuple[object, ...]]:
    return contents(workspace.shapes(only_task(workspace)))


def expected_of(workspace: Workspace) -> list[tuple[object, ...]]:
    """Return what an undisturbed push of the present predictions puts on the server."""
    upload_cvat(Call(overrides=("cvat_upload.task_name=undisturbed",)))
    task = max(int(task["id"]) for task in workspace.tasks())
    shapes = contents(workspace.shapes(task))
    assert workspace.plain("DELETE", f"/api/tasks/{task}").status == 204
    return shapes


# --- undisturbed ----------------------------------------------------------------------------------


def test_new_predictions_replace_untouched_proposals(pushed: Workspace) -> None:
    task_id = only_task(pushed)
    before = {shape["id"]: shape for shape in pushed.shapes(task_id)}
    predict_anew(pushed, 5, "img_0", "img_1")
    expected = expected_of(pushed)
    pushed.sandbox.forget_requests()
    outcome = pushed.cli("upload-cvat")
    assert "2 got new proposals" in outcome.stdout
    stage = pushed.metrics()["upload-cvat"]
    assert (stage["replaced"], stage["already_there"], stage["added"], stage["left_alone"]) == (2, 1, 0, 0)
    assert stage["total_records"] == stage["uploaded_annotations"] == 3
    assert whole(pushed) == expected
    # What old and new predictions have in common is not touched.
    kept = [shape for shape in pushed.shapes(task_id) if shape["id"] in before]
    assert kept
    assert all(shape == before[shape["id"]] for shape in kept)
    assert {shape["id"] for shape in before.values() if shape["frame"] == 2} <= {s["id"] for s in kept}
    assert not [line for line in pushed.writes() if line.startswith("PUT")]
    told = json.loads(pushed.cli("why", "img_0", "--json").stdout)["events"]
    assert [event["kind"] for event in told][-1] == "replaced"
    assert "jobs/" in told[-1]["detail"]["url"]

    pushed.sandbox.forget_requests()
    assert pushed.upload()["already_there"] == 3
    assert pushed.writes() == []


def test_from_nothing_and_to_nothing(pushed: Workspace) -> None:
    """An old prediction without shapes only gains, a new one without shapes only loses."""
    task_id = only_task(pushed)
    for number, record in ((0, "img_0"), (1, "img_1")):
        mask = pushed.predicted_mask(record)
        path = pushed.run / pushed.manifest()[record]["mask_path"]
        save_png(mask * 0, path)
        result = upload_cvat()
        assert (result.replaced, result.negatives) == (1, 1)
        assert not [s for s in pushed.shapes(task_id) if s["frame"] == number]
        save_png(mask, path)
        result = upload_cvat()
        assert (result.replaced, result.negatives) == (1, 0)
    assert whole(pushed) == expected_of(pushed)


def test_nothing_changed_means_no_write_and_no_reading_of_jobs(pushed: Workspace) -> None:
    pushed.sandbox.forget_requests()
    upload_cvat()
    seen = [(one.method, one.target) for one in pushed.sandbox.requests()]
    assert pushed.writes() == []
    assert not [target for _, target in seen if "/api/jobs" in target or "annotations" in target]
    assert len([1 for _, target in seen if target.startswith("/api/tasks/")]) == 1


def test_a_job_that_is_not_to_be_written_is_read_once_at_most(pushed: Workspace) -> None:
    pushed.set_job(pushed.jobs(only_task(pushed))[0]["id"], state="in progress")
    predict_anew(pushed, 5, *CHANGED)
    pushed.sandbox.forget_requests()
    result = upload_cvat()
    assert (result.left_alone, result.replaced, result.already_there) == (2, 0, 1)
    assert pushed.writes() == []
    assert len([s for s in pushed.sandbox.requests() if "/api/jobs" in s.target]) == 1


def test_a_dry_run_tells_the_same_numbers(pushed: Workspace) -> None:
    predict_anew(pushed, 5, "img_1")
    pushed.sandbox.forget_requests()
    before = pushed.state()
    for touched in (False, True):
        if touched:
            task_id = only_task(pushed)
            Person(pushed, task_id, pushed.jobs(task_id)[0]["id"]).add()
            predict_anew(pushed, 6, "img_1")
            before = pushed.state()
            pushed.sandbox.forget_requests()
        planned = upload_cvat(Call(dry_run=True))
        assert pushed.writes() == []
        assert pushed.state() == before
        done = upload_cvat()
        assert (done.replaced, done.left_alone) == ((0, 1) if touched else (1, 0))
        for name in (
            "total_records",
            "uploaded_annotations",
            "replaced",
            "left_alone",
            "already_there",
            "items",
        ):
            assert getattr(planned, name) == getattr(done, name), name


def test_a_deleted_frame_is_left_out(pushed: Workspace) -> None:
    task_id = only_task(pushed)
    path = f"/api/tasks/{task_id}/data/meta"
    assert pushed.plain("PATCH", path, {"deleted_frames": [0]}).status == 200
    before = [shape for shape in pushed.shapes(task_id) if shape["frame"] == 0]
    predict_anew(pushed, 5, *CHANGED)
    result = upload_cvat()
    assert (result.replaced, result.left_alone) == (1, 1)
    assert "deleted" in result.items[0].reason
    assert [shape for shape in pushed.shapes(task_id) if shape["frame"] == 0] == before


def test_what_an_earlier_version_pushed_is_left_alone(pushed: Workspace) -> None:
    import sqlite3

    with sqlite3.connect(pushed.root / "outputs" / "ledger.db") as connection:
        connection.execute("delete from push_jobs")
    before = pushed.state()
    predict_anew(pushed, 5, *CHANGED)
    result = upload_cvat()
    assert (result.replaced, result.left_alone) == (0, 2)
    assert "earlier version" in result.items[0].reason
    assert pushed.state() == before


def test_large_replacements_go_in_several_bodies(pushed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replace_job, "BODY_BYTES", 10)
    predict_anew(pushed, 5, *RECORDS)
    expected = expected_of(pushed)
    pushed.sandbox.forget_requests()
    assert upload_cvat().replaced == 3
    assert len([line for line in pushed.writes() if "action=create" in line]) >= 3
    assert whole(pushed) == expected


# --- a person at the same time --------------------------------------------------------------------

ACTS: dict[str, Callable[[Person], None]] = {
    "add": Person.add,
    "edit": Person.edit,
    "edit what stays": Person.edit_what_stays,
    "edit as loaded": Person.edit_as_loaded,
    "edit as the interface does": Person.edit_as_the_interface_does,
    "tick": Person.tick,
    "delete": Person.delete,
    "complete": Person.complete,
}


def fresh(workspace: Workspace, number: int) -> Person:
    """Make the task anew, and new predictions; return a person who has its job open."""
    for task in workspace.tasks():
        assert workspace.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    predict_anew(workspace, 2 * number, *RECORDS)
    upload_cvat()
    task_id = only_task(workspace)
    person = Person(workspace, task_id, workspace.jobs(task_id)[0]["id"]).load()
    predict_anew(workspace, 2 * number + 1, *CHANGED)
    return person


def moments(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the requests of an undisturbed re-push."""
    fresh(workspace, 26)
    with monkeypatch.context() as patched:
        wire = Wire().tapped(patched)
        assert upload_cvat().replaced == 2
    return wire.seen


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS)
def test_a_save_at_every_request(pushed: Workspace, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    interleave(pushed, monkeypatch, lambda moment: act)


@pytest.mark.parametrize("first", [0, 3])
def test_one_save_or_another_at_every_request(
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    acts = list(ACTS)
    interleave(pushed, monkeypatch, lambda moment: acts[(first + moment) % len(acts)])


def interleave(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, choose: Callable[[int], str]) -> None:
    """Re-push as often as there are requests, with a save before another one each time."""
    pushed = workspace
    requests = moments(pushed, monkeypatch)
    deletion = next(i for i, request in enumerate(requests) if "action=delete" in request)
    assert "PATCH" in requests[deletion + 1]
    assert requests[deletion - 1].startswith("GET jobs/")
    for moment in range(len(requests) + 1):
        act = choose(moment)
        person = fresh(pushed, moment + 1)

        def save(
            number: int, request: str, moment: int = moment, person: Person = person, act: str = act
        ) -> None:
            if number == moment:
                ACTS[act](person)

        with monkeypatch.context() as patched:
            Wire(save).tapped(patched)
            result = upload_cvat()
        if moment == len(requests):
            ACTS[act](person)
        where = f"{act} before {[*requests, 'the end'][moment]}"
        check_kept(person, result, act, moment - deletion, where)
        if deletion < moment < len(requests):
            assert (result.replaced, result.left_alone) == (0, 2), where
            assert "while its proposals were being replaced" in result.items[0].reason, where
        check_left_alone_from_now_on(person, act, moment - deletion, where)


def check_kept(person: Person, result: UploadResult, act: str, since: int, where: str) -> None:
    """Her work is as she saved it; `since` counts requests from the deletion."""
    now = {shape["id"]: shape for shape in person.shapes()}
    if since < 0:
        # Seen before anything was written: nothing in the job is any different.
        assert now == person.saved, where
        assert (result.replaced, result.left_alone) == (0, 2), where
    else:
        # In the gap, the proposals that differ go, whatever she made of them.
        gone = {person.uppermost(frame)["id"] for frame in (0, 1)} if since == 0 else set()
        hers = {id_: shape for id_, shape in person.saved.items() if id_ not in gone}
        assert {id_: now.get(id_) for id_ in hers} == hers, where
    if act == "delete":
        assert person.chosen is not None
        same = contents([person.chosen])
        saved = contents(list(person.saved.values()))
        assert contents(list(now.values())).count(same[0]) <= saved.count(same[0]), where
    elif act != "complete" and (since != 0 or act in {"add", "edit what stays"}):
        assert person.chosen is not None
        assert now[person.chosen["id"]] == person.chosen, where
    job = person.workspace.plain("GET", f"/api/jobs/{person.job_id}").json
    if act == "complete":
        assert job["state"] == "completed", where


def check_left_alone_from_now_on(person: Person, act: str, since: int, where: str) -> None:
    """Whatever comes next, nothing is written into a job in which she was seen."""
    if since == 0 and act in {"edit", "edit as loaded", "tick", "delete"}:
        return  # the documented gap: nothing on the server tells of it
    before = person.shapes()
    predict_anew(person.workspace, 58, *RECORDS)
    result = upload_cvat()
    assert (result.replaced, result.left_alone) == (0, 3), where
    assert f"jobs/{person.job_id}" in result.items[0].reason, where
    assert person.shapes() == before, where


def test_the_gap_is_one_request_long_and_noticed_where_it_leaves_a_trace(
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is lost is a change of an old proposal, saved between the last look and the deletion."""
    for number, (act, noticed) in enumerate(
        {"edit": False, "tick": False, "edit as the interface does": True, "add": True}.items()
    ):
        person = fresh(pushed, number + 1)

        def save(number: int, request: str, act: str = act, person: Person = person) -> None:
            if "action=delete" in request:
                ACTS[act](person)

        with monkeypatch.context() as patched:
            Wire(save).tapped(patched)
            result = upload_cvat()
        assert (result.left_alone, result.replaced) == ((2, 0) if noticed else (0, 2)), act
        ids = {shape["id"] for shape in person.shapes()}
        assert person.chosen is not None
        assert (person.chosen["id"] in ids) == (act == "add")
        if noticed:
            assert "while its proposals were being replaced" in result.items[0].reason
            assert f"/jobs/{person.job_id}" in result.items[0].reason


@pytest.mark.parametrize("act", ["add", "edit", "tick", "delete"])
def test_a_save_while_the_first_push_ends(
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """The date that the ledger keeps is then hers; what the job holds tells of her."""
    for task in pushed.tasks():
        assert pushed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    people: list[Person] = []
    listings = 0

    def save(number: int, request: str) -> None:
        nonlocal listings
        listings += request.startswith("GET jobs?")
        if listings == 2 and not people:
            task_id = only_task(pushed)
            people.append(Person(pushed, task_id, pushed.jobs(task_id)[0]["id"]))
            ACTS[act](people[0])

    with monkeypatch.context() as patched:
        Wire(save).tapped(patched)
        upload_cvat()
    (person,) = people
    predict_anew(pushed, 5, *CHANGED)
    result = upload_cvat()
    assert (result.replaced, result.left_alone) == (0, 2)
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved


# --- killed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True], ids=["killed before", "answer lost, then killed"])
def test_killed_at_any_request_and_started_again(
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setattr(replace_job, "BODY_BYTES", 10)
    requests = moments(pushed, monkeypatch)
    assert len([request for request in requests if "action=create" in request]) >= 2
    for moment in range(len(requests)):
        person = fresh(pushed, moment + 1)
        expected = expected_of(pushed)
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
        pushed.sandbox.forget_requests()
        assert upload_cvat().already_there == 3
        assert pushed.writes() == [], where
        assert nothing_intended(pushed)


def test_a_lost_answer_is_made_good_by_looking(pushed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = moments(pushed, monkeypatch)
    for moment, request in enumerate(requests):
        if not request.startswith("PATCH"):
            continue
        fresh(pushed, moment + 1)
        expected = expected_of(pushed)
        with monkeypatch.context() as patched:
            wire = Wire(lost=moment).tapped(patched)
            assert upload_cvat().replaced == 2
        action = request.partition("action=")[2]
        assert len([seen for seen in wire.seen if f"action={action}" in seen]) == 1
        assert whole(pushed) == expected


@pytest.mark.parametrize("act", ["add", "edit", "delete", "tick", "complete"])
def test_killed_and_then_somebody_works_there(
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Between two writes: what she does stays, and what she deletes does not come back."""
    requests = moments(pushed, monkeypatch)
    deletion = next(i for i, request in enumerate(requests) if "action=delete" in request)
    for moment in range(deletion - 1, len(requests)):
        person = fresh(pushed, moment + 1)
        with monkeypatch.context() as patched:
            Wire(stop=moment).tapped(patched)
            with pytest.raises(KeyboardInterrupt):
                upload_cvat()
        ACTS[act](person)
        result = upload_cvat()
        assert (result.left_alone, result.replaced) == (2, 0), requests[moment]
        assert {shape["id"]: shape for shape in person.shapes()} == person.saved, requests[moment]
        assert f"jobs/{person.job_id}" in result.items[0].reason
        assert nothing_intended(pushed)


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
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    expected = whole(pushed)
    task_id = half_pushed(pushed, monkeypatch, writes)
    result = upload_cvat(in_two_jobs())
    assert (result.added, result.left_alone) == (3, 0)
    assert only_task(pushed) == task_id
    assert whole(pushed) == expected
    predict_anew(pushed, 5, *RECORDS)
    assert upload_cvat(in_two_jobs()).replaced == 3


@pytest.mark.parametrize("writes", [2, 3, 5])
def test_what_a_person_deletes_in_a_half_made_task_does_not_come_back(
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    task_id = half_pushed(pushed, monkeypatch, writes)
    first, second = pushed.jobs(task_id)
    person = Person(pushed, task_id, first["id"]).load()
    person.delete()
    result = upload_cvat(in_two_jobs())
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved
    assert (result.added, result.left_alone) == (3, 0)
    assert [s for s in pushed.shapes(task_id) if s["frame"] == 2], "the other job is made whole"
    predict_anew(pushed, 5, *RECORDS)
    result = upload_cvat(in_two_jobs())
    assert (result.left_alone, result.replaced) == (2, 1)
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved
    assert second["id"] != first["id"]


@pytest.mark.parametrize("in_work", [False, True])
def test_a_half_made_task_whose_predictions_changed(
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch, in_work: bool
) -> None:
    task_id = half_pushed(pushed, monkeypatch, 3)
    person = Person(pushed, task_id, pushed.jobs(task_id)[0]["id"]).load()
    if in_work:
        person.edit()
    predict_anew(pushed, 5, *RECORDS)
    result = upload_cvat(in_two_jobs())
    if in_work:
        assert {shape["id"]: shape for shape in person.shapes()} == person.saved
        assert (result.left_alone, result.added) == (3, 0)
        assert only_task(pushed) == task_id
    else:
        assert (result.left_alone, result.added) == (0, 3)
        assert whole(pushed) == expected_of(pushed)


def test_ctrl_c_between_two_writes_says_how_to_go_on(
    pushed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = moments(pushed, monkeypatch)
    person = fresh(pushed, 1)
    expected = expected_of(pushed)
    deletion = next(i for i, request in enumerate(requests) if "action=delete" in request)
    with monkeypatch.context() as patched:
        Wire(stop=deletion + 1).tapped(patched)
        outcome = pushed.cli("upload-cvat", code=130)
    assert "Start the same command again" in outcome.stderr
    assert contents(person.shapes()) != expected
    outcome = pushed.cli("upload-cvat")
    assert "2 got new proposals" in outcome.stdout
    assert contents(person.shapes()) == expected
