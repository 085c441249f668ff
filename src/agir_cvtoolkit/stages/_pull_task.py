"""One task of the server into a run: finished jobs are read, what reopened ones had finished stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import (
    CvatSession,
    FrameMap,
    JobAnnotations,
    JobInfo,
    LabelSet,
    TaskInfo,
    download_originals,
    has_come_to,
    read_frame_map,
    read_job,
    read_job_by_export,
    read_labels,
)
from agir_cvtoolkit.ledger import Ledger, Pull, PushedFrame
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run

from ._originals import find_original
from ._pulled import FRAME_MAP, PulledFrame, PulledTask, folder_of, read_frame_map_file, write_frame_map
from ._store_job import TaskContext, named_values, store_job

EXPORT_FROM_PIXELS = 12_000_000
"""Mean size of a job's pictures from which it is read by the "CVAT for images 1.1" export."""


@dataclass(frozen=True)
class TaskDownloaded:
    """One task as it was brought back.

    Attributes:
        jobs: finished ones.
        jobs_read: of them, those that had changed since the last call, or of which something could not be
            taken then.
        reopened: jobs that were finished when they were read and are not now; their frames are kept as they
            were.
        negatives: frames on which the person left no shape.
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


@dataclass(frozen=True)
class _Stored:
    """What lies in the run of the jobs that the task still has.

    Attributes:
        frames: by number, without those that were deleted on the server.
        incomplete: jobs of which something could not be taken.
        pulls: the last reading of each job.
    """

    folder: Path
    frames: Mapping[int, PulledFrame]
    incomplete: frozenset[int]
    pulls: Mapping[int, Pull | None]

    def of_job(self, job: JobInfo) -> dict[int, PulledFrame]:
        return {number: frame for number, frame in self.frames.items() if frame.job_id == job.id}

    def is_whole(self, frame: PulledFrame) -> bool:
        return frame.mask is None or (self.folder / frame.mask).is_file()

    def is_current(self, job: JobInfo, frame_map: FrameMap) -> bool:
        """Whether a job lies here wholly and has not changed since."""
        last = self.pulls[job.id]
        if last is None or (last.updated_date, last.stage) != (job.updated_date, job.stage):
            return False
        expected = (set(job.frames) & set(frame_map.by_frame)) - frame_map.deleted_frames
        return (
            job.id not in self.incomplete
            and expected <= set(self.frames)
            and all(self.is_whole(frame) for frame in self.of_job(job).values())
        )

    def was_finished(self, job: JobInfo, required_status: str | None) -> bool:
        """Whether a job had come far enough when it was read."""
        last = self.pulls[job.id]
        finished = last is not None and has_come_to(last.state, last.stage, required_status)
        return finished and bool(self.of_job(job))


def pull_task(
    run: Run,
    settings: Settings,
    session: CvatSession,
    ledger: Ledger,
    task: TaskInfo,
    finished: Sequence[JobInfo],
    all_jobs: Sequence[JobInfo],
) -> tuple[TaskDownloaded, list[Item]]:
    """Bring a task's finished jobs into the run; the frame map then names what lies there of the task.

    Frames of a job that was reopened stay as they were when it was finished; frames and jobs that were deleted
    on the server leave the frame map.

    Args:
        run: where to.
        settings: with ``cvat_download``.
        session: where the task is.
        ledger: knows what was pushed and read before.
        task: the task.
        finished: its jobs that have come far enough.
        all_jobs: all its annotation jobs.

    Returns:
        What was brought, and what could not be taken.

    Raises:
        DataError: the task's frames or the stored frame map cannot be used.
        RemoteError: the server fails; what was stored until then is kept.
    """
    frame_map = read_frame_map(session, task.id)
    folder = folder_of(run, task.id, task.name)
    stored = _stored(run, session, ledger, folder, frame_map, all_jobs)
    context = TaskContext(
        run, folder, frame_map, _pushed_frames(ledger, session, task.id), named_values(run, settings)
    )

    def write(frames: Mapping[int, PulledFrame], incomplete: set[int]) -> PulledTask:
        in_order = tuple(frames[number] for number in sorted(frames))
        url = session.task_url(task.id)
        result = PulledTask(task.id, task.name, url, folder, in_order, tuple(sorted(incomplete)))
        write_frame_map(result)
        return result

    items: list[Item] = []
    incomplete = set(stored.incomplete)
    reopened = _reopened(stored, finished, all_jobs, settings.cvat_download.required_status)
    frames = _kept_frames(stored, reopened, items)
    labels: LabelSet | None = None
    read = 0
    for job in sorted(finished, key=lambda j: j.updated_date):
        if stored.is_current(job, frame_map) and not settings.cvat_download.overwrite_existing:
            frames |= stored.of_job(job)
            continue
        labels = labels or read_labels(session, task_id=task.id)
        own, problems = store_job(context, job, _read(session, job, labels, frame_map))
        read += 1
        items += problems
        frames |= own
        incomplete = incomplete | {job.id} if problems else incomplete - {job.id}
        # First the frame map, then the ledger: killed in between, the job is read again.
        write({**stored.frames, **frames}, incomplete)
        pull = _pull_of(run, session, folder, job, own)
        if pull != stored.pulls[job.id]:
            ledger.record_pull(pull, {frame.record_id: frame.shapes for frame in own.values()})
    result = write(frames, incomplete & {job.id for job in (*finished, *reopened)})
    items += _fetch_originals(run, settings, session, result)
    summary = TaskDownloaded(
        task_id=task.id,
        name=task.name,
        url=result.url,
        directory=str(folder.relative_to(run.root)),
        jobs=len(finished),
        jobs_read=read,
        reopened=tuple(job.id for job in reopened),
        frames=len(result.frames),
        shapes=sum(frame.shapes for frame in result.frames),
        negatives=sum(1 for frame in result.frames if not frame.shapes),
    )
    return summary, items


def _stored(
    run: Run,
    session: CvatSession,
    ledger: Ledger,
    folder: Path,
    frame_map: FrameMap,
    all_jobs: Sequence[JobInfo],
) -> _Stored:
    old = read_frame_map_file(folder / FRAME_MAP) if (folder / FRAME_MAP).is_file() else None
    ids = {job.id for job in all_jobs}
    frames = {}
    for frame in old.frames if old else ():
        entry = frame_map.by_frame.get(frame.frame)
        there = entry is not None and entry.name == frame.file_name
        if there and frame.frame not in frame_map.deleted_frames and frame.job_id in ids:
            frames[frame.frame] = frame
    pulls = {job.id: ledger.last_pull(session.url, run.run_id, job.id) for job in all_jobs}
    return _Stored(folder, frames, frozenset(old.incomplete_jobs if old else ()) & ids, pulls)


def _reopened(
    stored: _Stored, finished: Sequence[JobInfo], all_jobs: Sequence[JobInfo], required_status: str | None
) -> list[JobInfo]:
    now = {job.id for job in finished}
    return [job for job in all_jobs if job.id not in now and stored.was_finished(job, required_status)]


def _kept_frames(stored: _Stored, reopened: Sequence[JobInfo], items: list[Item]) -> dict[int, PulledFrame]:
    kept = {}
    for job in reopened:
        for number, frame in stored.of_job(job).items():
            if stored.is_whole(frame):
                kept[number] = frame
            else:
                reason = f"its mask was removed, and job {job.id} is open again: complete the job"
                items.append(Item(frame.record_id, "failed", reason))
    return kept


def _read(session: CvatSession, job: JobInfo, labels: LabelSet, frame_map: FrameMap) -> JobAnnotations:
    """Read a job; large masks come faster by the export, which carries the same bits."""
    pixels = [e.width * e.height for e in frame_map.entries if e.frame in job.frames]
    if pixels and sum(pixels) / len(pixels) >= EXPORT_FROM_PIXELS:
        return read_job_by_export(session, job, frame_map)
    return read_job(session, job.id, labels)


def _pull_of(
    run: Run, session: CvatSession, folder: Path, job: JobInfo, frames: Mapping[int, PulledFrame]
) -> Pull:
    return Pull(
        server=session.url,
        run_id=run.run_id,
        task_id=job.task_id,
        job_id=job.id,
        updated_date=job.updated_date,
        state=job.state,
        stage=job.stage,
        frames=len(frames),
        shapes=sum(frame.shapes for frame in frames.values()),
        stored=str(folder.relative_to(run.root)),
    )


def _pushed_frames(ledger: Ledger, session: CvatSession, task_id: int) -> dict[str, PushedFrame]:
    task = ledger.task_by_id(session.url, task_id)
    return {frame.file_name: frame for frame in ledger.frames_of_task(task)} if task else {}


def _fetch_originals(run: Run, settings: Settings, session: CvatSession, task: PulledTask) -> list[Item]:
    """Fetch the pictures that are nowhere in the run, byte for byte."""
    always = settings.cvat_download.include_images
    wanted = []
    for frame in task.frames:
        path = task.folder / "images" / frame.picture_name
        if not path.is_file() and (
            always or find_original(run, frame.record_id, frame.sha256, task.folder) is None
        ):
            wanted.append((frame.frame, path))
    failed = download_originals(session, task.task_id, wanted)
    names = {frame.frame: frame.record_id for frame in task.frames}
    return [
        Item(names[frame], "failed", f"its picture could not be fetched: {error}")
        for frame, error in failed.items()
    ]
