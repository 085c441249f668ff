"""How long people worked on jobs, as CVAT's event log has it.

CVAT's page reports what its user does, at least every 90 s and when it is left; the server adds up the time between two
reports that are less than 100 s apart (``send:working_time`` events, in milliseconds; `cvat/apps/events/utils.py` of
CVAT 2.42). The log lies in ClickHouse, which the official compose file starts and smaller installations leave out.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import NotFoundError, RefusedError, ServerFaultError

from .background import wait_for_request, wait_until
from .export import begin_export, fetch_result
from .session import CvatSession

LAG = timedelta(minutes=5)
"""Until when the log may still be told of work: pages report every 90 s, and what they report goes through a queue."""

_SCOPE = "send:working_time"
_SUBJECT = "read the event log"
_EXPORT, _EXPORT_BEFORE_2_32 = "/api/events/export", "/api/events"
_ALL_TIME = {"from": "2020-01-01T00:00:00Z"}
"""Before the first event of any server; unless a date is given, older servers give the last 30 days alone."""


@dataclass(frozen=True)
class WorkingTime:
    """How long one person worked on one job.

    Attributes:
        user: user name.
        seconds: pauses of more than 100 s are not in it.
        is_simulated: what was reported says of itself that no person did it: ``"simulated": true`` in its payload.
    """

    job_id: int
    user: str
    seconds: float
    is_simulated: bool = False


@dataclass(frozen=True)
class Reader:
    """Who reads the log.

    Attributes:
        user: user name; the log of those who neither administer the server nor maintain the organization holds only what
            they did themselves, and nothing tells so.
        sees_all: the account administers the server.
    """

    user: str
    sees_all: bool


def keeps_log(session: CvatSession) -> bool:
    """Whether a server says that it keeps an event log; True where it does not say.

    Raises:
        RemoteError: of its kinds.
    """
    try:
        plugins: Any = session.get("/api/server/plugins", "ask what the server has")
    except (NotFoundError, RefusedError):
        return True
    return not isinstance(plugins, dict) or plugins.get("ANALYTICS") is not False


def reader_of_log(session: CvatSession) -> Reader:
    """Return who reads the log of a session.

    Raises:
        RemoteError: of its kinds.
    """
    found: Any = session.get("/api/users/self", "ask who is logged in")
    own = found if isinstance(found, dict) else {}
    groups = own.get("groups")
    is_admin = isinstance(groups, list) and "admin" in groups
    return Reader(str(own.get("username") or ""), bool(own.get("is_superuser")) or is_admin)


def read_working_times(
    session: CvatSession, of: Mapping[str, int], deadline_s: float = 120.0
) -> tuple[WorkingTime, ...]:
    """Read the working time of jobs from the server's event log.

    Args:
        session: whose account counts, see `Reader`.
        of: ``{"project_id": 7}``, ``{"task_id": 12}`` or ``{"job_id": 3}``.
        deadline_s: longest time that the server may take.

    Returns:
        By job and user, in that order; nothing of jobs that the log does not know.

    Raises:
        NotFoundError: the server keeps no log.
        RefusedError: it does not give the log to this account, or its database is not there.
        ServerFaultError: what it gave is no event log.
        DeadlineError: it was not ready in time.
        RemoteError: of its other kinds.
    """
    asked = {**of, **_ALL_TIME}
    with tempfile.TemporaryDirectory(prefix="agir-events-") as folder:
        path = Path(folder) / "events.csv"
        try:
            _export(session, asked, deadline_s, path)
        except (NotFoundError, RefusedError) as error:
            if error.status not in {404, 405} or not session.capabilities.old_export:
                raise
            _export_the_old_way(session, asked, deadline_s, path)
        if not path.is_file():
            raise ServerFaultError(f"The server gave no file, could not {_SUBJECT}", "Try again later.")
        try:
            return tuple(_added_up(path))
        except (csv.Error, UnicodeDecodeError, KeyError) as error:
            raise ServerFaultError(
                "The server gave no event log", "A proxy may stand between; look at it in CVAT."
            ) from error


def _export(session: CvatSession, asked: Mapping[str, object], deadline_s: float, path: Path) -> None:
    request_id = begin_export(session, _EXPORT, _SUBJECT, asked)
    outcome = wait_for_request(session, request_id, _SUBJECT, deadline_s)
    if outcome.result_url is None:
        raise ServerFaultError(f"The server named no result, could not {_SUBJECT}", "Try again later.")
    try:
        fetch_result(session, outcome.result_url, _SUBJECT, path)
    except NotFoundError as error:  # what was begun is gone; a server without a log begins nothing
        raise ServerFaultError(
            f"The server has lost its result, could not {_SUBJECT}", "Try again later."
        ) from error


def _export_the_old_way(
    session: CvatSession, asked: Mapping[str, object], deadline_s: float, path: Path
) -> None:
    """Ask as before 2.32: 202 with an id while the log is written, 201 once it is ready, then the file."""
    answer: Any = session.get(_EXPORT_BEFORE_2_32, _SUBJECT, params=asked)
    query_id = answer.get("query_id") if isinstance(answer, dict) else None
    if not query_id:
        raise ServerFaultError(f"The server named no query, could not {_SUBJECT}", "Try again later.")
    params = {**asked, "query_id": str(query_id)}

    def ready() -> bool | None:
        response = session.request("GET", _EXPORT_BEFORE_2_32, _SUBJECT, params=params)
        return None if response.status == 202 else True

    wait_until(session, ready, _SUBJECT, deadline_s)
    session.request(
        "GET",
        _EXPORT_BEFORE_2_32,
        _SUBJECT,
        params={**params, "action": "download"},
        to_file=path,
        timeout=600.0,
        headers={"Accept": "*/*"},
    )


def _added_up(path: Path) -> Iterator[WorkingTime]:
    seconds: defaultdict[tuple[int, str], float] = defaultdict(float)
    simulated: set[tuple[int, str]] = set()
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = {"scope", "job_id", "user_name"} - set(rows.fieldnames or ())
        if missing:
            raise KeyError(*missing)
        for row in rows:
            job_id = row["job_id"] or ""
            if not job_id.isdecimal():
                continue
            key = int(job_id), row["user_name"] or ""
            if row["scope"] == _SCOPE:
                seconds[key] += _milliseconds(row) / 1000
            if "simulated" in (row.get("payload") or "") and _payload(row).get("simulated") is True:
                simulated.add(key)
    for number, user in sorted(seconds.keys() | simulated):
        yield WorkingTime(number, user, seconds[number, user], (number, user) in simulated)


def _milliseconds(row: Mapping[str, str | None]) -> float:
    """Return what an event counts; older servers have it in the payload alone."""
    try:
        duration = float(row.get("duration") or 0) or float(_payload(row).get("working_time") or 0)
    except (ValueError, TypeError):
        return 0.0
    return duration if 0 < duration < float("inf") else 0.0


def _payload(row: Mapping[str, str | None]) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(row.get("payload") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
