"""The event log: what pages report of their users' work, and how long that took by CVAT's own rule."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from starlette.responses import FileResponse, Response

from agir_cvtoolkit.runs import atomic_path

from .answers import Refusal, empty, reply
from .calls import Call
from .store import Json, Store
from .workers import WorkError

_LONGEST = timedelta(seconds=100)
"""Between two reports; more is a pause (``MAX_EVENT_DURATION`` of CVAT)."""
_WITH_DURATION = frozenset({"change:frame"})
_SCOPES = {
    "load": {"cvat", "job"},
    "save": {"job"},
    "restore": {"job"},
    "upload": {"annotations"},
    "send": {"exception", "task_info"},
    "draw": {"object"},
    "paste": {"object"},
    "copy": {"object"},
    "propagate": {"object"},
    "drag": {"object"},
    "resize": {"object"},
    "delete": {"object"},
    "lock": {"object"},
    "merge": {"objects"},
    "split": {"objects"},
    "group": {"objects"},
    "slice": {"object"},
    "join": {"objects"},
    "change": {"attribute", "label", "frame"},
    "zoom": {"image"},
    "fit": {"image"},
    "rotate": {"image"},
    "action": {"undo", "redo"},
    "debug": {"info"},
    "run": {"annotations_action"},
    "click": {"element"},
    "user": {"activity"},
}
"""What pages may report: objects by verb."""
_WHERE = ("job_id", "task_id", "project_id")
_COLUMNS = (
    *("scope", "obj_name", "obj_id", "obj_val", "source", "timestamp", "count", "duration"),
    *(
        "project_id",
        "task_id",
        "job_id",
        "user_id",
        "user_name",
        "user_email",
        "org_id",
        "org_slug",
        "payload",
    ),
)


def record_events(call: Call) -> Response:
    """Answer ``POST /api/events``: keep what a page reports, and the time that its user worked by that."""
    told = call.json_object()
    events, previous = told.get("events") or [], told.get("previous_event")
    # The page's clock may be wrong: what it reports was a moment ago by ours.
    late = datetime.now(UTC) - _moment(told)
    for event in events:
        verb, _, what = str(event.get("scope")).partition(":")
        if what not in _SCOPES.get(verb, ()):
            text = f"Event scope **{verb}:{what}** is not allowed from client"
            raise Refusal(400, {"scope": [text]})
        json.loads(event.get("payload") or "{}")
    who = {"user_id": call.user["id"], "user_name": call.user["username"]}
    if call.world.options.event_log:
        rows = [
            {**event, **who, "source": "client", "timestamp": str(_moment(event) + late)} for event in events
        ]
        for where, (begun, worked) in _working_times(events, previous).items():
            milliseconds = worked // timedelta(milliseconds=1)
            if milliseconds:
                rows.append(
                    {
                        **dict(zip(_WHERE, where, strict=True)),
                        **who,
                        "scope": "send:working_time",
                        "source": "server",
                        "timestamp": str(begun + late),
                        "count": 1,
                        "duration": milliseconds,
                        "payload": json.dumps({"working_time": milliseconds}),
                    }
                )
        with call.store.transaction():
            for number, row in enumerate(rows, call.store.next_id("event", len(rows) or 1)):
                call.store.put("event", number, row)
    whole = [{**dict.fromkeys(_COLUMNS), "duration": 0, **event} for event in events]
    return reply({"events": whole, "timestamp": told["timestamp"]}, 201)


def start_export(call: Call) -> Response:
    """Answer ``POST /api/events/export``, which came with 2.32."""
    if call.generation.old_exports:
        raise Refusal(404, {"detail": "Not found."})
    rq_id = f"action=export&target=events&id={uuid.uuid4()}&user_id={call.user['id']}"
    _start(call, rq_id)
    return reply({"rq_id": rq_id}, 202)


def export_by_get(call: Call) -> Response:
    """Answer ``GET /api/events``, the way before 2.32: 202 with an id, 201 once it is ready, then the file."""
    query_id = call.query.get("query_id") or str(uuid.uuid4())
    rq_id = f"action=export&target=events&id={query_id}&user_id={call.user['id']}"
    request = call.store.get("request", rq_id)
    if request is None:
        _start(call, rq_id)
        return reply({"query_id": query_id}, 202)
    if request["status"] == "failed":
        call.store.remove("request", rq_id)
        raise Refusal(500, request["message"])
    if request["status"] != "finished":
        return reply({"query_id": query_id}, 202)
    if call.query.get("action") != "download":
        return empty(201)
    call.store.remove("request", rq_id)
    return FileResponse(call.store.root / str(request["result"]), media_type="text/csv")


def write_log(store: Store, asked: Mapping[str, str], *, is_kept: bool) -> str:
    """Write the events of a project, task or job as CSV, and return where, under the sandbox's root.

    Args:
        store: the state.
        asked: the query of the request.
        is_kept: the server keeps a log; else its database cannot be reached.

    Raises:
        WorkError: no log is kept.
    """
    if not is_kept:
        raise WorkError("clickhouse_connect.driver.exceptions.OperationalError: Error executing HTTP request")
    relative = f"exports/{uuid.uuid4().hex}__logs.csv"
    wanted = {name: int(asked[name]) for name in (*_WHERE, "user_id", "org_id") if asked.get(name)}
    begin, end = (datetime.fromisoformat(asked[name]) if asked.get(name) else None for name in ("from", "to"))
    with atomic_path(store.root / relative) as path, path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.DictWriter(stream, _COLUMNS, restval="", extrasaction="ignore")
        rows.writeheader()
        for event in sorted(store.all("event"), key=lambda event: str(event["timestamp"])):
            at = datetime.fromisoformat(str(event["timestamp"]))
            inside = (begin is None or at >= begin) and (end is None or at <= end)
            if inside and all(event.get(name) == value for name, value in wanted.items()):
                rows.writerow(event)
    return relative


def _start(call: Call, rq_id: str) -> None:
    operation = {"type": "export:events", "target": "events"}
    work = {"asked": dict(call.query), "is_kept": call.world.options.event_log}
    call.world.workers.start(rq_id, operation, call.user, work)


def _working_times(
    events: Iterable[Json], previous: Json | None
) -> dict[tuple[int | None, ...], tuple[datetime, timedelta]]:
    """Add up the time between reports, each for what the earlier of the two was about."""
    found: dict[tuple[int | None, ...], tuple[datetime, timedelta]] = {}
    for (before, event), until in _pairs(events, previous):
        at = _moment(event)
        away = at - until
        worked = away if timedelta() < away < _LONGEST else timedelta()
        worked += max(_end(event) - max(at, until), timedelta())
        where = tuple(before.get(name) for name in _WHERE)
        begun, sum_before = found.get(where, (at, timedelta()))
        found[where] = begun, sum_before + worked
    return found


def _pairs(events: Iterable[Json], previous: Json | None) -> Iterator[tuple[tuple[Json, Json], datetime]]:
    before, until = previous, None if previous is None else _end(previous)
    for event in events:
        until = _moment(event) if until is None else until
        yield (before or event, event), until
        before, until = event, max(until, _moment(event), _end(event))


def _end(event: Json) -> datetime:
    lasted = int(event.get("duration") or 0) if event["scope"] in _WITH_DURATION else 0
    return _moment(event) + timedelta(milliseconds=lasted)


def _moment(event: Json) -> datetime:
    try:
        return datetime.fromisoformat(str(event["timestamp"]))
    except (KeyError, ValueError) as error:
        raise Refusal(400, {"timestamp": ["This field is required."]}) from error
