"""What a server has of a project or of some tasks: all of it, or what has changed since a moment.

Only dates of the server are compared with dates of the server, so a clock that is wrong here does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import orjson

from agir_cvtoolkit.errors import RefusedError, RemoteError, ServerFaultError

from .jobs import JobInfo, job_from_json
from .session import PAGE_SIZE, CvatSession
from .whole_numbers import LARGEST_ID, whole_number

OVERLAP = timedelta(minutes=15)
"""How far before a cursor a listing begins: a change is dated before it can be seen."""

_IDS_AT_ONCE = 100
_ATTEMPTS = 3
_T = TypeVar("_T")


@dataclass(frozen=True)
class Scope:
    """What is asked for: a project, or tasks; with both, those of the tasks that are in the project."""

    project_id: int | None = None
    task_ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ListedTask:
    """A task as the server lists it."""

    id: int
    name: str
    project_id: int | None
    updated_date: str


@dataclass(frozen=True)
class Listing(Generic[_T]):
    """What a server listed.

    Attributes:
        items: ordered by id.
        whole: it is everything in the scope, not only what has changed.
    """

    items: tuple[_T, ...]
    whole: bool


def moment(date: str) -> datetime:
    """Return a date of the server as a time that can be compared; one that cannot be read is the oldest."""
    try:
        found = datetime.fromisoformat(date)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def list_jobs(session: CvatSession, scope: Scope, since: str | None = None) -> Listing[JobInfo]:
    """List the jobs of a scope, of all types.

    Args:
        session: where they are.
        scope: whose jobs.
        since: only those that have changed since `OVERLAP` before this date of the server. A server that does
            not filter lists all of them, and is understood.

    Raises:
        RemoteError: of its kinds.
    """
    found = _list(session, "/api/jobs", "list jobs", "task_id", scope, since)
    jobs = (job_from_json(item) for item in found.items)
    return Listing(tuple(job for job in jobs if _right(scope, job.task_id, job.project_id)), found.whole)


def list_tasks(session: CvatSession, scope: Scope, since: str | None = None) -> Listing[ListedTask]:
    """List the tasks of a scope; see `list_jobs`.

    Raises:
        RemoteError: of its kinds.
    """
    found = _list(session, "/api/tasks", "list tasks", "id", scope, since)
    tasks = (_task(item) for item in found.items)
    return Listing(tuple(task for task in tasks if _right(scope, task.id, task.project_id)), found.whole)


def count_jobs(session: CvatSession, scope: Scope) -> int | None:
    """Return how many jobs of all types a scope has, or None where the server does not say.

    Raises:
        RemoteError: of its kinds.
    """
    total = 0
    for query in _queries(scope, "task_id", None):
        answer: Any = session.get("/api/jobs", "count jobs", query | {"page": 1, "page_size": 1})
        count = answer.get("count") if isinstance(answer, dict) else None
        if not isinstance(count, int):
            return None
        total += count
    return total


def _list(
    session: CvatSession, path: str, subject: str, id_name: str, scope: Scope, since: str | None
) -> Listing[Mapping[str, Any]]:
    after = None if since is None else moment(since) - OVERLAP
    if after is not None:
        found = _unless_refused(lambda: _pages_of(session, path, subject, _queries(scope, id_name, after)))
        if found is not None:
            # Whoever lists older ones as well has not looked at the date.
            older = any(moment(str(item.get("updated_date") or "")) < after for item in found)
            return Listing(found, whole=older)
    if scope.task_ids is not None:
        found = _unless_refused(lambda: _pages_of(session, path, subject, _queries(scope, id_name, None)))
        if found is not None:
            return Listing(found, whole=True)
        # Of lists of tasks the server ignores a plain id.
        single: list[dict[str, object]] = (
            [{id_name: task_id} for task_id in scope.task_ids] if id_name != "id" else [{}]
        )
        return Listing(_pages_of(session, path, subject, single), whole=True)
    return Listing(_pages_of(session, path, subject, _queries(scope, id_name, None)), whole=True)


def _queries(scope: Scope, id_name: str, after: datetime | None) -> list[dict[str, object]]:
    fixed: dict[str, object] = {"sort": "id"}
    if scope.project_id is not None:
        fixed["project_id"] = scope.project_id
    # The server wants the variable first; the other way round it fails.
    dated = [] if after is None else [{">=": [{"var": "updated_date"}, _text(after)]}]
    ids: list[list[int] | None] = [None]
    if scope.task_ids is not None:
        listed = sorted(set(scope.task_ids))
        ids = [listed[at : at + _IDS_AT_ONCE] for at in range(0, len(listed), _IDS_AT_ONCE)]
    queries = []
    for part in ids:
        rules: list[object] = list(dated)
        if part is not None:
            rules.append({"in": [{"var": id_name}, part]})
        logic = {"filter": orjson.dumps({"and": rules}).decode()} if rules else {}
        queries.append(fixed | logic)
    return queries


def _unless_refused(
    look: Callable[[], tuple[Mapping[str, Any], ...]],
) -> tuple[Mapping[str, Any], ...] | None:
    """Return what was found, or None where the server does not understand the filter."""
    try:
        return look()
    except (RefusedError, ServerFaultError) as error:
        if error.status not in {400, 500}:
            raise
        return None


def _pages_of(
    session: CvatSession, path: str, subject: str, queries: Sequence[Mapping[str, object]]
) -> tuple[Mapping[str, Any], ...]:
    found: dict[int, Mapping[str, Any]] = {}
    for query in queries:
        found |= _whole(session, path, subject, query)
    return tuple(item for _, item in sorted(found.items()))


def _whole(
    session: CvatSession, path: str, subject: str, query: Mapping[str, object]
) -> dict[int, Mapping[str, Any]]:
    """Read all pages, again where the list became shorter meanwhile and an item may have slipped through."""
    found: dict[int, Mapping[str, Any]] = {}
    for _ in range(_ATTEMPTS):
        latest: dict[int, Mapping[str, Any]] = {}
        count = 0
        for page in _pages(session, path, subject, query):
            items = page.get("results")
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and "id" in item:
                    # An id that makes no sense is not left out silently: it may be somebody's work.
                    latest[whole_number(item, "id", f"an item of {path}", most=LARGEST_ID)] = item
            told = page.get("count")
            count = told if isinstance(told, int) else 0
        found |= latest
        if len(latest) >= count:
            return latest
    return found


def _pages(
    session: CvatSession, path: str, subject: str, query: Mapping[str, object]
) -> Iterator[Mapping[str, Any]]:
    number = 1
    while True:
        try:
            answer = session.get(path, subject, dict(query) | {"page": number, "page_size": PAGE_SIZE})
        except RemoteError as error:
            # A list that became shorter while it was read has no such page any more.
            if error.status == 404 and number > 1:
                return
            raise
        if not isinstance(answer, dict):
            raise ServerFaultError(
                f"The server's answer cannot be understood, could not {subject}",
                "Check that cvat.url is CVAT itself.",
            )
        yield answer
        if not answer.get("next") or not answer.get("results"):
            return
        number += 1


def _right(scope: Scope, task_id: int, project_id: int | None) -> bool:
    # The server ignores query parameters that it does not know, so its choice is checked.
    right_task = scope.task_ids is None or task_id in scope.task_ids
    return right_task and (scope.project_id is None or project_id in {None, scope.project_id})


def _task(item: Mapping[str, Any]) -> ListedTask:
    return ListedTask(
        id=whole_number(item, "id", f"task {str(item.get('id'))[:30]}", most=LARGEST_ID),
        name=str(item.get("name") or ""),
        project_id=item.get("project_id"),
        updated_date=str(item.get("updated_date") or ""),
    )


def _text(date: datetime) -> str:
    return date.astimezone(UTC).isoformat().replace("+00:00", "Z")
