"""``download-cvat``: bring finished work back."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import CvatSession, JobInfo, find_jobs, get_task, has_come_to
from agir_cvtoolkit.errors import (
    AgirError,
    DataError,
    LedgerError,
    NotFoundError,
    ServerFaultError,
    UsageError,
)
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run

from ._call import Call
from ._connect import connect
from ._pull_identity import pull_identity
from ._pull_task import TaskDownloaded, pull_task
from ._pulled import has_frame_map

__all__ = ["STAGE", "DownloadResult", "TaskDownloaded", "download_cvat"]

STAGE = "download-cvat"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DownloadResult:
    """What ``download-cvat`` did, or in a dry run would do.

    Attributes:
        tasks_found: tasks with at least one job that has come far enough.
        tasks_downloaded: of them, those that were brought back.
        waiting: jobs of the asked tasks that have not come far enough.
        reopened: of the waiting, jobs that were finished when they were read; their frames are kept.
        items: frames, shapes and whole tasks that could not be taken.
    """

    run_id: str
    tasks_found: int
    tasks_downloaded: int
    jobs: int
    jobs_read: int
    waiting: int
    reopened: int
    frames: int
    shapes: int
    tasks: tuple[TaskDownloaded, ...]
    items: tuple[Item, ...]
    required_status: str | None
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 1 where something could not be taken."""
        return 1 if self.items else 0


def download_cvat(call: Call | None = None) -> DownloadResult:
    """Read finished jobs and decode their masks into ``cvat_downloads/`` of the run.

    Without ids the tasks that the run pushed are taken. A job that has not changed since it was read is left
    alone. A job that was read and then reopened keeps the frames that it had when it was finished. A task that
    cannot be read is listed, and the others go on.

    Raises:
        UsageError: neither ids nor pushed tasks.
        NotFoundError: a project or task does not exist.
        RemoteError: the server fails; what was stored until then is kept and not read again.
    """
    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    download = settings.cvat_download
    ledger_at = Ledger.open_to_read if call.dry_run else Ledger.open
    with call.work(run, STAGE):
        session = connect(settings, "cvat_download", download.project_id).session
        with ledger_at(settings.io.ledger_url, settings.io.out_root) as ledger:
            task_ids = _asked_tasks(run, settings, ledger, session)
            project_id = download.project_id if task_ids is None else None
            found = find_jobs(session, project_id=project_id, task_ids=task_ids, required_status=None)
            jobs = _Jobs.of(found, download.required_status)
            if call.dry_run:
                return _planned(run, settings, jobs)
            call.record_config(run, STAGE, settings, settings.dump("cvat_download", "io"))
            tasks, items = _pull(run, settings, session, ledger, jobs, call.progress)
        result = _result(run, settings, tasks, items, jobs)
        _write_metrics(run, result)
    return result


@dataclass(frozen=True)
class _Jobs:
    """The annotation jobs of the asked tasks, by task: all, and those that have come far enough."""

    every: Mapping[int, Sequence[JobInfo]]
    finished: Mapping[int, Sequence[JobInfo]]

    @classmethod
    def of(cls, jobs: Sequence[JobInfo], required_status: str | None) -> _Jobs:
        every: dict[int, list[JobInfo]] = defaultdict(list)
        finished: dict[int, list[JobInfo]] = defaultdict(list)
        for job in jobs:
            every[job.task_id].append(job)
            if has_come_to(job.state, job.stage, required_status):
                finished[job.task_id].append(job)
        return cls(dict(every), dict(finished))

    @property
    def count(self) -> int:
        return sum(len(jobs) for jobs in self.finished.values())

    @property
    def waiting(self) -> int:
        return sum(len(jobs) for jobs in self.every.values()) - self.count


def _pull(
    run: Run, settings: Settings, session: CvatSession, ledger: Ledger, jobs: _Jobs, progress: Progress
) -> tuple[list[TaskDownloaded], list[Item]]:
    """Bring the tasks one after the other; one that cannot be read does not stop the others."""
    tasks: list[TaskDownloaded] = []
    items: list[Item] = []
    errors: list[AgirError] = []
    with progress.bar("Reading jobs", jobs.count) as bar:
        for task_id, every in jobs.every.items():
            finished = jobs.finished.get(task_id, ())
            if not finished and not has_frame_map(run, task_id):
                continue
            name = f"task {task_id}"
            try:
                task = get_task(session, task_id)
                name = task.name
                pulled, problems = pull_task(run, settings, session, ledger, task, finished, every)
            except LedgerError:
                raise
            except (DataError, NotFoundError, ServerFaultError) as error:
                _log.warning("task %d cannot be read: %s", task_id, error)
                errors.append(error)
                items.append(Item(name, "failed", str(error)))
            else:
                tasks.append(pulled)
                items += problems
            bar.advance(len(finished))
    if errors and not any(task.jobs for task in tasks):
        raise errors[0]
    return [task for task in tasks if task.jobs or task.frames], items


def _asked_tasks(run: Run, settings: Settings, ledger: Ledger, session: CvatSession) -> list[int] | None:
    download = settings.cvat_download
    if download.task_ids is not None:
        for task_id in download.task_ids:
            get_task(session, task_id)
        return list(download.task_ids)
    if download.project_id is not None:
        return None
    pushed = [
        task.task_id for task in ledger.tasks_of_run(run.run_id, session.url) if task.task_id is not None
    ]
    if not pushed:
        raise UsageError(
            f"run {run.run_id} has pushed no task to {session.url}",
            "Push first: agir-cvtoolkit upload-cvat - or name the work: -o cvat_download.project_id=12345",
        )
    there = []
    for task_id in pushed:
        try:
            get_task(session, task_id)
        except NotFoundError:
            _log.warning("task %d was deleted on the server", task_id)
            continue
        there.append(task_id)
    if not there:
        raise NotFoundError(
            f"all tasks that run {run.run_id} pushed were deleted on {session.url}",
            "Push again under another cvat_upload.task_name.",
        )
    return there


def _result(
    run: Run, settings: Settings, tasks: Sequence[TaskDownloaded], items: Sequence[Item], jobs: _Jobs
) -> DownloadResult:
    return DownloadResult(
        run_id=run.run_id,
        tasks_found=len(jobs.finished),
        tasks_downloaded=sum(1 for task in tasks if task.jobs),
        jobs=sum(task.jobs for task in tasks),
        jobs_read=sum(task.jobs_read for task in tasks),
        waiting=jobs.waiting,
        reopened=sum(len(task.reopened) for task in tasks),
        frames=sum(task.frames for task in tasks),
        shapes=sum(task.shapes for task in tasks),
        tasks=tuple(tasks),
        items=tuple(items),
        required_status=settings.cvat_download.required_status,
    )


def _planned(run: Run, settings: Settings, jobs: _Jobs) -> DownloadResult:
    return DownloadResult(
        run_id=run.run_id,
        tasks_found=len(jobs.finished),
        tasks_downloaded=0,
        jobs=jobs.count,
        jobs_read=0,
        waiting=jobs.waiting,
        reopened=0,
        frames=0,
        shapes=0,
        tasks=(),
        items=(),
        required_status=settings.cvat_download.required_status,
        dry_run=True,
    )


def _write_metrics(run: Run, result: DownloadResult) -> None:
    content = asdict(result)
    content["total_tasks_found"] = result.tasks_found
    content["task_details"] = content["tasks"]
    for name in ("run_id", "dry_run"):
        content.pop(name)
    if not result.tasks:
        run.write_metrics(STAGE, content, number=int(run.read_metrics(STAGE).get("pass", 1)))
        return
    stage_pass = run.begin(STAGE, pull_identity(run, [task.directory for task in result.tasks]), ())
    run.write_metrics(STAGE, content, number=stage_pass.number)
    run.finish(stage_pass)
