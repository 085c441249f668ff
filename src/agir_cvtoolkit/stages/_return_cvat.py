"""Annotated frames straight from CVAT: those of finished jobs, read ahead in threads."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import (
    ANNOTATION,
    CvatSession,
    FrameMap,
    JobAnnotations,
    JobInfo,
    ProjectInfo,
    Scope,
    TaskInfo,
    find_projects,
    get_task,
    has_come_to,
    list_jobs,
    read_frame_map,
    read_job,
)
from agir_cvtoolkit.errors import AgirError, UsageError
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.shapes import Shape

from ._ahead import ahead
from ._connect import connect
from ._pull import ONE_FAILS
from ._pull_context import Labels
from ._pull_files import shapes_on
from ._pull_plan import age
from ._return_frames import FrameSurvey, ReturnedFrame, ReturnSource
from ._unfinished import is_unfinished

_log = logging.getLogger(__name__)

SeenJobs = MutableMapping[int, tuple[str, str, str]]
"""State, stage and date of jobs that came back already, by id."""


@dataclass
class Looks:
    """What one who looks again and again keeps between two looks.

    Attributes:
        seen: jobs that came back already.
        session: with CVAT; None before the first look, and after one that failed.
    """

    seen: SeenJobs = field(default_factory=dict)
    session: CvatSession | None = None


@dataclass(frozen=True)
class _Task:
    """A task of which something is finished.

    Attributes:
        jobs: that are read, oldest change first.
        owners: for each frame the job that says what is on it: the youngest of those that have it.
        apart: finished jobs of gold frames and of other annotators.
    """

    info: TaskInfo
    frames: FrameMap
    jobs: tuple[JobInfo, ...]
    owners: Mapping[int, int]
    apart: tuple[JobInfo, ...]


@dataclass
class CvatWork:
    """Finished jobs of tasks, as a source of frames.

    Attributes:
        waiting: jobs that have not come far enough.
        unchanged: finished jobs that came back already and have not changed since.
    """

    session: CvatSession
    place: str
    waiting: int
    unchanged: int
    in_flight: int
    _tasks: tuple[_Task, ...]
    _labels: Labels
    _failed: dict[str, Item] = field(default_factory=dict)
    _failed_jobs: set[int] = field(default_factory=set)

    @property
    def jobs(self) -> tuple[JobInfo, ...]:
        """Those that are read."""
        return tuple(job for task in self._tasks for job in task.jobs)

    def source(self) -> ReturnSource:
        """Return the frames of the jobs; one job that cannot be read does not stop the others."""
        return ReturnSource(self.place, self._frames, self._survey, lambda: tuple(self._failed.values()))

    def came_back(self, seen: SeenJobs) -> None:
        """Take note of the jobs that were read, so that they are read again only when they have changed."""
        for job in self.jobs:
            if job.id not in self._failed_jobs:
                seen[job.id] = _state(job)

    def _survey(self) -> FrameSurvey:
        found = FrameSurvey()
        for task in self._tasks:
            for number in task.owners:
                found.see(str(task.info.id), task.frames.by_frame[number].name, task.info.created_date)
        read = {job.id for job in self.jobs}
        found.frames = sum(owner in read for task in self._tasks for owner in task.owners.values())
        return found

    def _frames(self) -> Iterator[ReturnedFrame]:
        for task in self._tasks:
            opinions = self._opinions(task)
            work = ((job, partial(self._read, job)) for job in task.jobs)
            for job, outcome in ahead(work, self.in_flight, self.session.stop):
                if outcome is None:
                    continue
                try:
                    content = outcome.result()
                except ONE_FAILS as error:
                    self._fail(job, error)
                    continue
                yield from self._of_job(task, job, content, opinions)

    def _of_job(
        self,
        task: _Task,
        job: JobInfo,
        content: JobAnnotations,
        opinions: Mapping[int, Sequence[tuple[Shape, ...]]],
    ) -> Iterator[ReturnedFrame]:
        skipped: dict[int, list[str]] = defaultdict(list)
        for shape in content.skipped:
            skipped[shape.frame].append(f"{shape.kind}: {shape.reason}")
        for number in (frame for frame in job.frames if task.owners.get(frame) == job.id):
            entry = task.frames.by_frame[number]
            yield ReturnedFrame(
                name=entry.name,
                place=f"frame {number} of task {task.info.id}",
                task=str(task.info.id),
                size=(entry.width, entry.height),
                created=task.info.created_date,
                shapes=shapes_on(content, number, task.frames.deleted_frames),
                skipped=tuple(skipped[number]),
                finished=not is_unfinished(job.state, job.stage),
                annotator=job.assignee or "",
                opinions=tuple(opinions.get(number, ())),
            )

    def _opinions(self, task: _Task) -> dict[int, list[tuple[Shape, ...]]]:
        found: dict[int, list[tuple[Shape, ...]]] = defaultdict(list)
        for job in task.apart:
            try:
                content = self._read(job)
            except ONE_FAILS as error:
                _log.warning("job %d, which others are compared with, cannot be read: %s", job.id, error)
                continue
            for number, shapes in content.shapes.items():
                found[number].append(shapes)
        return found

    def _read(self, job: JobInfo) -> JobAnnotations:
        return read_job(self.session, job.id, self._labels.of(job))

    def _fail(self, job: JobInfo, error: AgirError) -> None:
        name = f"task {job.task_id}, job {job.id}"
        self._failed[name] = Item(name, "failed", str(error))
        self._failed_jobs.add(job.id)


def finished_work(
    settings: Settings,
    task_ids: Sequence[int],
    project_id: int | None,
    project_name: str,
    looks: Looks | None,
) -> CvatWork:
    """Find the finished jobs of tasks or of a project; what finished is, ``cvat_download`` says.

    Args:
        settings: of the call.
        task_ids: of the tasks; none are all of the project.
        project_id: of the project.
        project_name: of the project that is meant where there are no ids.
        looks: of one who looks again and again: jobs that came back already and have not changed since are left out,
            and the project that is meant may not have been made yet; then there is no work.

    Raises:
        ConfigError: no credentials.
        UsageError: there are no ids, and the server has several projects of that name, or none.
        NotFoundError: a task or the project does not exist.
        RemoteError: of its kinds.
    """
    seen = looks.seen if looks is not None else {}
    target = connect(settings, "cvat_download", project_id, session=looks.session if looks else None)
    session = target.session
    if looks is not None:
        looks.session = session
    if project_id is None and not task_ids:
        own = _own_project(session, project_name, may_lack=looks is not None)
        if own is None:
            return CvatWork(session, f"'{project_name}' on {session.url}", 0, 0, 1, (), Labels(session, {}))
        project_id, session = own.id, session.in_organization(own.organization)
    scope = Scope(project_id, tuple(dict.fromkeys(task_ids)) or None)
    named = {task_id: get_task(session, task_id) for task_id in dict.fromkeys(task_ids)}
    download = settings.cvat_download
    finished: dict[int, list[JobInfo]] = defaultdict(list)
    apart: dict[int, list[JobInfo]] = defaultdict(list)
    waiting = unchanged = 0
    for job in list_jobs(session, scope).items:
        done = has_come_to(job.state, job.stage, download.required_status, download.required_stage)
        if job.kind != ANNOTATION:
            if done:
                apart[job.task_id].append(job)
        elif done:
            finished[job.task_id].append(job)
        else:
            waiting += 1
    tasks = []
    for task_id, jobs in sorted(finished.items()):
        fresh = tuple(job for job in jobs if seen.get(job.id) != _state(job))
        unchanged += len(jobs) - len(fresh)
        if fresh:
            info = named.get(task_id) or get_task(session, task_id)
            tasks.append(_task(session, info, jobs, fresh, apart[task_id]))
    names = ", ".join(str(task_id) for task_id in task_ids)
    place = f"task {names}" if task_ids else f"project {project_id}"
    return CvatWork(
        session=session,
        place=f"{place} on {session.url}",
        waiting=waiting,
        unchanged=unchanged,
        in_flight=download.parallel_requests,
        _tasks=tuple(tasks),
        _labels=Labels(session, {}),
    )


def _own_project(session: CvatSession, name: str, *, may_lack: bool) -> ProjectInfo | None:
    found = find_projects(session, name=name)
    if not found and may_lack:
        return None
    if len(found) != 1:
        many = "no project" if not found else f"{len(found)} projects"
        raise UsageError(
            f"{session.url} has {many} called '{name}'",
            "Name what to return: --annotations FILE, --task-id or --project-id.",
        )
    return found[0]


def _task(
    session: CvatSession,
    info: TaskInfo,
    finished: Sequence[JobInfo],
    fresh: Sequence[JobInfo],
    apart: Sequence[JobInfo],
) -> _Task:
    frames = read_frame_map(session, info.id)
    owners: dict[int, int] = {}
    for job in sorted(finished, key=lambda job: age(job.updated_date, job.id)):
        inside = (n for n in job.frames if n in frames.by_frame and n not in frames.no_records)
        owners.update(dict.fromkeys(inside, job.id))
    jobs = tuple(sorted(fresh, key=lambda job: age(job.updated_date, job.id)))
    return _Task(info, frames, jobs, owners, tuple(apart))


def _state(job: JobInfo) -> tuple[str, str, str]:
    return job.state, job.stage, job.updated_date
