"""How long people worked on jobs, as CVAT's event log has it.

CVAT's page reports what its user does, and the server adds up the time between two reports that are less than 100 s
apart (``send:working_time`` events, in milliseconds; `cvat/apps/events/utils.py` of CVAT 2.42). The log lies in
ClickHouse, which the official compose file starts and smaller installations leave out.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import NotFoundError, RefusedError, ServerFaultError

from .background import wait_for_request
from .export import begin_export, fetch_result
from .session import CvatSession

_SCOPE = "send:working_time"
_SUBJECT = "read the event log"


@dataclass(frozen=True)
class WorkingTime:
    """How long one person worked on one job.

    Attributes:
        user: user name.
        seconds: pauses of more than 100 s are not in it.
    """

    job_id: int
    user: str
    seconds: float


def read_working_times(
    session: CvatSession, of: Mapping[str, int], deadline_s: float = 120.0
) -> tuple[WorkingTime, ...] | None:
    """Read the working time of jobs from the server's event log.

    Args:
        session: whose account counts: those that do not administer the server, or maintain the organization, see only
            what they did themselves.
        of: ``{"project_id": 7}``, ``{"task_id": 12}`` or ``{"job_id": 3}``.
        deadline_s: longest time that the server may take.

    Returns:
        By job and user, in that order; None where the server keeps no log, or does not give it.
    """
    try:
        plugins: Any = session.get("/api/server/plugins", "ask what the server has")
        if isinstance(plugins, dict) and plugins.get("ANALYTICS") is False:
            return None
        request_id = begin_export(session, "/api/events/export", _SUBJECT, of)
        outcome = wait_for_request(session, request_id, _SUBJECT, deadline_s)
        if outcome.result_url is None:
            return None
        with tempfile.TemporaryDirectory(prefix="agir-events-") as folder:
            path = Path(folder) / "events.csv"
            fetch_result(session, outcome.result_url, _SUBJECT, path)
            return tuple(_added_up(path))
    except (NotFoundError, RefusedError, ServerFaultError, csv.Error, UnicodeDecodeError):
        # Each is a server without a log: an older one, one whose database is not there, or not for this account.
        return None


def _added_up(path: Path) -> Iterator[WorkingTime]:
    found: defaultdict[tuple[int, str], float] = defaultdict(float)
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            job_id = row.get("job_id") or ""
            if row.get("scope") == _SCOPE and job_id.isdecimal():
                found[int(job_id), row.get("user_name") or ""] += _milliseconds(row) / 1000
    for (number, user), seconds in sorted(found.items()):
        yield WorkingTime(number, user, seconds)


def _milliseconds(row: Mapping[str, str | None]) -> float:
    """Return what an event counts; older servers have it in the payload alone."""
    try:
        duration = float(row.get("duration") or 0)
        if not duration:
            payload = json.loads(row.get("payload") or "{}")
            duration = float(payload.get("working_time") or 0)
    except (ValueError, TypeError, AttributeError):
        return 0.0
    return duration if 0 < duration < float("inf") else 0.0
