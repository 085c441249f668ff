"""Tasks."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from starlette.responses import Response

from .access import account, basic_user
from .answers import PageRefusal, Refusal, reply, required
from .calls import Call
from .labels import add_labels, check_specs, delete_label, labels_of, owner_of, patch_labels
from .lists import list_answer
from .store import Json, Store, now

_STATUSES = ("annotation", "validation", "completed")
_LONGEST_NAME = 256
_LONGEST_SUBSET = 64
_MOST_REPLICAS = 10


def storages(document: Json) -> Json:
    """Return where exports and imports of an object lie: always this server."""
    number = 2 * int(document["id"])
    return {
        "target_storage": {"id": number - 1, "location": "local", "cloud_storage_id": None},
        "source_storage": {"id": number, "location": "local", "cloud_storage_id": None},
    }


def jobs_of(store: Store, task_id: int) -> list[Json]:
    """Return all of a task's jobs in the order in which they were made."""
    return store.all("job", parent=f"task:{task_id}")


def work_jobs_of(store: Store, task: Json) -> list[Json]:
    """Return the jobs whose annotations are the task's: no replicas, and ground truth only of a pool."""
    pool = (task["data"] or {}).get("validation_mode") == "gt_pool"
    kinds = {"annotation", "ground_truth"} if pool else {"annotation"}
    return [job for job in jobs_of(store, task["id"]) if kind_of(job) in kinds]


def kind_of(job: Json) -> str:
    """Return a job's type as the sandbox keeps it: ``annotation``, ``ground_truth`` or ``replica``."""
    return str(job.get("type", "annotation"))


def frames_in(job: Json) -> Sequence[int]:
    """Return the frames of the task that are in a job, in order."""
    frames: list[int] | None = job.get("frames")
    return range(job["start_frame"], job["stop_frame"] + 1) if frames is None else frames


def task_status(jobs: list[Json]) -> str:
    """Return a task's status, which follows the stages of its annotation jobs and not their states."""
    jobs = [job for job in jobs if kind_of(job) == "annotation"]
    if jobs and all(_finished(job) for job in jobs):
        return "completed"
    if jobs and all(job["stage"] != "annotation" for job in jobs):
        return "validation"
    return "annotation"


def list_tasks(call: Call) -> Response:
    """Answer ``GET /api/tasks``."""
    store = call.store
    users = {user["id"]: user["username"] for user in store.all("user")}
    projects = {project["id"]: project["name"] for project in store.all("project")}
    return list_answer(
        call,
        store.all("task"),
        lambda t: {
            "id": t["id"],
            "name": t["name"],
            "project_id": t["project_id"],
            "project_name": projects.get(t["project_id"]),
            "owner": users.get(t["owner_id"]),
            "assignee": users.get(t["assignee_id"]),
            "status": task_status(jobs_of(store, t["id"])),
            "subset": t["subset"],
            "mode": "annotation",
            "dimension": "2d",
            **({"media_type": "image"} if call.generation.media_types else {}),
            "tracker_link": t["bug_tracker"],
            "validation_mode": (t["data"] or {}).get("validation_mode"),
            "updated_date": t["updated_date"],
        },
        lambda t: task_view(call, t),
        choices={"status": _STATUSES, "dimension": ("2d", "3d")},
    )


def create_task(call: Call) -> Response:
    """Answer ``POST /api/tasks``."""
    spec = call.json_object()
    name = spec.get("name")
    if not isinstance(name, str):
        raise required("name")
    if not name.strip():
        raise Refusal(400, {"name": ["This field may not be blank."]})
    if len(name) > _LONGEST_NAME:
        raise Refusal(400, {"name": [f"Ensure this field has no more than {_LONGEST_NAME} characters."]})
    _check_subset(spec)
    project_id = spec.get("project_id")
    specs = check_specs(spec.get("labels"), call.generation)
    if project_id is None and not specs:
        raise Refusal(400, ["Label set or project_id must be present"])
    if project_id is not None and specs:
        raise Refusal(400, ["Project must have only one of Label set or project_id"])
    store = call.store
    with store.transaction():
        project = _project(call, project_id)
        at = now()
        task: Json = {
            "id": store.next_id("task"),
            "name": name,
            "project_id": project_id,
            "owner_id": account(call, spec, "owner_id") or call.user["id"],
            "assignee_id": account(call, spec, "assignee_id"),
            "assignee_updated_date": None,
            "bug_tracker": spec.get("bug_tracker") or "",
            "subset": spec.get("subset") or "",
            "segment_size": _count(spec, "segment_size"),
            "overlap": spec.get("overlap"),
            "replicas": _replicas(call, spec),
            "created_date": at,
            "updated_date": at,
            "organization": call.context.organization,
            "data": None,
        }
        parent = None if project is None else f"project:{project_id}"
        store.put("task", task["id"], task, parent=parent)
        add_labels(store, owner_of(task), specs)
        touch_project(store, project_id)
    return reply(task_view(call, task), 201)


def show_task(call: Call) -> Response:
    """Answer ``GET /api/tasks/ID``."""
    return reply(task_view(call, call.load("task")))


def patch_task(call: Call) -> Response:
    """Answer ``PATCH /api/tasks/ID``."""
    spec = call.json_object()
    _check_subset(spec)
    specs = check_specs(spec.get("labels"), call.generation)
    store = call.store
    with store.transaction():
        task = call.load("task")
        if specs and task["project_id"] is not None:
            raise Refusal(400, ["Changing labels is not allowed for a task inside a project."])
        for key in ("name", "bug_tracker", "subset"):
            if isinstance(spec.get(key), str):
                task[key] = spec[key]
        for key in ("owner_id", "assignee_id"):
            if key in spec:
                task[key] = account(call, spec, key)
        if "assignee_id" in spec:
            task["assignee_updated_date"] = now()
        if specs:
            patch_labels(store, owner_of(task), specs)
        task["updated_date"] = now()
        store.put("task", task["id"], task)
        touch_project(store, task["project_id"])
    return reply(task_view(call, task))


def remove_task(call: Call) -> Response:
    """Answer ``DELETE /api/tasks/ID``; while its pictures are being prepared it fails, and the task stays."""
    creation = call.store.get("request", f"action=create&target=task&target_id={call.key}")
    if creation is not None and creation["status"] == "started":
        call.load("task")
        raise PageRefusal(500)
    with call.store.transaction():
        delete_task(call.store, call.load("task"))
    return Response(status_code=204)


def delete_task(store: Store, task: Json) -> None:
    """Remove a task with its jobs, annotations, labels and pictures."""
    for job in jobs_of(store, task["id"]):
        delete_job(store, job)
    if task["project_id"] is None:
        for label in labels_of(store, owner_of(task)):
            delete_label(store, label)
    store.remove("task", task["id"])
    store.remove("frames", task["id"])
    store.forget_uploads(task["id"])
    shutil.rmtree(store.folder(task["id"]), ignore_errors=True)


def delete_job(store: Store, job: Json) -> None:
    """Remove a job with its annotations and what was said of it."""
    store.remove_items([job["id"]])
    for issue in store.all("issue", parent=f"job:{job['id']}"):
        forget_issue(store, issue)
    store.remove("job", job["id"])


def forget_issue(store: Store, issue: Json) -> None:
    """Remove an issue with its comments."""
    for comment in store.all("comment", parent=f"issue:{issue['id']}"):
        store.remove("comment", comment["id"])
    store.remove("issue", issue["id"])


def touch_project(store: Store, project_id: int | None) -> None:
    """Set a project's ``updated_date``."""
    project = None if project_id is None else store.get("project", project_id)
    if project is not None:
        store.put("project", project["id"], project | {"updated_date": now()})


def touch_jobs(store: Store, task_id: int) -> None:
    """Say that all jobs of a task have changed."""
    for job in jobs_of(store, task_id):
        store.put("job", job["id"], job | {"updated_date": now()})


def task_view(call: Call, task: Json) -> Json:
    """Return a task as the interface shows it; one without data has no size, mode or chunk fields."""
    jobs = jobs_of(call.store, task["id"])
    data = task["data"]
    number = task["id"]
    view: Json = {
        "url": f"{call.origin}/api/tasks/{number}",
        "id": number,
        "name": task["name"],
        "project_id": task["project_id"],
        "mode": "annotation" if data else "",
        "owner": basic_user(call, task["owner_id"]),
        "assignee": basic_user(call, task["assignee_id"]),
        "bug_tracker": task["bug_tracker"],
        "created_date": task["created_date"],
        "updated_date": task["updated_date"],
        "overlap": task["overlap"],
        "segment_size": task["segment_size"],
        "status": task_status(jobs),
        "dimension": "2d",
        "subset": task["subset"],
        "organization": task["organization"],
        **storages(task),
        "jobs": {
            "count": len(jobs),
            "completed": sum(_finished(job) for job in jobs),
            "validation": sum(job["stage"] == "validation" for job in jobs),
            "url": f"{call.origin}/api/jobs?task_id={number}",
        },
        "labels": {"url": f"{call.origin}/api/labels?task_id={number}"},
        "guide_id": None,
        "assignee_updated_date": task["assignee_updated_date"],
        **_later_fields(call, task),
    }
    if data is None and task.get("begun"):
        view |= {
            "data_chunk_size": None,
            "data_compressed_chunk_type": "imageset",
            "data_original_chunk_type": "imageset",
            "size": 0,
            "image_quality": 70,
            "data": number,
        }
    if data:
        view |= {
            "data_chunk_size": data["chunk_size"],
            "data_compressed_chunk_type": "imageset",
            "data_original_chunk_type": "imageset",
            "size": data["size"],
            "image_quality": data["image_quality"],
            "data": number,
        }
    return view


def _later_fields(call: Call, task: Json) -> Json:
    """Return what tasks did not have from the first generation on."""
    generation, replicas = call.generation, task.get("replicas", 0)
    fields: Json = {}
    if generation.validation:
        fields["validation_mode"] = (task["data"] or {}).get("validation_mode")
    if generation.initial_replicas:
        fields["initial_replicas"] = replicas
    elif generation.consensus:
        fields["consensus_enabled"] = replicas > 0
    if generation.storage_fields:
        fields |= {"organization_id": task["organization"], "data_cloud_storage_id": None}
    if generation.parent_names:
        project = None if task["project_id"] is None else call.store.get("project", task["project_id"])
        fields["project_name"] = None if project is None else project["name"]
    if generation.media_types:
        fields["media_type"] = "image"
    return fields


def _replicas(call: Call, spec: Json) -> int:
    key = "initial_replicas" if "initial_replicas" in spec else "consensus_replicas"
    if not call.generation.consensus or (key == "initial_replicas" and not call.generation.initial_replicas):
        return 0  # a field that a server does not know is passed over
    count = _count(spec, key)
    if count > _MOST_REPLICAS:
        raise Refusal(400, {key: [f"Ensure this value is less than or equal to {_MOST_REPLICAS}."]})
    if count == 1:
        raise Refusal(400, {key: ["Must be 0 or at least 2"]})
    return count


def _finished(job: Json) -> bool:
    return bool(job["stage"] == "acceptance" and job["state"] == "completed")


def _project(call: Call, project_id: object) -> Json | None:
    if project_id is None:
        return None
    project = call.store.get("project", project_id) if isinstance(project_id, int) else None
    if project is None:
        raise Refusal(400, ["Project matching query does not exist."])
    if project["organization"] != call.context.organization:
        raise Refusal(400, ["The task and its project should be in the same organization."])
    return project


def _check_subset(spec: Json) -> None:
    if len(str(spec.get("subset") or "")) > _LONGEST_SUBSET:
        raise Refusal(400, {"subset": [f"Ensure this field has no more than {_LONGEST_SUBSET} characters."]})


def _count(spec: Json, key: str) -> int:
    value = spec.get(key) or 0
    if not isinstance(value, int) or value < 0:
        raise Refusal(400, {key: ["Ensure this value is greater than or equal to 0."]})
    return value
