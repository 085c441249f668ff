"""Jobs: the parts of a task that people work on."""

from __future__ import annotations

from starlette.responses import Response

from .access import account, basic_user
from .answers import Refusal, not_found, reply
from .calls import Call
from .labels import owner_of
from .lists import list_answer
from .store import Json, now
from .tasks import storages

STATES = ("new", "in progress", "completed", "rejected")
STAGES = ("annotation", "validation", "acceptance")


def job_status(job: Json) -> str:
    """Return the old single status of a job, which its stage decides."""
    return {"annotation": "annotation", "validation": "validation"}.get(job["stage"], "completed")


def list_jobs(call: Call) -> Response:
    """Answer ``GET /api/jobs``."""
    store = call.store
    users = {user["id"]: user["username"] for user in store.all("user")}
    tasks = {task["id"]: task for task in store.all("task")}
    projects = {project["id"]: project["name"] for project in store.all("project")}
    jobs = [job | {"organization": tasks[job["task_id"]]["organization"]} for job in store.all("job")]
    return list_answer(
        call,
        jobs,
        lambda j: {
            "id": j["id"],
            "task_id": j["task_id"],
            "task_name": tasks[j["task_id"]]["name"],
            "project_id": tasks[j["task_id"]]["project_id"],
            "project_name": projects.get(tasks[j["task_id"]]["project_id"]),
            "updated_date": j["updated_date"],
            "state": j["state"],
            "stage": j["stage"],
            "status": job_status(j),
            "assignee": users.get(j["assignee_id"]),
            "dimension": "2d",
            "type": "annotation",
        },
        lambda j: job_view(call, j),
        choices={
            "state": STATES,
            "stage": STAGES,
            "type": ("annotation", "ground_truth", "consensus_replica"),
        },
    )


def show_job(call: Call) -> Response:
    """Answer ``GET /api/jobs/ID``."""
    return reply(job_view(call, call.load("job")))


def patch_job(call: Call) -> Response:
    """Answer ``PATCH /api/jobs/ID``: a new stage resets the state unless both are sent."""
    spec = call.json_object()
    if set(spec) - {"assignee", "stage", "state"}:
        raise Refusal(403, {"detail": "Attempted to update an unknown field"})
    for key, allowed in (("state", STATES), ("stage", STAGES)):
        if key in spec and spec[key] not in allowed:
            raise Refusal(400, {key: [f'"{spec[key]}" is not a valid choice.']})
    store = call.store
    with store.transaction():
        job = call.load("job")
        if "stage" in spec and spec["stage"] != job["stage"]:
            job["stage"] = spec["stage"]
            job["state"] = "new"
        if "state" in spec:
            job["state"] = spec["state"]
        if "assignee" in spec:
            job["assignee_id"] = account(call, spec, "assignee")
            job["assignee_updated_date"] = now()
        job["updated_date"] = now()
        store.put("job", job["id"], job)
    return reply(job_view(call, job))


def create_job(call: Call) -> Response:
    """Answer ``POST /api/jobs``: only ground truth jobs can be made by hand, and the sandbox has none."""
    kind = call.json_object().get("type")
    raise Refusal(400, [f"Unexpected job type '{kind}': this server makes jobs with their task."])


def job_view(call: Call, job: Json) -> Json:
    """Return a job as the interface shows it."""
    task = call.store.get("task", job["task_id"])
    if task is None or task["data"] is None:
        raise not_found("Job")
    kind, _, number = owner_of(task).partition(":")
    return {
        "url": f"{call.origin}/api/jobs/{job['id']}",
        "id": job["id"],
        "task_id": job["task_id"],
        "project_id": task["project_id"],
        "assignee": basic_user(call, job["assignee_id"]),
        "guide_id": None,
        "dimension": "2d",
        "bug_tracker": task["bug_tracker"],
        "status": job_status(job),
        "stage": job["stage"],
        "state": job["state"],
        "mode": "annotation",
        "frame_count": job["stop_frame"] - job["start_frame"] + 1,
        "start_frame": job["start_frame"],
        "stop_frame": job["stop_frame"],
        "data_chunk_size": task["data"]["chunk_size"],
        "data_compressed_chunk_type": "imageset",
        "data_original_chunk_type": "imageset",
        "created_date": job["created_date"],
        "updated_date": job["updated_date"],
        "issues": {"url": f"{call.origin}/api/issues?job_id={job['id']}", "count": 0},
        "labels": {"url": f"{call.origin}/api/labels?{kind}_id={number}"},
        "type": "annotation",
        "organization": task["organization"],
        **storages(task),
        "assignee_updated_date": job["assignee_updated_date"],
        "parent_job_id": None,
        "consensus_replicas": 0,
    }
