"""Jobs: the parts of a task that people work on, and what is done twice or beforehand to compare with."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from .access import account, basic_user
from .answers import Refusal, not_found, reply
from .calls import Call
from .labels import owner_of
from .lists import list_answer
from .store import Json, Store, now
from .tasks import delete_job, frames_in, kind_of, storages
from .webhooks import announce

STATES = ("new", "in progress", "completed", "rejected")
STAGES = ("annotation", "validation", "acceptance")


def add_job(
    store: Store,
    task_id: int,
    first: int,
    last: int,
    at: str,
    *,
    kind: str = "annotation",
    frames: Sequence[int] | None = None,
    parent: int | None = None,
) -> Json:
    """Write a new job.

    Args:
        first, last: frames of the task, both inclusive.
        at: the time of its creation.
        kind: ``annotation``, ``ground_truth`` or ``replica``.
        frames: the frames that are in it, where not all from `first` to `last` are.
        parent: the job that a replica repeats.
    """
    job: Json = {
        "id": store.next_id("job"),
        "task_id": task_id,
        "start_frame": first,
        "stop_frame": last,
        "stage": "annotation",
        "state": "new",
        "assignee_id": None,
        "assignee_updated_date": None,
        "created_date": at,
        "updated_date": at,
        "type": kind,
        "frames": None if frames is None else list(frames),
        "parent_job_id": parent,
    }
    store.put("job", job["id"], job, parent=f"task:{task_id}")
    return job


def job_status(job: Json) -> str:
    """Return the old single status of a job, which its stage decides."""
    return {"annotation": "annotation", "validation": "validation"}.get(job["stage"], "completed")


def shown_kind(call: Call, job: Json) -> str:
    """Return a job's type as the played version calls it."""
    kind = kind_of(job)
    return call.generation.replica if kind == "replica" else kind


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
            "type": shown_kind(call, j),
            **({"parent_job_id": j.get("parent_job_id")} if call.generation.consensus else {}),
            **({"media_type": "image"} if call.generation.media_types else {}),
        },
        lambda j: job_view(call, j),
        choices={"state": STATES, "stage": STAGES, "type": call.generation.job_types},
    )


def show_job(call: Call) -> Response:
    """Answer ``GET /api/jobs/ID``."""
    return reply(job_view(call, call.load("job")))


def patch_job(call: Call) -> Response:
    """Answer ``PATCH /api/jobs/ID``: a new stage resets state and assignee unless they are sent with it."""
    spec = call.json_object()
    if set(spec) - {"assignee", "stage", "state"}:
        raise Refusal(403, {"detail": "Attempted to update an unknown field"})
    for key, allowed in (("state", STATES), ("stage", STAGES)):
        if key in spec and spec[key] not in allowed:
            raise Refusal(400, {key: [f'"{spec[key]}" is not a valid choice.']})
    store = call.store
    with store.transaction():
        job = call.load("job")
        old = job_view(call, job)
        if "stage" in spec and spec["stage"] != job["stage"]:
            job |= {"stage": spec["stage"], "state": "new", "assignee_id": None}
        if "state" in spec:
            job["state"] = spec["state"]
        if "assignee" in spec:
            job["assignee_id"] = account(call, spec, "assignee")
            job["assignee_updated_date"] = now()
        job["updated_date"] = now()
        store.put("job", job["id"], job)
    view = job_view(call, job)
    before = {name: old[name] for name in ("state", "stage", "assignee") if old[name] != view[name]}
    announce(call, "job", view["project_id"], view, before)
    return reply(view)


def remove_job(call: Call) -> Response:
    """Answer ``DELETE /api/jobs/ID``: only of ground truth."""
    store = call.store
    with store.transaction():
        job = call.load("job")
        task = store.get("task", job["task_id"])
        pool = task is not None and (task["data"] or {}).get("validation_mode") == "gt_pool"
        if kind_of(job) != "ground_truth" or pool:
            raise Refusal(400, ["Only ground truth jobs can be removed"])
        delete_job(store, job)
        if task is not None and task["data"]:
            task["data"] |= {"validation_mode": None, "disabled_frames": []}
            store.put("task", task["id"], task)
    return Response(status_code=204)


def job_view(call: Call, job: Json) -> Json:
    """Return a job as the interface shows it."""
    task = call.store.get("task", job["task_id"])
    if task is None or task["data"] is None:
        raise not_found("Job")
    kind, _, number = owner_of(task).partition(":")
    issues = len(call.store.all("issue", parent=f"job:{job['id']}"))
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
        "frame_count": len(frames_in(job)),
        "start_frame": job["start_frame"],
        "stop_frame": job["stop_frame"],
        "data_chunk_size": task["data"]["chunk_size"],
        "data_compressed_chunk_type": "imageset",
        "data_original_chunk_type": "imageset",
        "created_date": job["created_date"],
        "updated_date": job["updated_date"],
        "issues": {"url": f"{call.origin}/api/issues?job_id={job['id']}", "count": issues},
        "labels": {"url": f"{call.origin}/api/labels?{kind}_id={number}"},
        "type": shown_kind(call, job),
        "organization": task["organization"],
        **storages(task),
        "assignee_updated_date": job["assignee_updated_date"],
        **_later_fields(call, job, task),
    }


def _later_fields(call: Call, job: Json, task: Json) -> Json:
    """Return what jobs did not have from the first generation on."""
    generation = call.generation
    replicas = task.get("replicas", 0) if kind_of(job) == "annotation" else 0
    fields: Json = {}
    if generation.consensus:
        fields["parent_job_id"] = job.get("parent_job_id")
        if not generation.initial_replicas:
            fields["consensus_replicas"] = replicas
    if generation.parent_names:
        project = None if task["project_id"] is None else call.store.get("project", task["project_id"])
        fields |= {
            "replicas_count": replicas,
            "task_name": task["name"],
            "project_name": None if project is None else project["name"],
        }
    if generation.media_types:
        fields["media_type"] = "image"
    return fields
