"""Tasks: made, found and deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agir_cvtoolkit.errors import NotFoundError, RefusedError, RemoteError, ServerFaultError

from .background import wait_until
from .failures import UNCERTAIN
from .labels import NewLabel
from .session import CvatSession

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskRequest:
    """A task to be made.

    Attributes:
        name: unique, since a lost answer is made good by looking for it: it carries the id of the push.
        project_id: the task inherits the project's labels; None for a task of its own.
        labels: of a task without project.
        segment_size: frames per job; None for one job.
        subset: such as ``Train``, at most 64 characters; None for none.
    """

    name: str
    project_id: int | None = None
    labels: tuple[NewLabel, ...] = ()
    segment_size: int | None = None
    subset: str | None = None


@dataclass(frozen=True)
class TaskInfo:
    """A task as the server has it.

    Attributes:
        size: number of frames; 0 while it has no data.
        created_date: as the server writes it (ISO 8601, UTC).
    """

    id: int
    name: str
    project_id: int | None
    size: int
    status: str
    updated_date: str
    created_date: str = ""


def create_task(session: CvatSession, request: TaskRequest) -> TaskInfo:
    """Create a task without data; after a lost answer the task of that name is looked for first.

    Raises:
        NotFoundError: the project does not exist.
        RefusedError: the server does not like name or labels.
    """
    subject = f"create task '{request.name}'"
    content = _content(request)
    attempt = 0
    while True:
        attempt += 1
        try:
            made = _task(session.send_json("POST", "/api/tasks", subject, content))
            break
        except RefusedError as error:
            if request.project_id is not None and "Project matching query does not exist" in error.problem:
                raise NotFoundError(
                    f"Project {request.project_id} not found", "Check project_id.", status=404
                ) from error
            if "same organization" in error.problem:
                error.next_step = "Leave organization_slug unset: it is found from the project."
            raise
        except UNCERTAIN:
            found = _empty_ones(session, request)
            if found:
                return found[0]
            if attempt >= session.policy.attempts:
                raise
            session.clock.sleep(session.policy.wait(attempt))
    if attempt > 1:
        # A request that was thought lost may have been carried out late.
        for twin in _empty_ones(session, request):
            if twin.id != made.id:
                delete_task(session, twin.id)
    return made


def find_tasks(
    session: CvatSession, *, name: str | None = None, project_id: int | None = None
) -> tuple[TaskInfo, ...]:
    """Find tasks by exact name, by project, or both; by neither, all that the account sees. Ordered by id."""
    params: dict[str, object] = {}
    if name is not None:
        params["name"] = name
    if project_id is not None:
        params["project_id"] = project_id
    found = (_task(item) for item in session.pages("/api/tasks", "list tasks", params))
    # The server ignores query parameters that it does not know, so its choice is checked.
    right = (
        task
        for task in found
        if name in {None, task.name} and (project_id is None or task.project_id == project_id)
    )
    return tuple(sorted(right, key=lambda task: task.id))


def get_task(session: CvatSession, task_id: int) -> TaskInfo:
    """Read one task.

    Raises:
        NotFoundError: there is none of that id for this account.
    """
    try:
        return _task(session.get(f"/api/tasks/{task_id}", f"read task {task_id}"))
    except NotFoundError as error:
        if error.problem.startswith("Organization "):
            raise
        raise NotFoundError(
            f"Task {task_id} not found",
            "Check the id, and that this account can see it; if it was deleted just now, run the same command again.",
            status=404,
        ) from error


def delete_task(session: CvatSession, task_id: int, patience_s: float = 300.0) -> None:
    """Delete a task with everything in it; one that is gone already is fine.

    A server answers with 500 while it prepares the task's pictures; then this waits until it has done so.

    Args:
        session: where the task is.
        task_id: of the task.
        patience_s: longest time to wait in seconds.

    Raises:
        RemoteError: of its kinds.
    """
    subject = f"delete task {task_id}"
    gone = frozenset({404})
    try:
        session.request("DELETE", f"/api/tasks/{task_id}", subject, accept_status=gone)
    except ServerFaultError as error:
        if error.status != 500 or not is_being_prepared(session, task_id):
            raise
        _log.info("task %d is being prepared; it is deleted as soon as that has ended", task_id)
        wait_until(session, lambda: not is_being_prepared(session, task_id) or None, subject, patience_s)
        session.request("DELETE", f"/api/tasks/{task_id}", subject, accept_status=gone)


def creation_request(task_id: int) -> str:
    """Return the id under which a server prepares a task's pictures."""
    return f"action=create&target=task&target_id={task_id}"


def is_being_prepared(session: CvatSession, task_id: int) -> bool:
    """Whether the server makes frames of a task's pictures right now, or will soon."""
    try:
        state = session.get(
            f"/api/requests/{quote(creation_request(task_id), safe='')}",
            f"ask whether task {task_id} is made",
        )
    except RemoteError:
        return False
    return isinstance(state, dict) and str(state.get("status", "")).lower() in {"queued", "started"}


def _empty_ones(session: CvatSession, request: TaskRequest) -> list[TaskInfo]:
    found = find_tasks(session, name=request.name, project_id=request.project_id)
    return [task for task in found if task.size == 0 and task.project_id == request.project_id]


def _content(request: TaskRequest) -> dict[str, object]:
    content: dict[str, object] = {"name": request.name}
    if request.project_id is not None:
        content["project_id"] = request.project_id
    else:
        content["labels"] = [label.as_request() for label in request.labels]
    if request.segment_size is not None:
        content["segment_size"] = request.segment_size
    if request.subset:
        content["subset"] = request.subset
    return content


def _task(item: Mapping[str, Any]) -> TaskInfo:
    if not isinstance(item, dict) or not isinstance(item.get("id"), int):
        raise ServerFaultError("The server named no id for a task", "Check that cvat.url is CVAT itself.")
    return TaskInfo(
        id=item["id"],
        name=str(item.get("name") or ""),
        project_id=item.get("project_id"),
        size=int(item.get("size") or 0),
        status=str(item.get("status") or ""),
        updated_date=str(item.get("updated_date") or ""),
        created_date=str(item.get("created_date") or ""),
    )
