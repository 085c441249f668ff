"""What a pull is asked for, as the server has it: listed wholly, or since the cursor over the ledger's mirror."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import (
    PAGE_SIZE,
    UNSET,
    CvatSession,
    JobInfo,
    ListedTask,
    Scope,
    count_jobs,
    get_task,
    list_jobs,
    list_tasks,
    moment,
)
from agir_cvtoolkit.errors import NotFoundError, RefusedError, UsageError
from agir_cvtoolkit.ledger import Ledger, PullCursor, PulledTaskRow, SeenJob
from agir_cvtoolkit.runs import Run, fingerprint

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What a pull is asked for.

    Attributes:
        scope: on the server.
        named: the tasks were named by the user, so that a missing one is an error.
        text: under which its cursor is kept.
    """

    scope: Scope
    named: bool
    text: str


@dataclass(frozen=True)
class Listed:
    """What the server has of what is asked for.

    Attributes:
        tasks: by id.
        jobs: of all types, ordered by task and frame.
        rows: what the ledger knows of the tasks, by id.
        newest: the newest date of a job; None where there is none.
        whole: it was listed anew, not only what has changed.
    """

    tasks: Mapping[int, ListedTask]
    jobs: tuple[JobInfo, ...]
    rows: Mapping[int, PulledTaskRow]
    newest: str | None
    whole: bool


def what_is_asked(run: Run, settings: Settings, ledger: Ledger, session: CvatSession) -> Asked:
    """Return what the settings name, else the tasks that the run pushed.

    Raises:
        UsageError: neither ids nor pushed tasks.
    """
    download = settings.cvat_download
    place = "" if session.organization is UNSET else f" in {session.organization or 'personal workspace'}"
    if download.task_ids is not None:
        scope = Scope(task_ids=tuple(sorted(set(download.task_ids))))
        return Asked(scope, named=True, text=_text(scope) + place)
    if download.project_id is not None:
        scope = Scope(project_id=download.project_id)
        return Asked(scope, named=True, text=_text(scope) + place)
    pushed = [
        task.task_id for task in ledger.tasks_of_run(run.run_id, session.url) if task.task_id is not None
    ]
    if not pushed:
        raise _nothing_pushed(run, session)
    scope = Scope(task_ids=tuple(sorted(set(pushed))))
    return Asked(scope, named=False, text=_text(scope) + place)


def _nothing_pushed(run: Run, session: CvatSession) -> UsageError:
    told = run.read_metrics("upload-cvat").get("tasks")
    tasks = [task for task in told if isinstance(task, dict)] if isinstance(told, list) else []
    here = [
        task["task_id"] for task in tasks if str(task.get("task_url")).startswith(f"{session.url}/tasks/")
    ]
    if here:
        ids = ",".join(map(str, here))
        return UsageError(
            f"the ledger does not know the tasks that run {run.run_id} pushed to {session.url}",
            "Was the push undone, or the run copied without its ledger? Then copy outputs/ledger.db too, or name "
            f"the tasks: -o 'cvat_download.task_ids=[{ids}]'",
        )
    return UsageError(
        f"run {run.run_id} has pushed no task to {session.url}",
        "Push first: agir-cvtoolkit upload-cvat - or name the work: -o cvat_download.project_id=12345",
    )


def list_asked(
    session: CvatSession, ledger: Ledger, run_id: str, asked: Asked, *, anew: bool, rehearsal: bool
) -> Listed:
    """List what is asked for, and record it.

    Only what has changed since the cursor is listed where that is less: when there were more jobs than fit on
    one page, and the server's count of them agrees with the mirror. Only dates of the server count.

    Args:
        session: where it is.
        ledger: with the mirror and the cursor.
        run_id: of the run.
        asked: what for.
        anew: list all of it.
        rehearsal: record nothing.

    Raises:
        NotFoundError: a task that the user named is not there, or none of those that were pushed.
        RemoteError: of its kinds.
    """
    cursor = ledger.pull_cursor(session.url, run_id, asked.text)
    since = cursor.cursor if cursor is not None and cursor.jobs > PAGE_SIZE and not anew else None
    known = {
        seen.job_id: _job(seen)
        for seen in ledger.seen_jobs(
            session.url, project_id=asked.scope.project_id, task_ids=asked.scope.task_ids
        )
    }
    jobs = list_jobs(session, asked.scope, since)
    found = {job.id: job for job in jobs.items}
    if not jobs.whole:
        found = known | found
        if count_jobs(session, asked.scope) != len(found):
            _log.info("the ledger's list of jobs is not the server's; it is read anew")
            since = None
            jobs = list_jobs(session, asked.scope)
            found = {job.id: job for job in jobs.items}
    # After the jobs, so that it names the task of each.
    tasks = list_tasks(session, asked.scope, since)
    rows = ledger.tasks_pulled(session.url, run_id)
    there = {task.id: task for task in tasks.items}
    if not tasks.whole:
        there = {row.task_id: _known_task(row) for row in rows.values()} | there
    wanted = asked.scope.task_ids or ()
    dates: dict[int, str] = {}
    for job in found.values():
        dates[job.task_id] = max(dates.get(job.task_id, ""), job.updated_date, key=moment)
    there |= _looked_for(session, {*wanted, *dates} - there.keys(), asked, dates)
    if wanted and not there.keys() & set(wanted):
        raise NotFoundError(
            f"all tasks that run {run_id} pushed were deleted on {session.url}",
            "Push its records anew: agir-cvtoolkit upload-cvat",
        )
    ordered = sorted(
        (job for job in found.values() if job.task_id in there),
        key=lambda job: (job.task_id, job.start_frame, job.id),
    )
    rows = {task.id: _row(session.url, run_id, task, rows.get(task.id)) for task in there.values()}
    if not rehearsal:
        ledger.see_jobs([_seen(session.url, job) for job in jobs.items])
        ledger.forget_jobs(session.url, sorted(known.keys() - found.keys()))
        ledger.see_tasks(list(rows.values()))
    newest = max((job.updated_date for job in ordered), key=moment, default=None)
    return Listed(there, tuple(ordered), rows, newest, jobs.whole)


def cursor_after(
    url: str, run_id: str, asked: Asked, listed: Listed, failed: Sequence[JobInfo]
) -> PullCursor | None:
    """Return how far a run has come: to the newest change, or to before the first job that was not stored."""
    dates = [job.updated_date for job in failed]
    if listed.newest is None:
        return None
    reached = min([listed.newest, *dates], key=moment)
    return PullCursor(url, run_id, asked.text, reached, len(listed.jobs))


def _looked_for(
    session: CvatSession, task_ids: Iterable[int], asked: Asked, dates: Mapping[int, str]
) -> dict[int, ListedTask]:
    """Look for tasks that are not in the list; one of which only jobs are to be seen has their last change."""
    found = {}
    for task_id in sorted(task_ids):
        try:
            task = get_task(session, task_id)
        except NotFoundError:
            if asked.named and task_id in (asked.scope.task_ids or ()):
                raise
            _log.warning("task %d was deleted on the server", task_id)
        except RefusedError as error:
            if error.status != 403 or task_id not in dates:
                raise
            found[task_id] = ListedTask(task_id, f"task {task_id}", None, dates[task_id])
        else:
            found[task_id] = ListedTask(task.id, task.name, task.project_id, task.updated_date)
    return found


def _known_task(row: PulledTaskRow) -> ListedTask:
    return ListedTask(row.task_id, row.name, None, row.updated_date)


def _text(scope: Scope) -> str:
    if scope.task_ids is None:
        return f"project {scope.project_id}"
    listed = ",".join(map(str, scope.task_ids))
    return f"tasks {listed}" if len(listed) <= 200 else f"{len(scope.task_ids)} tasks {fingerprint(listed)}"


def _row(url: str, run_id: str, task: ListedTask, known: PulledTaskRow | None) -> PulledTaskRow:
    fresh = PulledTaskRow(url, run_id, task.id, task.name, task.updated_date)
    if known is None:
        return fresh
    return replace(fresh, frames_of=known.frames_of, frames_read=known.frames_read)


def _seen(url: str, job: JobInfo) -> SeenJob:
    return SeenJob(
        server=url,
        job_id=job.id,
        task_id=job.task_id,
        project_id=job.project_id,
        type=job.type,
        state=job.state,
        stage=job.stage,
        start_frame=job.start_frame,
        stop_frame=job.stop_frame,
        updated_date=job.updated_date,
        assignee=job.assignee,
        parent_job_id=job.parent_job_id,
    )


def _job(seen: SeenJob) -> JobInfo:
    return JobInfo(
        id=seen.job_id,
        task_id=seen.task_id,
        state=seen.state,
        stage=seen.stage,
        type=seen.type,
        start_frame=seen.start_frame,
        stop_frame=seen.stop_frame,
        updated_date=seen.updated_date,
        assignee=seen.assignee,
        project_id=seen.project_id,
        parent_job_id=seen.parent_job_id,
    )
