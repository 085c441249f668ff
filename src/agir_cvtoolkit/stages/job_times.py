"""How long jobs took: by the server's event log, else by the dates that server and ledger have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agir_cvtoolkit.cvat import CvatSession, JobInfo, moment
from agir_cvtoolkit.cvat.event_log import read_working_times
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.quality.working_time import JobTime, Measured

_MOST_TASKS = 50
"""Above so many tasks of one project the log of the project is read at once."""


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
    """
    worked = _worked(session, jobs)
    found = []
    for job in jobs:
        if job.id not in counts:
            continue
        annotator, frames, shapes = counts[job.id]
        seconds = worked.get(job.id)
        if seconds is not None:
            found.append(JobTime(job.id, job.task_id, annotator, frames, shapes, seconds, "worked"))
            continue
        seconds = _elapsed(session.url, job, ledger)
        measured: Measured | None = None if seconds is None else "elapsed"
        found.append(JobTime(job.id, job.task_id, annotator, frames, shapes, seconds, measured))
    return tuple(found)


def _worked(session: CvatSession, jobs: Sequence[JobInfo]) -> dict[int, float]:
    tasks = sorted({job.task_id for job in jobs})
    projects = sorted({job.project_id for job in jobs if job.project_id is not None})
    asked: list[dict[str, int]] = [{"task_id": task_id} for task_id in tasks]
    if len(tasks) > _MOST_TASKS and all(job.project_id is not None for job in jobs):
        asked = [{"project_id": project_id} for project_id in projects]
    found: dict[int, float] = {}
    for of in asked:
        times = read_working_times(session, of)
        if times is None:
            break
        for one in times:
            found[one.job_id] = found.get(one.job_id, 0.0) + one.seconds
    return found


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
