"""New proposals in place of old ones: only what this tool wrote and nobody touched is ever changed.

A person's save is interleaved at every request of the re-push. The client sends one request after the other, so
after one request is the same moment as before the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import agir_cvtoolkit.stages._replace_job as replace_job
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.upload_cvat import UploadResult, upload_cvat

from .annotator import (
    ACTS,
    CHANGED,
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

# --- undisturbed ----------------------------------------------------------------------------------


def test_new_predictions_replace_untouched_proposals(proposed: Workspace) -> None:
    task_id = only_task(proposed)
    before = {shape["id"]: shape for shape in proposed.shapes(task_id)}
    predict_anew(proposed, 5, "img_0", "img_1")
    expected = expected_of(proposed)
    proposed.sandbox.forget_requests()
    outcome = proposed.cli("upload-cvat")
    assert "2 got new proposals" in outcome.stdout
    stage = proposed.metrics()["upload-cvat"]
    assert (stage["replaced"], stage["already_there"], stage["added"], stage["left_alone"]) == (2, 1, 0, 0)
    assert stage["total_records"] == stage["uploaded_annotations"] == 3
    assert whole(proposed) == expected
    # What old and new predictions have in common is not touched.
    kept = [shape for shape in proposed.shapes(task_id) if shape["id"] in before]
    assert kept
    assert all(shape == before[shape["id"]] for shape in kept)
    assert {shape["id"] for shape in before.values() if shape["frame"] == 2} <= {s["id"] for s in kept}
    assert not [line for line in proposed.writes() if line.startswith("PUT")]
    told = json.loads(proposed.cli("why", "img_0", "--json").stdout)["events"]
    assert [event["kind"] for event in told][-1] == "replaced"
    assert "jobs/" in told[-1]["detail"]["url"]

    proposed.sandbox.forget_requests()
    assert proposed.upload()["already_there"] == 3
    assert proposed.writes() == []


def test_from_nothing_and_to_nothing(proposed: Workspace) -> None:
    """An old prediction without shapes only gains, a new one without shapes only loses."""
    task_id = only_task(proposed)
    for number, record in ((0, "img_0"), (1, "img_1")):
        mask = proposed.predicted_mask(record)
        path = proposed.run / proposed.manifest()[record]["mask_path"]
        save_png(mask * 0, path)
        result = upload_cvat()
        assert (result.replaced, result.negatives) == (1, 1)
        assert not [s for s in proposed.shapes(task_id) if s["frame"] == number]
        save_png(mask, path)
        result = upload_cvat()
        assert (result.replaced, result.negatives) == (1, 0)
    assert whole(proposed) == expected_of(proposed)


def test_nothing_changed_means_no_write_and_no_reading_of_jobs(proposed: Workspace) -> None:
    proposed.sandbox.forget_requests()
    upload_cvat()
    seen = [(one.method, one.target) for one in proposed.sandbox.requests()]
    assert proposed.writes() == []
    assert not [target for _, target in seen if "/api/jobs" in target or "annotations" in target]
    assert len([1 for _, target in seen if target.startswith("/api/tasks?")]) == 1


def test_a_job_that_is_not_to_be_written_is_read_once_at_most(proposed: Workspace) -> None:
    proposed.set_job(proposed.jobs(only_task(proposed))[0]["id"], state="in progress")
    predict_anew(proposed, 5, *CHANGED)
    proposed.sandbox.forget_requests()
    result = upload_cvat()
    assert (result.left_alone, result.replaced, result.already_there) == (2, 0, 1)
    assert proposed.writes() == []
    assert len([s for s in proposed.sandbox.requests() if "/api/jobs" in s.target]) == 1
    assert all("is in progress in stage annotation" in item.reason for item in result.items)
    assert upload_cvat().items == result.items, "the reason gets no worse by asking again"


def test_a_dry_run_tells_the_same_numbers(proposed: Workspace) -> None:
    predict_anew(proposed, 5, "img_1")
    proposed.sandbox.forget_requests()
    before = proposed.state()
    for touched in (False, True):
        if touched:
            task_id = only_task(proposed)
            Person(proposed, task_id, proposed.jobs(task_id)[0]["id"]).add()
            predict_anew(proposed, 6, "img_1")
            before = proposed.state()
            proposed.sandbox.forget_requests()
        planned = upload_cvat(Call(dry_run=True))
        assert proposed.writes() == []
        assert proposed.state() == before
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


def test_a_deleted_frame_is_left_out(proposed: Workspace) -> None:
    task_id = only_task(proposed)
    path = f"/api/tasks/{task_id}/data/meta"
    assert proposed.plain("PATCH", path, {"deleted_frames": [0]}).status == 200
    before = [shape for shape in proposed.shapes(task_id) if shape["frame"] == 0]
    predict_anew(proposed, 5, *CHANGED)
    result = upload_cvat()
    assert (result.replaced, result.left_alone) == (1, 1)
    assert "deleted" in result.items[0].reason
    assert [shape for shape in proposed.shapes(task_id) if shape["frame"] == 0] == before


def test_what_an_earlier_version_pushed_is_left_alone(proposed: Workspace) -> None:
    import sqlite3

    with sqlite3.connect(proposed.root / "outputs" / "ledger.db") as connection:
        connection.execute("delete from push_jobs")
    before = proposed.state()
    predict_anew(proposed, 5, *CHANGED)
    result = upload_cvat()
    assert (result.replaced, result.left_alone) == (0, 2)
    assert "earlier version" in result.items[0].reason
    assert proposed.state() == before


def test_large_replacements_go_in_several_bodies(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replace_job, "BODY_BYTES", 10)
    predict_anew(proposed, 5, *RECORDS)
    expected = expected_of(proposed)
    proposed.sandbox.forget_requests()
    assert upload_cvat().replaced == 3
    assert len([line for line in proposed.writes() if "action=create" in line]) >= 3
    assert whole(proposed) == expected


# --- a person at the same time --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS)
def test_a_save_at_every_request(proposed: Workspace, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    interleave(proposed, monkeypatch, lambda moment: act)


@pytest.mark.parametrize("first", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_one_save_or_another_at_every_request(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    acts = list(ACTS)
    interleave(proposed, monkeypatch, lambda moment: acts[(first + moment) % len(acts)])


def interleave(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, choose: Callable[[int], str]) -> None:
    """Re-push as often as there are requests, with a save before another one each time."""
    proposed = workspace
    requests = moments(proposed, monkeypatch)
    deletion = next(i for i, request in enumerate(requests) if "action=delete" in request)
    assert "PATCH" in requests[deletion + 1]
    assert requests[deletion - 1].startswith("GET jobs/")
    for moment in range(len(requests) + 1):
        act = choose(moment)
        person = fresh(proposed, moment + 1)

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
            new = all("action=create" not in request for request in requests[moment:])
            wanted = "with its new proposals: " if new else "new proposals: "
            assert wanted in result.items[0].reason, where
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
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is lost is a change of an old proposal, saved between the last look and the deletion."""
    for number, (act, noticed) in enumerate(
        {"edit": False, "tick": False, "edit as the interface does": True, "add": True}.items()
    ):
        person = fresh(proposed, number + 1)

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
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """The date that the ledger keeps is then hers; what the job holds tells of her."""
    for task in proposed.tasks():
        assert proposed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    people: list[Person] = []
    listings = 0

    def save(number: int, request: str) -> None:
        nonlocal listings
        listings += request.startswith("GET jobs?")
        if listings == 2 and not people:
            task_id = only_task(proposed)
            people.append(Person(proposed, task_id, proposed.jobs(task_id)[0]["id"]))
            ACTS[act](people[0])

    with monkeypatch.context() as patched:
        Wire(save).tapped(patched)
        upload_cvat()
    (person,) = people
    predict_anew(proposed, 5, *CHANGED)
    result = upload_cvat()
    assert (result.replaced, result.left_alone) == (0, 2)
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved
