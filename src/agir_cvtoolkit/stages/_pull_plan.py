"""What has to be read of a task, by what lies in the run and what the server listed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from agir_cvtoolkit.cvat import ANNOTATION, FrameMap, JobInfo, ListedTask, has_come_to, moment
from agir_cvtoolkit.ledger import Pull, PulledTaskRow

from ._pull_apart import is_apart_current
from ._pull_context import PullContext
from ._pulled import FRAME_MAP, PulledFrame, PulledTask, read_frame_map_file

FRAMES_LAST = timedelta(hours=1)
"""Frames that a program deletes through the task leave no date behind: an older list of frames is read again."""


@dataclass(frozen=True)
class TaskJobs:
    """A task with those of its jobs that are asked for.

    Attributes:
        work: its annotation jobs.
        finished: of these, those that have come far enough.
        apart: ground-truth jobs and replicas that are asked for and have come far enough.
        ids: of all its jobs, of whatever type and state.
    """

    task: ListedTask
    work: tuple[JobInfo, ...]
    finished: tuple[JobInfo, ...]
    apart: tuple[JobInfo, ...] = ()
    ids: frozenset[int] = frozenset()

    @classmethod
    def of(cls, context: PullContext, task: ListedTask, jobs: Sequence[JobInfo]) -> TaskJobs:
        """Sort a task's jobs by what is asked for."""
        work = tuple(job for job in jobs if job.kind == ANNOTATION)
        wanted = [job for job in jobs if is_wanted(context, job)]
        done = [job for job in wanted if is_finished(context, job.state, job.stage)]
        finished = sorted((j for j in done if j.kind == ANNOTATION), key=lambda j: age(j.updated_date, j.id))
        apart = tuple(job for job in done if job.kind != ANNOTATION)
        return cls(task, work, tuple(finished), apart, frozenset(job.id for job in jobs))


def age(updated_date: str, job_id: int) -> tuple[datetime, int]:
    """Return what jobs are ordered by: of a frame in several of them the youngest says what is on it."""
    return moment(updated_date), job_id


def is_wanted(context: PullContext, job: JobInfo) -> bool:
    """Whether jobs of this kind are asked for."""
    return job.kind in context.settings.cvat_download.job_types


def is_finished(context: PullContext, state: str, stage: str) -> bool:
    """Whether a job of that state and stage has come as far as is asked for."""
    download = context.settings.cvat_download
    return has_come_to(state, stage, download.required_status, download.required_stage)


@dataclass(frozen=True)
class Stored:
    """What lies in the run of the jobs that a task still has.

    Attributes:
        old: the frame map as it lies there.
        frames: by number, without those that are no records any more.
        incomplete: jobs of which something could not be taken.
        no_records: numbers of frames that are not asked for.
        pulls: the last reading of each job.
    """

    folder: Path
    old: PulledTask | None
    frames: Mapping[int, PulledFrame]
    incomplete: frozenset[int]
    no_records: frozenset[int]
    pulls: Mapping[int, Pull]

    @cached_property
    def _by_job(self) -> Mapping[int, Mapping[int, PulledFrame]]:
        found: dict[int, dict[int, PulledFrame]] = {}
        for number, frame in self.frames.items():
            found.setdefault(frame.job_id, {})[number] = frame
        return found

    def of_job(self, job: JobInfo) -> Mapping[int, PulledFrame]:
        """Return the frames that lie there of a job, by number."""
        return self.of(job.id)

    def of(self, job_id: int) -> Mapping[int, PulledFrame]:
        """Return the frames that lie there of a job given by its id, by number."""
        return self._by_job.get(job_id, {})

    def is_whole(self, frame: PulledFrame) -> bool:
        """Whether the mask and the poses of a frame lie there."""
        return all((self.folder / path).is_file() for path in frame.files)

    def is_current(self, job: JobInfo, staying: Collection[int]) -> bool:
        """Whether a job lies here wholly and has not changed since.

        Args:
            job: as listed.
            staying: ids of the jobs whose frames stay; of frames that are in several jobs one of these has the mask.
        """
        if not is_same(self.pulls.get(job.id), job) or job.id in self.incomplete:
            return False
        own = self.of_job(job)
        for number in set(job.frames) - self.no_records - own.keys():
            other = self.frames.get(number)
            if other is None or other.job_id not in staying:
                return False
        return all(map(self.is_whole, own.values()))


@dataclass(frozen=True)
class TaskPlan:
    """What is done about a task.

    Attributes:
        frames: as the server has them now; None where they need not be read.
        to_read: annotation jobs that are read, oldest change first.
        apart_to_read: ground-truth jobs and replicas that are read.
        reopened: jobs that were finished when they were read and are not now.
        pulls: the last reading of each job.
    """

    jobs: TaskJobs
    stored: Stored
    frames: FrameMap | None
    to_read: tuple[JobInfo, ...]
    apart_to_read: tuple[JobInfo, ...]
    reopened: tuple[JobInfo, ...]
    pulls: Mapping[int, Pull]


def is_same(pull: Pull | None, job: JobInfo) -> bool:
    """Whether a job is as it was when it was read."""
    return pull is not None and (pull.updated_date, pull.stage, pull.state) == (
        job.updated_date,
        job.stage,
        job.state,
    )


def plan_task(
    context: PullContext, jobs: TaskJobs, pulls: Mapping[int, Pull], frames: FrameMap | None
) -> TaskPlan:
    """Decide what is read of a task.

    Args:
        context: of the pull.
        jobs: of the task.
        pulls: the last reading of each job.
        frames: of the task as they are now; None: as they were when they were last read.

    Raises:
        DataError: the stored frame map is damaged.
    """
    stored = _stored(context, jobs, pulls, frames)
    again = context.settings.cvat_download.overwrite_existing
    finished = {job.id for job in jobs.finished}

    def was_finished(job: JobInfo) -> bool:
        last = stored.pulls.get(job.id)
        return last is not None and is_finished(context, last.state, last.stage) and bool(stored.of_job(job))

    reopened = tuple(job for job in jobs.work if job.id not in finished and was_finished(job))
    staying = finished | {job.id for job in reopened}
    return TaskPlan(
        jobs=jobs,
        stored=stored,
        frames=frames,
        to_read=tuple(job for job in jobs.finished if again or not stored.is_current(job, staying)),
        apart_to_read=tuple(
            job
            for job in jobs.apart
            if again
            or not (is_same(pulls.get(job.id), job) and is_apart_current(stored.folder, job.kind, job.id))
        ),
        reopened=reopened,
        pulls=pulls,
    )


def is_in_run(plan: TaskPlan) -> bool:
    """Whether there is anything to do about a task, or anything of it in the run."""
    return bool(plan.jobs.finished or plan.jobs.apart or plan.stored.old is not None)


def needs_frames(context: PullContext, plan: TaskPlan, row: PulledTaskRow | None) -> bool:
    """Whether a task's frames have to be read from the server."""
    if plan.to_read or plan.apart_to_read or context.settings.cvat_download.overwrite_existing:
        return True
    if row is None or row.frames_read is None or row.frames_of != plan.jobs.task.updated_date:
        return True
    age = datetime.now(UTC) - datetime.fromisoformat(row.frames_read)
    return not timedelta(0) <= age < FRAMES_LAST


def _stored(
    context: PullContext, jobs: TaskJobs, pulls: Mapping[int, Pull], frames: FrameMap | None
) -> Stored:
    folder = context.folder_of(jobs.task.id, jobs.task.name)
    old = read_frame_map_file(folder / FRAME_MAP) if (folder / FRAME_MAP).is_file() else None
    ids = {job.id for job in jobs.work}
    no_records = frames.no_records if frames is not None else old.no_records if old else frozenset[int]()
    kept = {}
    for frame in old.frames if old else ():
        if frame.job_id not in ids or frame.frame in no_records:
            continue
        entry = frames.by_frame.get(frame.frame) if frames is not None else None
        if frames is None or (entry is not None and entry.name == frame.file_name):
            kept[frame.frame] = frame
    incomplete = frozenset(old.incomplete_jobs if old else ()) & ids
    own = {job.id: pulls[job.id] for job in jobs.work if job.id in pulls}
    return Stored(folder, old, kept, incomplete, no_records, own)
