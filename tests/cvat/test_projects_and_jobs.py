from __future__ import annotations

from collections.abc import Callable

import pytest

from agir_cvtoolkit.cvat import (
    UNSET,
    Credentials,
    CvatSession,
    NewLabel,
    PictureToSend,
    TaskRequest,
    create_project,
    create_task,
    create_task_with_pictures,
    find_jobs,
    find_project,
    has_come_to,
    split_status,
)
from agir_cvtoolkit.errors import AuthenticationError, ConfigError, NotFoundError, RefusedError
from agir_cvtoolkit.sandbox import Fault, Sandbox

from .fakes import FakeTransport, ok, opened

Pictures = Callable[[int], list[PictureToSend]]


@pytest.mark.integration
def test_projects_are_made_and_found(session: CvatSession, project_id: int) -> None:
    project = find_project(session, project_id)
    assert (project.name, project.organization) == ("Field 1", None)
    session.request("DELETE", f"/api/projects/{project_id}", "delete it")
    with pytest.raises(NotFoundError, match=f"Project {project_id} not found"):
        find_project(session, project_id)


@pytest.mark.integration
@pytest.mark.parametrize("action", ["cut_before", "cut_after", "status"])
def test_a_lost_answer_makes_no_twin_project(sandbox: Sandbox, session: CvatSession, action: str) -> None:
    sandbox.add_fault(Fault(r"/api/projects", action, method="POST", status=502))  # type: ignore[arg-type]
    name = f"P {action}"
    made = create_project(session, name, [NewLabel("weed")])
    found = [item["id"] for item in session.pages("/api/projects", "list") if item["name"] == name]
    assert found == [made.id]


@pytest.mark.integration
def test_the_organization_is_found_from_the_project(sandbox: Sandbox, session: CvatSession) -> None:
    session.send_json("POST", "/api/organizations", "make lab", {"slug": "lab", "name": "Lab"})
    inside = create_project(session.in_organization("lab"), "In", [NewLabel("weed")])
    project = find_project(session.in_organization(UNSET), inside.id)
    assert project.organization == "lab"
    with pytest.raises(NotFoundError, match="Organization 'nope' not found"):
        find_project(session.in_organization("nope"), inside.id)
    with pytest.raises(NotFoundError, match="belongs to organization 'lab', not to the personal workspace"):
        find_project(session.in_organization(None), inside.id)
    with pytest.raises(RefusedError, match="organization_slug"):
        create_task(session.in_organization(None), TaskRequest("t", inside.id))
    create_task(session.in_organization("lab"), TaskRequest("t", inside.id))


def test_an_organization_that_may_not_be_read_is_looked_up_in_the_list() -> None:
    transport = FakeTransport(
        {
            "GET /api/projects/3": ok({"id": 3, "name": "x", "organization": 8}),
            "GET /api/organizations/8": ok({"detail": "no"}, 403),
            "GET /api/organizations": ok(
                {"next": None, "results": [{"id": 7, "slug": "a"}, {"id": 8, "slug": "b"}]}
            ),
        }
    )
    assert find_project(opened(transport), 3).organization == "b"


@pytest.mark.integration
def test_wrong_password_and_wrong_port_against_a_real_server(sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationError, match="Authentication failed for user 'admin'"):
        CvatSession.open(Credentials(sandbox.url, "admin", "wrong"))
    with pytest.raises(AuthenticationError, match="access token"):
        CvatSession.open(Credentials(sandbox.url, access_token="nope"))


def set_job(session: CvatSession, job_id: int, **content: str) -> None:
    session.send_json("PATCH", f"/api/jobs/{job_id}", f"change job {job_id}", content)


@pytest.mark.integration
def test_jobs_are_found_by_state_or_stage(session: CvatSession, project_id: int, pictures: Pictures) -> None:
    made = create_task_with_pictures(session, TaskRequest("t", project_id, segment_size=1), pictures(4))
    jobs = find_jobs(session, project_id=project_id, required_status=None)
    assert [job.start_frame for job in jobs] == [0, 1, 2, 3]
    assert all(job.task_id == made.task_id and job.project_id == project_id for job in jobs)
    set_job(session, jobs[0].id, state="completed")
    set_job(session, jobs[1].id, state="completed")
    set_job(session, jobs[1].id, state="completed", stage="acceptance")
    set_job(session, jobs[2].id, state="in progress")

    def numbers(status: str | None) -> list[int]:
        found = find_jobs(session, project_id=project_id, required_status=status)
        by_task = find_jobs(session, task_ids=[made.task_id], required_status=status)
        assert found == by_task
        return [job.start_frame for job in found]

    assert numbers("completed") == [0, 1]
    assert numbers("in progress") == numbers("in_progress") == [2]
    assert numbers("new") == [3]
    assert numbers("rejected") == []
    assert numbers("annotation") == [0, 2, 3]
    assert numbers("acceptance") == [1]
    assert numbers(None) == [0, 1, 2, 3]
    assert find_jobs(session, project_id=project_id + 1, required_status=None) == ()


@pytest.mark.parametrize(
    ("status", "found"),
    [(None, True), ("completed", True), ("new", False), ("validation", True), ("acceptance", False)],
)
def test_how_far_a_job_has_come(status: str | None, found: bool) -> None:
    assert has_come_to("completed", "validation", status) is found


@pytest.mark.parametrize(
    ("status", "stage", "found"),
    [
        ("completed", "validation", True),
        ("completed", "acceptance", False),
        ("new", "validation", False),
        (None, "validation", True),
        ("validation", "validation", True),
        ("acceptance", "validation", False),
    ],
)
def test_state_and_stage_must_both_hold(status: str | None, stage: str, found: bool) -> None:
    assert has_come_to("completed", "validation", status, stage) is found


def test_an_unknown_status_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'completed'"):
        split_status("complete")


def test_ground_truth_jobs_replicas_and_what_was_not_asked_for_are_left_out() -> None:
    job = {
        "id": 1,
        "task_id": 2,
        "project_id": 3,
        "state": "completed",
        "stage": "annotation",
        "type": "annotation",
    }
    items = [
        job,
        job | {"id": 4, "type": "ground_truth"},
        job | {"id": 5, "type": "replica"},
        job | {"id": 6, "type": "consensus_replica"},
        job | {"id": 7, "project_id": 9},
        job | {"id": 8, "state": "new"},
        {"id": 9, "task_id": 2, "state": "completed"},
    ]
    session = opened(FakeTransport({"GET /api/jobs": ok({"next": None, "results": items})}))
    assert [found.id for found in find_jobs(session, project_id=3)] == [1, 9]
