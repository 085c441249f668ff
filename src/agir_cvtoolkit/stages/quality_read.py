"""What people drew on the frames of jobs, read for comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import (
    GROUND_TRUTH,
    CvatSession,
    FrameMap,
    JobInfo,
    LabelSet,
    Scope,
    list_jobs,
    moment,
    read_frame_map,
    read_job,
    read_job_frames,
)
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.runs import open_run
from agir_cvtoolkit.shapes import Shape

from ._correction_figures import NOBODY
from ._labelled_run import Selection, pulled_set
from ._pull_context import Labels
from ._pull_files import shapes_on
from ._pulled import read_frame_maps

Picture = tuple[str, int, int]
"""Name, width and height: what tells a picture in any task."""


@dataclass(frozen=True, eq=False)
class FrameRead:
    """One frame of one job.

    Attributes:
        annotator: the job's assignee.
        real: the frame of the validation pool that it repeats; None for any other.
    """

    job: JobInfo
    annotator: str
    frame: int
    picture: Picture
    shapes: tuple[Shape, ...]
    real: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return self.picture[1:]

    @property
    def at(self) -> datetime:
        """When the job was last changed."""
        return moment(self.job.updated_date)


class JobReader:
    """Reads jobs; frames of a task and labels of a project are read once."""

    def __init__(self, session: CvatSession, ledger: Ledger | None) -> None:
        self.session = session
        self.labels = Labels(session, {})
        self._ledger = ledger
        self._frames: dict[int, FrameMap] = {}

    def frames_of(self, task_id: int) -> FrameMap:
        """Return the frames of a task."""
        if task_id not in self._frames:
            self._frames[task_id] = read_frame_map(self.session, task_id)
        return self._frames[task_id]

    def labels_of(self, job: JobInfo) -> LabelSet:
        """Return the labels of a job."""
        return self.labels.of(job)

    def annotator(self, job: JobInfo) -> str:
        """Return who works on a job: its assignee, else who had it when it was pulled."""
        if job.assignee is None and self._ledger is not None:
            pulls = self._ledger.pulls_of_task(self.session.url, job.task_id)
            known = [pull.assignee for pull in pulls if pull.job_id == job.id and pull.assignee]
            return known[-1] if known else NOBODY
        return job.assignee or NOBODY

    def numbers_of(self, job: JobInfo) -> list[int]:
        """Return the frames of a job that count: not deleted, and for ordinary jobs not of the validation pool."""
        frames = self.frames_of(job.task_id)
        own: Sequence[int] | frozenset[int] = job.frames
        if job.kind == GROUND_TRUTH:
            included, deleted = read_job_frames(self.session, job.id)
            own = (included if included is not None else frozenset(job.frames)) - deleted
        else:
            own = [number for number in own if number not in frames.validation_frames]
        return sorted(n for n in own if n in frames.by_frame and n not in frames.deleted_frames)

    def read(self, job: JobInfo) -> Iterator[FrameRead]:
        """Yield the frames of a job with what is drawn on them; memory is that of one job."""
        frames, annotator = self.frames_of(job.task_id), self.annotator(job)
        found = read_job(self.session, job.id, self.labels_of(job))
        for number in self.numbers_of(job):
            entry = frames.by_frame[number]
            yield FrameRead(
                job,
                annotator,
                number,
                (entry.name, entry.width, entry.height),
                shapes_on(found, number, frames.deleted_frames),
                frames.honeypots.get(number),
            )

    def repeated(self, jobs: Sequence[JobInfo]) -> frozenset[Picture]:
        """Return the pictures that are in several of these jobs, honeypots aside."""
        seen: Counter[Picture] = Counter()
        for job in jobs:
            frames = self.frames_of(job.task_id)
            for number in self.numbers_of(job):
                if number not in frames.honeypots:
                    entry = frames.by_frame[number]
                    seen[entry.name, entry.width, entry.height] += 1
        return frozenset(picture for picture, count in seen.items() if count > 1)


@dataclass(frozen=True, eq=False)
class GoldSet:
    """What is right.

    Attributes:
        by_frame: shapes of ground-truth jobs, by task and frame.
        by_picture: shapes of a gold set that the user has named.
        tasks: tasks of that gold set, which are not judged themselves.
        notes: ground-truth jobs that are not completed.
    """

    by_frame: dict[tuple[int, int], tuple[Shape, ...]]
    by_picture: dict[Picture, tuple[Shape, ...]]
    tasks: frozenset[int]
    notes: tuple[str, ...] = ()

    def of(self, read: FrameRead) -> tuple[Shape, ...] | None:
        """Return what is right on a frame, or None where nobody knows."""
        if read.job.task_id in self.tasks:
            return None
        own = self.by_frame.get((read.job.task_id, read.frame if read.real is None else read.real))
        return own if own is not None else self.by_picture.get(read.picture)


def is_done(job: JobInfo) -> bool:
    """Whether somebody has completed a job's annotation."""
    return job.state == "completed" or (job.stage != "annotation" and job.state != "rejected")


def find_gold(
    reader: JobReader,
    jobs: Sequence[JobInfo],
    settings: Settings,
    gold_task: int | None,
    gold_run: str | None,
) -> GoldSet:
    """Read what is right: the completed ground-truth jobs among the jobs, and the gold set that the user has named.

    Raises:
        UsageError: the gold task has no completed job.
        NoRunError: there is no such run, or nothing was pulled into it.
        RemoteError: of its kinds.
    """
    by_frame: dict[tuple[int, int], tuple[Shape, ...]] = {}
    notes = []
    for job in jobs:
        if job.kind != GROUND_TRUTH:
            continue
        if is_done(job):
            by_frame |= {(job.task_id, read.frame): read.shapes for read in reader.read(job)}
        else:
            notes.append(
                f"ground-truth job {job.id} of task {job.task_id} is not completed: not compared with"
            )
    by_picture: dict[Picture, tuple[Shape, ...]] = {}
    if gold_run is not None:
        by_picture |= pictures_of_run(settings, gold_run)
    if gold_task is not None:
        by_picture |= pictures_of_task(reader, gold_task)
    return GoldSet(by_frame, by_picture, frozenset([] if gold_task is None else [gold_task]), tuple(notes))


def pictures_of_run(settings: Settings, run_id: str) -> dict[Picture, tuple[Shape, ...]]:
    """Return the shapes of what was pulled into a run, by picture."""
    run = open_run(Path(settings.io.out_root), run_id)
    tasks = tuple(read_frame_maps(run))
    names = {(task.task_id, frame.frame): frame.file_name for task in tasks for frame in task.frames}
    found = {}
    for one in pulled_set(run, Selection(tasks, as_drawn=True, pictures=False)):
        name = names[one.provenance.task_id or 0, one.provenance.frame or 0]
        found[name, one.width, one.height] = one.shapes
    return found


def pictures_of_task(reader: JobReader, task_id: int) -> dict[Picture, tuple[Shape, ...]]:
    """Return the shapes of the completed jobs of a task, those of ground truth before others, by picture."""
    jobs = [job for job in list_jobs(reader.session, Scope(task_ids=(task_id,))).items if is_done(job)]
    if not jobs:
        raise UsageError(
            f"gold task {task_id} has no completed job that is to be seen",
            "Complete its job in CVAT, or check the id.",
        )
    ordered = sorted(jobs, key=lambda job: job.kind == GROUND_TRUTH)
    return {read.picture: read.shapes for job in ordered for read in reader.read(job)}
