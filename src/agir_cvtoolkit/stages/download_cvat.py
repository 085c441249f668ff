"""``download-cvat``: bring finished work back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import CvatSession, JobInfo
from agir_cvtoolkit.errors import DataError, LedgerError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run

from ._call import Call
from ._connect import connect
from ._correction_report import report_corrections
from ._job_work import note_work
from ._pull import Pulled, pull
from ._pull_context import Labels, PullContext
from ._pull_exports import fetch_exports
from ._pull_identity import pull_identity
from ._pull_listing import cursor_after, list_asked, what_is_asked
from ._pull_plan import TaskJobs, is_wanted
from ._pull_task import TaskDownloaded
from ._reviews import store_reviews
from ._unfinished import is_unfinished

__all__ = ["STAGE", "DownloadResult", "DownloadStep", "TaskDownloaded", "download_cvat"]

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
        items: frames, shapes, jobs and whole tasks that could not be taken.
        corrections: what people did with the proposals, added up; None where the run has none.
        frames_not_in_mask: frames with shapes that no mask can show; they lie in ``annotations/``.
        not_completed: of `jobs`, those that nobody has completed; only where they were asked for.
        open_issues: what reviewers have said of the tasks and nobody has resolved.
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
    required_stage: str | None = None
    corrections: dict[str, object] | None = None
    not_completed: int = 0
    frames_not_in_mask: int = 0
    open_issues: int = 0

    @property
    def exit_code(self) -> int:
        """0, or 1 where something could not be taken."""
        return 1 if self.items else 0


def download_cvat(call: Call | None = None) -> DownloadResult:
    """Read finished jobs and decode their masks into ``cvat_downloads/`` of the run.

    Without ids the tasks that the run pushed are taken. A job that has not changed since it was read is left
    alone. A job that was read and then reopened keeps the frames that it had when it was finished. A task or job
    that cannot be read is listed, and the others go on.

    Raises:
        UsageError: neither ids nor pushed tasks.
        NotFoundError: a project or task does not exist.
        RemoteError: the server fails; what was stored until then is kept and not read again.
    """
    return _download(call or Call(), None)


class DownloadStep:
    """One look of a watch; logs in once for all of them.

    Args:
        call: the common options.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._session: CvatSession | None = None

    def __call__(self) -> DownloadResult:
        """Look once.

        Raises:
            AgirError: as `download_cvat`.
        """
        try:
            return _download(self._call, self._session, self._keep)
        except BaseException:
            # The next look asks anew who and where the server is.
            self._session = None
            raise

    def _keep(self, session: CvatSession) -> None:
        self._session = session


def _download(
    call: Call, session: CvatSession | None, keep: Callable[[CvatSession], None] | None = None
) -> DownloadResult:
    settings = call.settings()
    run = call.open_run(settings)
    download = settings.cvat_download
    ledger_at = Ledger.open_to_read if call.dry_run else Ledger.open
    with call.work(run, STAGE):
        target = connect(settings, "cvat_download", download.project_id, session=session)
        session = target.session
        if keep is not None:
            keep(session)
        with ledger_at(settings.io.ledger_url, settings.io.out_root) as ledger:
            asked = what_is_asked(run, settings, ledger, session)
            listed = list_asked(
                session, ledger, run.run_id, asked, anew=download.overwrite_existing, rehearsal=call.dry_run
            )
            known = {target.project.id: target.labels} if target.project and target.labels else {}
            context = PullContext(run, settings, session, ledger, Labels(session, known))
            jobs: dict[int, list[JobInfo]] = {task_id: [] for task_id in listed.tasks}
            for job in listed.jobs:
                jobs[job.task_id].append(job)
            tasks = [
                TaskJobs.of(context, listed.tasks[task_id], found) for task_id, found in jobs.items() if found
            ]
            wanted = sum(1 for job in listed.jobs if is_wanted(context, job))
            if call.dry_run:
                return _result(run, settings, tasks, wanted, None)
            call.record_config(run, STAGE, settings, settings.dump("cvat_download", "io"))
            pulled = pull(context, tasks, listed.rows, call.progress)
            exported = fetch_exports(context, tasks, call.progress)
            pulled = replace(pulled, items=(*pulled.items, *exported))
            cursor = cursor_after(session.url, run.run_id, asked, listed, pulled.failed)
            if cursor is not None:
                ledger.move_cursor(cursor)
            note_work(session, ledger)
            corrections = _corrections(run, ledger, session.url)
            open_issues = store_reviews(run, session, ledger.tasks_pulled(session.url, run.run_id))
        result = replace(_result(run, settings, tasks, wanted, pulled, corrections), open_issues=open_issues)
        _write_metrics(run, result)
    return result


def _corrections(run: Run, ledger: Ledger, server: str) -> dict[str, object] | None:
    try:
        return report_corrections(run, ledger, server)
    except LedgerError:
        raise
    except DataError as error:
        # A damaged folder is listed with its task.
        _log.warning("corrections are not added up: %s", error)
        return None


def _result(
    run: Run,
    settings: Settings,
    asked: Sequence[TaskJobs],
    wanted: int,
    pulled: Pulled | None,
    corrections: dict[str, object] | None = None,
) -> DownloadResult:
    done = pulled.tasks if pulled is not None else ()
    taken = [job for task in asked for job in (*task.finished, *task.apart)]
    finished = len(taken)
    lost = {job.id for job in pulled.failed} if pulled is not None else set()
    unfinished = {job.id for job in taken if is_unfinished(job.state, job.stage)} - lost
    return DownloadResult(
        run_id=run.run_id,
        tasks_found=sum(1 for task in asked if task.finished or task.apart),
        tasks_downloaded=sum(1 for task in done if task.jobs or task.apart),
        jobs=finished if pulled is None else sum(task.jobs + len(task.apart) for task in done),
        jobs_read=sum(task.jobs_read for task in done),
        waiting=wanted - finished,
        reopened=sum(len(task.reopened) for task in done),
        frames=sum(task.frames for task in done),
        shapes=sum(task.shapes for task in done),
        tasks=tuple(done),
        items=tuple(pulled.items) if pulled is not None else (),
        required_status=settings.cvat_download.required_status,
        dry_run=pulled is None,
        required_stage=settings.cvat_download.required_stage,
        corrections=corrections,
        not_completed=len(unfinished),
        frames_not_in_mask=sum(task.frames_not_in_mask for task in done),
    )


def _write_metrics(run: Run, result: DownloadResult) -> None:
    content = asdict(result)
    content["total_tasks_found"] = result.tasks_found
    content["task_details"] = content["tasks"]
    for name in ("run_id", "dry_run"):
        content.pop(name)
    if result.corrections is None:
        content.pop("corrections")
    if not result.tasks:
        run.write_metrics(STAGE, content, number=int(run.read_metrics(STAGE).get("pass", 1)))
        return
    stage_pass = run.begin(STAGE, pull_identity(run, [task.directory for task in result.tasks]), ())
    run.write_metrics(STAGE, content, number=stage_pass.number)
    run.finish(stage_pass)
