"""Annotations of tasks and jobs: read, replaced, added, changed, removed."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from starlette.responses import Response

from .annotation_checks import KnownLabels, read_all
from .answers import Refusal, not_found, reply_json_bytes
from .calls import Call
from .export_requests import export_by_get
from .media import frames_of
from .store import Json, Store, now
from .tasks import frames_in, work_jobs_of

_KINDS = ("tags", "shapes", "tracks")
_ACTIONS = ("create", "update", "delete")


def show_annotations(call: Call) -> Response:
    """Answer ``GET .../annotations/``; with a format it is an export, up to 2.31."""
    if "format" in call.query:
        return export_by_get(call)
    task, jobs, whole = _scope(call)
    # The real server lists the annotations of a frame in whatever order its database has them, seldom by id.
    return _shown(call, annotations_json(call.store, task, jobs, whole=whole, turned=True))


def put_annotations(call: Call) -> Response:
    """Answer ``PUT .../annotations/``: replaces everything; without a body, or lists in it, wipes it."""
    task, jobs, whole = _scope(call)
    content = read_all(call.json_object(), call.generation)
    if call.generation.checks_ids:
        _check_ids(content, "create")
    return _shown(call, _put(call.store, task, jobs, content, whole=whole))


def patch_annotations(call: Call) -> Response:
    """Answer ``PATCH .../annotations/?action=``: create appends, update replaces by id, delete removes by id.

    An unknown id is inserted by update and passed over by delete.
    """
    action = call.query.get("action")
    if action not in _ACTIONS:
        raise Refusal(400, ["Please specify a correct 'action' for the request"])
    task, jobs, whole = _scope(call)
    content = read_all(call.json_object(), call.generation)
    sent = [len(items) for items in content.values()]
    if call.generation.checks_ids:
        _check_ids(content, action)
    elif action == "create":
        for item in (item for items in content.values() for item in items):
            _forget_ids(item)
    store = call.store
    with store.transaction():
        remove = action == "delete"
        touched = _remove(store, jobs, content) if remove else _write(store, task, jobs, content, whole=whole)
        # A job that is written to has changed, even if all that was sent was dropped or unknown.
        if not whole and any(sent):
            touched.add(jobs[0]["id"])
        touch(store, task, touched)
    return _shown(call, _joined({kind: [orjson.dumps(item) for item in content[kind]] for kind in _KINDS}))


def delete_annotations(call: Call) -> Response:
    """Answer ``DELETE .../annotations/``."""
    task, jobs, _ = _scope(call)
    store = call.store
    with store.transaction():
        ids = [job["id"] for job in jobs]
        touched = {job_id for kind in _KINDS for job_id in store.owners(ids, kind).values()}
        store.remove_items(ids)
        touch(store, task, touched)
    return Response(status_code=204)


def replace_annotations(store: Store, task: Json, jobs: list[Json], content: dict[str, list[Json]]) -> None:
    """Replace the annotations of jobs by others that have been read and checked already."""
    _put(store, task, jobs, content, whole=True)


def append_annotations(store: Store, task: Json, jobs: list[Json], content: dict[str, list[Json]]) -> None:
    """Add annotations that have been read and checked already."""
    with store.transaction():
        touch(store, task, _write(store, task, jobs, content, whole=True))


def _put(store: Store, task: Json, jobs: list[Json], content: dict[str, list[Json]], *, whole: bool) -> bytes:
    ids = [job["id"] for job in jobs]
    with store.transaction():
        touched = {job_id for kind in _KINDS for job_id in store.owners(ids, kind).values()}
        store.remove_items(ids)
        for item in (item for items in content.values() for item in items):
            _forget_ids(item)
        written = _write(store, task, jobs, content, whole=whole)
        touch(store, task, touched | written)
        return annotations_json(store, task, jobs, whole=whole)


def _shown(call: Call, body: bytes) -> Response:
    """Answer with annotations; servers for sound too have a list of intervals, empty for pictures."""
    return reply_json_bytes(body[:-1] + b',"intervals":[]}' if call.generation.intervals else body)


def annotations_json(
    store: Store, task: Json, jobs: Sequence[Json], *, whole: bool, turned: bool = False
) -> bytes:
    """Return the annotations of some jobs as JSON; of a whole task, twins on overlaps are merged.

    They come by job, then by id; `turned` by job and frame, and within a frame the newest first.
    """
    ids = [job["id"] for job in jobs]
    order = {job_id: place for place, job_id in enumerate(ids)}
    found = {}
    for kind in _KINDS:
        rows = store.items(ids, kind)
        if whole and task["overlap"]:
            rows = _merged(rows)
        if turned:
            rows.reverse()
            rows.sort(key=lambda row: (order[row[0]], row[1]))
        found[kind] = [body for _, _, body in rows]
    return _joined(found)


def _joined(parts: dict[str, list[bytes]]) -> bytes:
    lists = b",".join(b'"' + kind.encode() + b'":[' + b",".join(parts[kind]) + b"]" for kind in _KINDS)
    return b'{"version":0,' + lists + b"}"


def _merged(rows: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    seen: dict[tuple[object, ...], int] = {}
    kept = []
    for job_id, frame, body in rows:
        item = orjson.loads(body)
        elements = sorted(str(element.get("points")) for element in item.get("elements", ()))
        key = (frame, item.get("type"), item["label_id"], str(item.get("points")), *elements)
        if seen.setdefault(key, job_id) == job_id:
            kept.append((job_id, frame, body))
    return kept


def _scope(call: Call) -> tuple[Json, list[Json], bool]:
    """Return the task, the jobs that are spoken of, and whether they are all of the task."""
    if call.path.startswith("/api/jobs/"):
        job = call.load("job")
        task = call.store.get("task", job["task_id"])
        if task is None:
            raise not_found("Job")
        return task, [job], False
    task = call.load("task")
    if task["data"] is None and not task.get("begun"):
        raise Refusal(400, ["The task has no data yet"])
    return task, work_jobs_of(call.store, task), True


def _check_ids(content: dict[str, list[Json]], action: str) -> None:
    for kind in _KINDS:
        for item in content[kind]:
            if action == "create" and item["id"] is not None:
                raise Refusal(400, {kind: [{"id": ["must be absent"]}]})
            if action == "delete" and any(part["id"] is None for part in (item, *item.get("elements", ()))):
                raise Refusal(400, {kind: [{"id": ["must be present and not null"]}]})


def _write(
    store: Store, task: Json, jobs: list[Json], content: dict[str, list[Json]], *, whole: bool
) -> set[int]:
    labels = KnownLabels(store, task)
    touched: set[int] = set()
    hidden = _hidden_copies(store, task) if whole else {}
    for kind in _KINDS:
        if hidden:
            content[kind] = _with_copies(content[kind], hidden)
        owners = store.owners([job["id"] for job in jobs], kind)
        rows: list[tuple[str, int, int, int, int, int, bytes]] = []
        kept = []
        for item in content[kind]:
            for part in (item, *item.get("elements", ())):
                labels.check(part)
                labels.complete(part)
            places = _places(task, jobs, item, owners, whole=whole)
            for copy, job_id in enumerate(places):
                _give_ids(store, kind, item, fresh=copy > 0)
                body = orjson.dumps(item)
                rows.append((kind, item["id"], task["id"], job_id, item["frame"], item["label_id"], body))
                touched.add(job_id)
            if places:
                kept.append(item)
        content[kind] = kept
        store.add_items(rows)
    return touched


def _hidden_copies(store: Store, task: Json) -> dict[int, list[int]]:
    """Return the hidden frames that show a frame of the validation pool, by the pool's frame."""
    found: dict[int, list[int]] = {}
    if (task["data"] or {}).get("validation_mode") == "gt_pool":
        for number, frame in enumerate(frames_of(store, task["id"])):
            if "real" in frame:
                found.setdefault(frame["real"], []).append(number)
    return found


def _with_copies(items: list[Json], hidden: dict[int, list[int]]) -> list[Json]:
    """Put what lies on a pool's frame onto its hidden copies too, in place of what was sent for these."""
    copies = {number for numbers in hidden.values() for number in numbers}
    kept = [item for item in items if item["frame"] not in copies]
    for item in list(kept):
        for number in hidden.get(item["frame"], ()):
            copy = orjson.loads(orjson.dumps(item)) | {"frame": number}
            for element in copy.get("elements", ()):
                element["frame"] = number
            _forget_ids(copy)
            kept.append(copy)
    return kept


def _places(task: Json, jobs: list[Json], item: Json, owners: dict[int, int], *, whole: bool) -> list[int]:
    """Return the jobs that an annotation goes to: none for a frame outside the task, dropped silently."""
    if task["data"] is None or not 0 <= item["frame"] < task["data"]["size"]:
        return []
    if not whole:
        return [jobs[0]["id"]]
    inside = [job["id"] for job in jobs if item["frame"] in frames_in(job)]
    known = owners.get(item["id"])
    return [known] if known is not None and known in inside else inside


def _give_ids(store: Store, kind: str, item: Json, *, fresh: bool) -> None:
    if fresh:
        _forget_ids(item)
    if item["id"] is None:
        item["id"] = store.next_id(kind)
    else:
        store.reserve(kind, item["id"])
    elements = item.get("elements", [])
    for element in elements:
        if element["id"] is None:
            element["id"] = store.next_id(kind)
        else:
            store.reserve(kind, element["id"])
    for part in (item, *elements):
        for shape in part.get("shapes", ()):
            shape["id"] = store.next_id("keyframes")
    if elements and kind == "shapes":
        # The real server gives elements back in whatever order its database has them.
        turn = item["id"] % len(elements)
        item["elements"] = elements[turn:] + elements[:turn]


def _forget_ids(item: Json) -> None:
    item["id"] = None
    for element in item.get("elements", []):
        element["id"] = None


def _remove(store: Store, jobs: list[Json], content: dict[str, list[Json]]) -> set[int]:
    touched: set[int] = set()
    ids = [job["id"] for job in jobs]
    for kind in _KINDS:
        wanted = {item["id"] for item in content[kind]}
        if not wanted:
            continue
        touched |= {job_id for item_id, job_id in store.owners(ids, kind).items() if item_id in wanted}
        store.remove_items(ids, kind, sorted(wanted))
    return touched


def touch(store: Store, task: Json, job_ids: set[int]) -> None:
    """Say that jobs have changed, and so their task and its project; without jobs nothing has."""
    if not job_ids:
        return
    at = now()
    for job_id in job_ids:
        job = store.get("job", job_id)
        if job is not None:
            store.put("job", job_id, job | {"updated_date": at})
    store.put("task", task["id"], task | {"updated_date": at})
    project = None if task["project_id"] is None else store.get("project", task["project_id"])
    if project is not None:
        store.put("project", project["id"], project | {"updated_date": at})
