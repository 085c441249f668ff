"""Projects."""

from __future__ import annotations

from starlette.responses import Response

from .access import account, basic_user
from .answers import reply, required
from .calls import Call
from .labels import add_labels, check_specs, delete_label, labels_of, patch_labels
from .lists import list_answer
from .store import Json, now
from .tasks import delete_task, storages
from .webhooks import forget_webhook

_STATUSES = ("annotation", "validation", "completed")


def list_projects(call: Call) -> Response:
    """Answer ``GET /api/projects``."""
    users = {user["id"]: user["username"] for user in call.store.all("user")}
    return list_answer(
        call,
        call.store.all("project"),
        lambda p: {
            "id": p["id"],
            "name": p["name"],
            "owner": users.get(p["owner_id"]),
            "assignee": users.get(p["assignee_id"]),
            "status": p["status"],
            "updated_date": p["updated_date"],
        },
        lambda p: project_view(call, p),
        choices={"status": _STATUSES},
    )


def create_project(call: Call) -> Response:
    """Answer ``POST /api/projects``."""
    spec = call.json_object()
    name = spec.get("name")
    if not isinstance(name, str) or not name.strip():
        raise required("name")
    specs = check_specs(spec.get("labels"), call.generation)
    store = call.store
    with store.transaction():
        at = now()
        project: Json = {
            "id": store.next_id("project"),
            "name": name,
            "owner_id": account(call, spec, "owner_id") or call.user["id"],
            "assignee_id": account(call, spec, "assignee_id"),
            "assignee_updated_date": None,
            "bug_tracker": spec.get("bug_tracker") or "",
            "created_date": at,
            "updated_date": at,
            "status": "annotation",
            "organization": call.context.organization,
        }
        store.put("project", project["id"], project)
        add_labels(store, f"project:{project['id']}", specs)
    return reply(project_view(call, project), 201)


def show_project(call: Call) -> Response:
    """Answer ``GET /api/projects/ID``."""
    return reply(project_view(call, call.load("project")))


def patch_project(call: Call) -> Response:
    """Answer ``PATCH /api/projects/ID``."""
    spec = call.json_object()
    store = call.store
    specs = check_specs(spec.get("labels"), call.generation)
    with store.transaction():
        project = call.load("project")
        for key in ("name", "bug_tracker"):
            if isinstance(spec.get(key), str):
                project[key] = spec[key]
        for key in ("owner_id", "assignee_id"):
            if key in spec:
                project[key] = account(call, spec, key)
        if "assignee_id" in spec:
            project["assignee_updated_date"] = now()
        patch_labels(store, f"project:{project['id']}", specs)
        project["updated_date"] = now()
        store.put("project", project["id"], project)
    return reply(project_view(call, project))


def remove_project(call: Call) -> Response:
    """Answer ``DELETE /api/projects/ID``: its tasks go with it."""
    store = call.store
    with store.transaction():
        project = call.load("project")
        owner = f"project:{project['id']}"
        for task in store.all("task", parent=owner):
            delete_task(store, task)
        for label in labels_of(store, owner):
            delete_label(store, label)
        for webhook in store.all("webhook", parent=owner):
            forget_webhook(store, webhook)
        store.remove("project", project["id"])
    return Response(status_code=204)


def project_view(call: Call, project: Json) -> Json:
    """Return a project as the interface shows it."""
    tasks = call.store.all("task", parent=f"project:{project['id']}")
    return {
        "url": f"{call.origin}/api/projects/{project['id']}",
        "id": project["id"],
        "name": project["name"],
        "owner": basic_user(call, project["owner_id"]),
        "assignee": basic_user(call, project["assignee_id"]),
        "guide_id": None,
        "bug_tracker": project["bug_tracker"],
        "task_subsets": sorted({task["subset"] for task in tasks} - {""}),
        "created_date": project["created_date"],
        "updated_date": project["updated_date"],
        "status": project["status"],
        "dimension": "2d" if tasks else None,
        "organization": project["organization"],
        **storages(project),
        "tasks": {"count": len(tasks), "url": f"{call.origin}/api/tasks?project_id={project['id']}"},
        "labels": {"url": f"{call.origin}/api/labels?project_id={project['id']}"},
        "assignee_updated_date": project["assignee_updated_date"],
        **({"organization_id": project["organization"]} if call.generation.storage_fields else {}),
    }
