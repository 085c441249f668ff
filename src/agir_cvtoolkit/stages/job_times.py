"""How long jobs took: by the server's event log, else by the dates that server and ledger have."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agir_cvtoolkit.cvat import CvatSession, JobInfo, moment
from agir_cvtoolkit.cvat.event_log import (
    Reader,
    WorkingTime,
    keeps_log,
    read_working_times,
    reader_of_log,
)
from agir_cvtoolkit.errors import DeadlineError, NotFoundError, RefusedError, ServerFaultError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.quality.working_time import JobTime, Measured

_MOST_TASKS = 10
"""Above so many tasks the logs of their projects are read at once: each takes a few requests."""
_MOST_LOGS = 50
"""That are read at once; the rest waits for the next time."""
_MOST_FAILURES = 2
"""In a row, after which the log is not asked any more: each costs time, and the next one fails as likely."""
_NOT_GIVEN = frozenset({403, 404, 405})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoggedJob:
    """A job that the log is asked of.

    Attributes:
        assignee: user name, None where nobody has it.
    """

    job_id: int
    task_id: int
    assignee: str | None
    project_id: int | None = None


@dataclass(frozen=True)
class Worked:
    """What the log says of a job.

    Attributes:
        seconds: of all people who worked on it; None where the log knows nothing of it, or may not know all.
        is_simulated: no person worked on it; the seconds are those of a program.
    """

    seconds: float | None
    is_simulated: bool = False


@dataclass(frozen=True)
class LogReading:
    """What the event log says.

    Attributes:
        by_job: of each job; one that is missing could not be asked of now.
        has_log: the server keeps one, and gives it to this account.
    """

    by_job: Mapping[int, Worked] = field(default_factory=dict, hash=False)
    has_log: bool = True


def read_log(session: CvatSession, jobs: Sequence[LoggedJob], deadline_s: float = 120.0) -> LogReading:
    """Read from the server's event log how long people worked on jobs: once for each task or project.

    An account that neither administers the server nor maintains the organization is given its own events alone, and is
    not told so. A job is therefore taken as known when somebody else than that account, or its assignee, is in its log.

    Args:
        session: with the server.
        jobs: that are asked of; at most 50 logs are read at once, those of the newest tasks.
        deadline_s: longest time that the server may take for each.

    Raises:
        RemoteError: the server cannot be reached, or lets this account in no more.
    """
    if not jobs:
        return LogReading()
    if not keeps_log(session):
        return LogReading(has_log=False)
    reader = reader_of_log(session)
    found: dict[int, Worked] = {}
    failures = 0
    for of, own in _asked(jobs):
        try:
            times = read_working_times(session, of, deadline_s)
        except (NotFoundError, RefusedError, ServerFaultError, DeadlineError) as error:
            if error.status in _NOT_GIVEN and not found:
                return LogReading(has_log=False)
            _log.warning("how long people worked cannot be read: %s", error)
            failures += 1
            if failures == _MOST_FAILURES or isinstance(error, DeadlineError):
                break
            continue
        failures = 0
        by_job: defaultdict[int, list[WorkingTime]] = defaultdict(list)
        for one in times:
            by_job[one.job_id].append(one)
        found |= {job.job_id: _worked(by_job[job.job_id], job.assignee, reader) for job in own}
    return LogReading(found)


def read_job_times(
    session: CvatSession,
    jobs: Sequence[JobInfo],
    counts: Mapping[int, tuple[str, int, int]],
    ledger: Ledger | None = None,
) -> tuple[JobTime, ...]:
    """Find out how long jobs took.

    Args:
        session: with the server.
        jobs: completed ones.
        counts: by job its annotator, pictures and shapes; jobs that are not in it are left out.
        ledger: knows when proposals were written; None where there is none.

    Raises:
        RemoteError: the server cannot be reached, or lets this account in no more.
    """
    known = [job for job in jobs if job.id in counts]
    asked = [LoggedJob(job.id, job.task_id, job.assignee, job.project_id) for job in known]
    logged = read_log(session, asked).by_job
    found = []
    for job in known:
        annotator, frames, shapes = counts[job.id]
        worked = logged.get(job.id, Worked(None))
        seconds, measured = worked.seconds, _measured(worked)
        if seconds is None:
            seconds = _elapsed(session.url, job, ledger)
            measured = None if seconds is None else "elapsed"
        found.append(JobTime(job.id, job.task_id, annotator, frames, shapes, seconds, measured))
    return tuple(found)


def _measured(worked: Worked) -> Measured | None:
    return "simulated" if worked.is_simulated else "worked"


def _asked(jobs: Sequence[LoggedJob]) -> list[tuple[dict[str, int], list[LoggedJob]]]:
    tasks: dict[int, list[LoggedJob]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: (-job.task_id, job.job_id)):
        tasks[job.task_id].append(job)
    if len(tasks) <= _MOST_TASKS:
        return [({"task_id": number}, own) for number, own in tasks.items()]
    projects: dict[int, list[LoggedJob]] = defaultdict(list)
    alone = []
    for number, own in tasks.items():
        if own[0].project_id is None:
            alone.append(({"task_id": number}, own))
        else:
            projects[own[0].project_id] += own
    return [*(({"project_id": number}, own) for number, own in projects.items()), *alone][:_MOST_LOGS]


def _worked(times: Iterable[WorkingTime], assignee: str | None, reader: Reader) -> Worked:
    seen = [one for one in times if one.seconds > 0 or one.is_simulated]
    if seen and all(one.is_simulated for one in seen):
        return Worked(sum(one.seconds for one in seen), is_simulated=True)
    users = {one.user for one in seen}
    if not users or not (reader.sees_all or assignee in users or users - {reader.user}):
        return Worked(None)
    return Worked(sum(one.seconds for one in seen if not one.is_simulated))


def _elapsed(server: str, job: JobInfo, ledger: Ledger | None) -> float | None:
    """Return the seconds from the job's assignment, else from the push, to its last change."""
    changed = moment(job.updated_date)
    begun = moment(job.assigned_date) if job.assigned_date else None
    if (begun is None or begun > changed) and ledger is not None:
        task = ledger.task_by_id(server, job.task_id)
        left = [] if task is None else ledger.jobs_of_task(task)
        begun = next(
            (moment(one.updated_date) for one in left if one.job_id == job.id and one.updated_date), None
        )
    return None if begun is None or begun >= changed else (changed - begun).total_seconds()
