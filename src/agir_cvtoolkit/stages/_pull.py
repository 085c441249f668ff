"""Tasks of the server into a run: read ahead in threads, stored one after the other in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from agir_cvtoolkit.cvat import GROUND_TRUTH, FrameMap, JobInfo, read_frame_map, read_frames_of_jobs
from agir_cvtoolkit.errors import (
    AgirError,
    DataError,
    DeadlineError,
    GoneError,
    LedgerError,
    NotFoundError,
    RefusedError,
    RemoteError,
    ServerFaultError,
)
from agir_cvtoolkit.ledger import PulledTaskRow
from agir_cvtoolkit.progress import Bar, Progress
from agir_cvtoolkit.records import Item

from ._ahead import ahead
from ._pull_context import PullContext
from ._pull_plan import TaskJobs, TaskPlan, is_in_run, needs_frames, plan_task
from ._pull_read import JobRead, read
from ._pull_task import LabelWaitsError, TaskDownloaded, TaskStore

ONE_FAILS = (DataError, NotFoundError, RefusedError, ServerFaultError, DeadlineError)
"""Errors of one task or job, after which the others go on."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pulled:
    """What came into the run.

    Attributes:
        items: what could not be taken.
        failed: jobs that could not be read.
    """

    tasks: tuple[TaskDownloaded, ...]
    items: tuple[Item, ...]
    failed: tuple[JobInfo, ...]


@dataclass(frozen=True)
class _Unusable:
    """A task of which nothing can be read."""

    jobs: TaskJobs
    error: AgirError


_Step = tuple[TaskPlan | _Unusable, JobInfo | None]


def pull(
    context: PullContext, tasks: Sequence[TaskJobs], rows: Mapping[int, PulledTaskRow], progress: Progress
) -> Pulled:
    """Bring tasks into the run; one that cannot be read does not stop the others.

    Args:
        context: of the pull.
        tasks: with their jobs, in the order in which they are stored.
        rows: what the ledger knows of the tasks, by id.
        progress: told how far it is.

    Raises:
        AgirError: the first one, where nothing could be read at all.
        LedgerError: the ledger cannot be used.
        RemoteError: the server cannot be reached, or lets this account in no more.
    """
    total = sum(len(task.finished) + len(task.apart) for task in tasks)
    in_flight = context.settings.cvat_download.parallel_requests
    with progress.bar("Reading jobs", total) as bar:
        collected = _Collected(context, progress, bar)
        plans = _plans(context, tasks, rows, in_flight)
        try:
            for (plan, job), future in ahead(_steps(context, plans), in_flight, context.session.stop):
                if isinstance(plan, _Unusable):
                    collected.unusable(plan)
                elif job is None:
                    collected.begin(plan)
                elif future is not None:
                    collected.take(job, future.result)
        except (RemoteError, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt):
                context.session.stop()  # for the jobs that are read ahead
            collected.keep()
            raise
        return collected.end()


class _Collected:
    """What was brought so far: the task that is being stored, and the ones before."""

    def __init__(self, context: PullContext, progress: Progress, bar: Bar) -> None:
        self._context = context
        self._progress = progress
        self._bar = bar
        self._store: TaskStore | None = None
        self._tasks: list[TaskDownloaded] = []
        self._items: list[Item] = []
        self._failed: list[JobInfo] = []
        self._errors: list[AgirError] = []
        self._waits = False

    def begin(self, plan: TaskPlan) -> None:
        self._finish()
        self._store = TaskStore(self._context, plan)
        known = len(plan.jobs.finished) + len(plan.jobs.apart) - len(plan.to_read) - len(plan.apart_to_read)
        self._bar.advance(known)

    def take(self, job: JobInfo, result: Callable[[], JobRead]) -> None:
        if self._store is None:
            raise ValueError("a job comes before its task")
        try:
            self._store.store(job, result(), no_new_labels=self._waits)
        except LedgerError:
            raise
        except ONE_FAILS as error:
            _log.warning("job %d cannot be read: %s", job.id, error)
            # What is gone will bring no label any more: nothing has to wait for it.
            over = isinstance(error, LabelWaitsError | GoneError)
            self._waits = self._waits or not (over or self._store.has_failed_before(job))
            self._store.fail(job, error)
        self._bar.advance()

    def keep(self) -> None:
        """Write down what was read of the task that is being stored, before all ends."""
        if self._store is not None:
            self._store.keep()

    def unusable(self, found: _Unusable) -> None:
        self._finish()
        _log.warning("task %d cannot be read: %s", found.jobs.task.id, found.error)
        self._items.append(Item(found.jobs.task.name, "failed", str(found.error)))
        self._errors.append(found.error)
        self._failed += [*found.jobs.finished, *found.jobs.apart]
        self._bar.advance(len(found.jobs.finished) + len(found.jobs.apart))

    def end(self) -> Pulled:
        self._finish()
        if self._errors and not any(task.jobs or task.apart for task in self._tasks):
            raise self._errors[0]
        tasks = tuple(task for task in self._tasks if task.jobs or task.apart or task.frames)
        return Pulled(tasks, tuple(self._items), tuple(self._failed))

    def _finish(self) -> None:
        store, self._store = self._store, None
        if store is None:
            return
        try:
            summary, items = store.finish(self._progress)
        except LedgerError:
            raise
        except ONE_FAILS as error:
            self._items.append(Item(store.plan.jobs.task.name, "failed", str(error)))
            self._errors.append(error)
            return
        self._tasks.append(summary)
        self._items += items
        self._failed += store.failed
        self._errors += store.errors


def _plans(
    context: PullContext, tasks: Sequence[TaskJobs], rows: Mapping[int, PulledTaskRow], in_flight: int
) -> Iterator[TaskPlan | _Unusable]:
    """Yield what is done about each task; lists of frames are read ahead where they are needed."""
    pulls = context.ledger.last_pulls(context.session.url, context.run.run_id)

    def looks() -> Iterator[tuple[TaskPlan | _Unusable, Callable[[], FrameMap] | None]]:
        for task in tasks:
            try:
                plan = plan_task(context, task, pulls, None)
            except DataError as error:
                yield _Unusable(task, error), None
                continue
            if not is_in_run(plan):
                continue
            look = None
            if needs_frames(context, plan, rows.get(task.task.id)):
                look = partial(_look, context, task)
            yield plan, look

    for plan, future in ahead(looks(), in_flight, context.session.stop):
        if future is None or isinstance(plan, _Unusable):
            yield plan
            continue
        try:
            yield plan_task(context, plan.jobs, pulls, future.result())
        except ONE_FAILS as error:
            yield _Unusable(plan.jobs, error)


def _look(context: PullContext, task: TaskJobs) -> FrameMap:
    """Read the frames of a task, or of the jobs that are asked for where this account may not see the task."""
    try:
        return read_frame_map(context.session, task.task.id)
    except RefusedError as error:
        if error.status != 403:
            raise
        # Ground-truth jobs name the whole task as theirs; the work on it names its frames.
        jobs = [(job.id, job.start_frame) for job in (*task.work, *task.apart) if job.kind != GROUND_TRUTH]
        return read_frames_of_jobs(context.session, task.task.id, jobs)


def _steps(
    context: PullContext, plans: Iterator[TaskPlan | _Unusable]
) -> Iterator[tuple[_Step, Callable[[], JobRead] | None]]:
    for plan in plans:
        yield (plan, None), None
        if isinstance(plan, _Unusable):
            continue
        for job in (*plan.to_read, *plan.apart_to_read):
            if plan.frames is not None:
                yield (plan, job), partial(read, context, job, plan.frames)
