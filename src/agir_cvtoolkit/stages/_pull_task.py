"""One task of the server into a run: finished jobs are stored, what reopened ones had finished stays."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from agir_cvtoolkit.cvat import ANNOTATION, FrameMap, JobInfo
from agir_cvtoolkit.errors import AgirError, DataError
from agir_cvtoolkit.ledger import Pull, PulledTaskRow, PushedTask
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Item

from ._corrections import correct_job
from ._pull_apart import store_apart
from ._pull_context import PullContext
from ._pull_leavers import remove_leavers
from ._pull_pictures import fetch_originals
from ._pull_plan import TaskPlan, age
from ._pull_read import JobRead
from ._pulled import Honeypot, PulledFrame, PulledTask, write_frame_map
from ._store_job import TaskContext, new_labels, store_job

_SPARINGLY = 20.0
"""A frame map is written again when so many times as long has passed as writing it took."""


@dataclass(frozen=True)
class TaskDownloaded:
    """One task as it was brought back.

    Attributes:
        jobs: finished ones.
        jobs_read: of them and of `apart`, those that had changed since the last call, or of which something could
            not be taken then.
        reopened: jobs that were finished when they were read and are not now; their frames are kept as they
            were.
        negatives: frames on which the person left no shape.
        success: all its finished jobs lie in the run.
        apart: ground-truth jobs and replicas that were asked for and lie apart.
        frames_not_in_mask: frames with shapes that no mask can show; none of a task that was pushed as boxes.
        kinds_not_in_mask: of these shapes, sorted.
    """

    task_id: int
    name: str
    url: str
    directory: str
    jobs: int
    jobs_read: int
    reopened: tuple[int, ...]
    frames: int
    shapes: int
    negatives: int
    success: bool = True
    apart: tuple[int, ...] = ()
    frames_not_in_mask: int = 0
    kinds_not_in_mask: tuple[str, ...] = ()


class LabelWaitsError(DataError):
    """A job brings a new label, and an earlier job that could have brought it first has just failed."""


class TaskStore:
    """Takes the jobs of one task as they are read, in the order of their changes.

    Of each job first the files are written, then the frame map, then the ledger: killed in between, the job is
    read again. A long frame map is not written after each job, but as often as it costs little of the time.
    """

    def __init__(self, context: PullContext, plan: TaskPlan) -> None:
        self.plan = plan
        self.failed: list[JobInfo] = []
        self.errors: list[AgirError] = []
        self._context = context
        self._items: list[Item] = []
        self._read: set[int] = set()
        self._incomplete = set(plan.stored.incomplete)
        self._pushed = context.ledger.task_by_id(context.session.url, plan.jobs.task.id)
        self._task = _task_context(context, plan, self._pushed)
        self._frames: dict[int, Mapping[int, PulledFrame]] = self._kept()
        self._dates = {job_id: pull.updated_date for job_id, pull in plan.stored.pulls.items()}
        to_read = {job.id for job in plan.to_read}
        for job in plan.jobs.finished:
            if job.id not in to_read:
                self._frames[job.id] = plan.stored.of_job(job)
        self._pending: list[tuple[Pull, dict[str, int]]] = []
        self._written = self._cost = 0.0

    def store(self, job: JobInfo, found: JobRead, *, no_new_labels: bool) -> None:
        """Put a job into the run.

        Args:
            job: the job.
            found: what it holds.
            no_new_labels: an earlier job failed for the first time. Mask values are given in the order of the
                work, so a job with a new label waits for it: the next pull gives the same values as if
                nothing had happened.

        Raises:
            DataError: there are more labels than mask values, or a label has to wait.
            LedgerError: the ledger cannot be used.
        """
        if self._task is None:
            raise ValueError("a job is stored without the frames of its task")
        numbers = found.numbers - self._of_younger(job) if job.kind == ANNOTATION else found.numbers
        waiting = new_labels(self._task, found.annotations, numbers) if no_new_labels else []
        if waiting:
            raise LabelWaitsError(
                f"job {job.id} waits, because a job before it failed and '{waiting[0]}' has no mask value yet",
                "Run download-cvat again.",
            )
        if job.kind != ANNOTATION:
            own, problems = store_apart(self._task, job, found.annotations, numbers)
        else:
            own, problems = store_job(self._task, job, found.annotations, numbers)
            self._frames[job.id] = own
            self._dates[job.id] = job.updated_date
            self._incomplete = self._incomplete | {job.id} if problems else self._incomplete - {job.id}
            context = self._context
            server, run_id = context.session.url, context.run.run_id
            labels = context.labels.of(job) if self._pushed is not None else None
            correct_job(context.ledger, server, run_id, self._pushed, job, found.annotations, own, labels)
        self._items += problems
        self._read.add(job.id)
        pull = self._pull(job, own)
        if pull != self.plan.pulls.get(job.id):
            self._pending.append((pull, {frame.record_id: frame.shapes for frame in own.values()}))
        if time.monotonic() - self._written >= _SPARINGLY * self._cost:
            self.keep()

    def has_failed_before(self, job: JobInfo) -> bool:
        """Whether a job could not be taken by the last pull either, or is none of the task's own work."""
        return job.kind != ANNOTATION or job.id in self.plan.stored.incomplete

    def keep(self) -> None:
        """Write down which jobs lie here, those that are still to be read as they were.

        Raises:
            LedgerError: the ledger cannot be used.
        """
        begun = time.monotonic()
        write_frame_map(self._content({**self._waiting(), **self._frames}, self._incomplete))
        self._record()
        self._written = time.monotonic()
        self._cost = self._written - begun

    def fail(self, job: JobInfo, error: AgirError) -> None:
        """Take note of a job that could not be read; what lies there of it stays."""
        self.failed.append(job)
        if not isinstance(error, LabelWaitsError):
            self._incomplete |= {job.id}
        self.errors.append(error)
        self._items.append(Item(f"{self.plan.jobs.task.name}, job {job.id}", "failed", str(error)))
        if job.kind == ANNOTATION:
            self._frames[job.id] = self.plan.stored.of_job(job)

    def finish(self, progress: Progress) -> tuple[TaskDownloaded, list[Item]]:
        """Write what the task is now, fetch its pictures, and say what was done and what could not be."""
        plan, context = self.plan, self._context
        counted = {job.id for job in (*plan.jobs.finished, *plan.reopened)}
        result = self._content(self._frames, self._incomplete & counted)
        if self._read or result != plan.stored.old:
            write_frame_map(result)
        self._record()
        if plan.frames is not None:
            # Before the ledger says that the frames are known: killed in between, they are looked at again.
            remove_leavers(result, self._record_ids(), plan.jobs.ids)
            context.ledger.see_tasks([self._row()])
        failed = fetch_originals(context, result, progress, read_now=self._read)
        if failed:
            # Their jobs are read again by the next call, which then looks closely at their pictures again.
            names = {item.record_id for item in failed}
            lacking = {frame.job_id for frame in result.frames if frame.record_id in names}
            jobs = tuple(sorted({*result.incomplete_jobs, *lacking}))
            write_frame_map(replace(result, incomplete_jobs=jobs))
        self._items += failed
        unseen = self._not_in_masks(result)
        done = [job for job in plan.jobs.finished if job not in self.failed]
        apart = tuple(job.id for job in plan.jobs.apart if job not in self.failed)
        summary = TaskDownloaded(
            task_id=plan.jobs.task.id,
            name=result.name,
            url=result.url,
            directory=str(result.folder.relative_to(context.run.root)),
            jobs=len(done),
            jobs_read=len(self._read & {*apart, *(job.id for job in done)}),
            reopened=tuple(job.id for job in plan.reopened),
            frames=len(result.frames),
            shapes=sum(frame.shapes for frame in result.frames),
            negatives=sum(1 for frame in result.frames if not frame.shapes),
            success=not self.failed,
            apart=apart,
            frames_not_in_mask=len(unseen),
            kinds_not_in_mask=tuple(sorted({kind for kinds in unseen for kind in kinds.split(", ")})),
        )
        return summary, self._items

    def _not_in_masks(self, result: PulledTask) -> list[str]:
        """Return, for each frame with shapes that no mask can show, their kinds."""
        found = [frame.not_in_mask for frame in result.frames if frame.not_in_mask]
        if found and self._pushed is not None:
            kinds = {push_id: key.kind for push_id, key, _ in self._context.ledger.pushes()}
            if kinds.get(self._pushed.push_id) in {"detections", "keypoints"}:
                return []  # boxes or points are what was asked for
        return found

    def _age(self, job_id: int) -> tuple[datetime, int]:
        return age(self._dates.get(job_id, ""), job_id)

    def _of_younger(self, job: JobInfo) -> frozenset[int]:
        """Return the frames that lie here of jobs that were changed after this one."""
        own = age(job.updated_date, job.id)
        others = {**self._waiting(), **self._frames}
        others.pop(job.id, None)  # its own date goes back where a server was restored from a backup
        younger = (frames for job_id, frames in others.items() if self._age(job_id) > own)
        return frozenset(number for frames in younger for number in frames)

    def _waiting(self) -> dict[int, Mapping[int, PulledFrame]]:
        """Return the frames that lie here of jobs that are still to be read, by job."""
        waiting = {job.id for job in self.plan.to_read} - self._read
        return {job_id: self.plan.stored.of(job_id) for job_id in waiting}

    def _record_ids(self) -> set[str]:
        old = self.plan.stored.old
        known = {frame.record_id for frame in old.frames} if old is not None else set()
        return known | set(self._task.record_ids.values() if self._task is not None else ())

    def _record(self) -> None:
        for pull, records in self._pending:
            self._context.ledger.record_pull(pull, records)
        self._pending = []

    def _kept(self) -> dict[int, Mapping[int, PulledFrame]]:
        kept: dict[int, Mapping[int, PulledFrame]] = {}
        for job in self.plan.reopened:
            own = self.plan.stored.of_job(job)
            kept[job.id] = {n: frame for n, frame in own.items() if self.plan.stored.is_whole(frame)}
            reason = f"its mask was removed, and job {job.id} is open again: complete the job"
            lost = (frame for n, frame in own.items() if n not in kept[job.id])
            self._items += [Item(frame.record_id, "failed", reason) for frame in lost]
        return kept

    def _content(
        self, by_job: Mapping[int, Mapping[int, PulledFrame]], incomplete: Collection[int]
    ) -> PulledTask:
        plan = self.plan
        frames = {n: frame for job_id in sorted(by_job, key=self._age) for n, frame in by_job[job_id].items()}
        result = PulledTask(
            task_id=plan.jobs.task.id,
            name=plan.jobs.task.name,
            url=self._context.session.task_url(plan.jobs.task.id),
            folder=plan.stored.folder,
            frames=tuple(frames[number] for number in sorted(frames)),
            incomplete_jobs=tuple(sorted(incomplete)),
        )
        if plan.frames is not None:
            return replace(
                result,
                deleted_frames=tuple(sorted(plan.frames.deleted_frames)),
                honeypots=_honeypots(plan.frames),
                validation_frames=tuple(sorted(plan.frames.validation_frames)),
            )
        old = plan.stored.old
        if old is None:
            return result
        return replace(
            result,
            deleted_frames=old.deleted_frames,
            honeypots=old.honeypots,
            validation_frames=old.validation_frames,
        )

    def _pull(self, job: JobInfo, frames: dict[int, PulledFrame]) -> Pull:
        return Pull(
            server=self._context.session.url,
            run_id=self._context.run.run_id,
            task_id=job.task_id,
            job_id=job.id,
            updated_date=job.updated_date,
            state=job.state,
            stage=job.stage,
            frames=len(frames),
            shapes=sum(frame.shapes for frame in frames.values()),
            stored=str(self.plan.stored.folder.relative_to(self._context.run.root)),
            assignee=job.assignee,
            type=job.type,
        )

    def _row(self) -> PulledTaskRow:
        task = self.plan.jobs.task
        return PulledTaskRow(
            server=self._context.session.url,
            run_id=self._context.run.run_id,
            task_id=task.id,
            name=task.name,
            updated_date=task.updated_date,
            frames_of=task.updated_date,
            frames_read=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _honeypots(frames: FrameMap) -> tuple[Honeypot, ...]:
    return tuple(
        Honeypot(number, real, frames.by_frame[number].name)
        for number, real in sorted(frames.honeypots.items())
        if number in frames.by_frame
    )


def _task_context(context: PullContext, plan: TaskPlan, task: PushedTask | None) -> TaskContext | None:
    if plan.frames is None:
        return None
    pushed = {frame.file_name: frame for frame in context.ledger.frames_of_task(task)} if task else {}
    return TaskContext(context, plan.stored.folder, plan.frames, pushed)
