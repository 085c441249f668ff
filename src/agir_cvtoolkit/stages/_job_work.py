"""Asks the server's event log how long people worked on jobs that were read, and keeps it with the jobs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from agir_cvtoolkit.cvat import CvatSession, moment
from agir_cvtoolkit.cvat.event_log import LAG
from agir_cvtoolkit.errors import RemoteError
from agir_cvtoolkit.ledger import JobWork, Ledger

from .job_times import LoggedJob, Worked, read_log

_AGAIN = timedelta(minutes=10)
"""Between two looks at what the log did not have, or may not have had in full."""
_DEADLINE_S = 30.0

_log = logging.getLogger(__name__)


def note_work(session: CvatSession, ledger: Ledger) -> None:
    """Learn how long people worked on the jobs that were read from a server, by any run.

    A job is asked of once, and again after it was changed. Where that was less than five minutes ago, or the log could
    not be had, a later call asks again. A server that keeps no log is asked of each job once whether it keeps one. Where
    the server fails, what is known stays, and the pull is none the worse for it.

    Args:
        session: with the server.
        ledger: in which the pulls are recorded.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    now = datetime.now(UTC)
    waiting = ledger.jobs_to_look_up(session.url)
    known = ledger.work_on_jobs(session.url, [job.job_id for job in waiting])
    due = [job for job in waiting if _is_due(known.get(job.job_id), job.updated_date, now)]
    try:
        asked = [LoggedJob(job.job_id, job.task_id, job.assignee, job.project_id) for job in due]
        found = read_log(session, asked, _DEADLINE_S)
    except RemoteError as error:
        _log.warning("how long people worked was not read: %s", error)
        return
    rows = []
    for job in due:
        worked, before = found.by_job.get(job.job_id), known.get(job.job_id)
        if worked is None and before is not None and before.updated_date == job.updated_date:
            worked = Worked(before.seconds, before.is_simulated)
        is_over = job.job_id in found.by_job and now - moment(job.updated_date) >= LAG
        rows.append(
            JobWork(
                session.url,
                job.job_id,
                job.updated_date,
                None if worked is None else worked.seconds,
                worked is not None and worked.is_simulated,
                is_over or not found.has_log,
                now.isoformat(timespec="seconds"),
            )
        )
    ledger.record_work(rows)


def _is_due(row: JobWork | None, updated_date: str, now: datetime) -> bool:
    if row is None or row.updated_date != updated_date:
        return True
    return abs(now - moment(row.looked)) >= _AGAIN
